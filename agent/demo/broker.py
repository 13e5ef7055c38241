"""The demo's broker: amqtt, on loopback, for one user whose password is new in each demo."""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass

from agent.errors import PinholeError

try:
    from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
    from amqtt.broker import Broker
    from amqtt.plugins.base import BaseAuthPlugin
    from amqtt.session import Session
except ModuleNotFoundError as exc:
    raise PinholeError("the demo needs its broker: install pinhole[demo]") from exc

USERNAME = "demo"
SHUTDOWN_S = 1.0


class DemoUser(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is not typed for us
    """Lets in whoever knows the password; loopback alone would let in every user of the machine."""

    @dataclass
    class Config:
        """What amqtt fills in."""

        password: str

    async def authenticate(self, *, session: Session) -> bool:
        """Whether this client may connect."""
        given = (session.username or "", session.password or "")
        return hmac.compare_digest(":".join(given).encode(), f"{USERNAME}:{self.config.password}".encode())


class DemoBroker:
    """A running broker on 127.0.0.1."""

    def __init__(self, broker: Broker, port: int) -> None:
        self._broker = broker
        self.port = port

    def retained(self, topic: str) -> bytes:
        """What is retained on a topic, or nothing."""
        message = self._broker.retained_messages.get(topic)
        return bytes(message.data) if message else b""


@contextlib.asynccontextmanager
async def demo_broker(password: str) -> AsyncIterator[DemoBroker]:
    """Serve on a free port until the block ends."""
    broker = Broker(
        {
            # The listener is ours, so that the kernel chooses the port and we know it.
            "listeners": {"default": {"type": "external"}},
            "plugins": {f"{__name__}.{DemoUser.__name__}": {"password": password}},
        }
    )

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default")

    await broker.start()
    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield DemoBroker(broker, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_S):
                await broker.shutdown()
