"""A head on the network instead of a line: VISCA over IP, by UDP."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from agent.errors import LineError
from agent.model.pauses import Pauses
from agent.serial.ptz.visca_ip import Numbering

log = logging.getLogger(__name__)

MAX_PAUSE_S = 30.0
FIRST_LOOK_S, MAX_LOOK_S = 30.0, 300.0
"""A silence until its name is looked up anew, each time twice as long: a head at rest is asked each 10 s."""


class UdpWire:
    """What a `Line` is to a serial head.

    It is open once the name is resolved: whether the head is there, only its answers tell. Where there are
    none, it is opened anew once its name leads elsewhere: the head may have another address by now.
    """

    def __init__(
        self,
        host: str,
        port: int,
        on_bytes: Callable[[bytes], None],
        on_opened: Callable[[], bytes],
        on_lost: Callable[[str], None],
    ) -> None:
        self._address = host, port
        self._on_bytes, self._on_opened, self._on_lost = on_bytes, on_opened, on_lost
        self._numbering = Numbering()
        self._transport: asyncio.DatagramTransport | None = None
        self._is_heard = False
        self.problem = ""
        """Why it is not open, and what to do; empty while it is."""

    async def run(self) -> None:
        """Until cancelled: open, serve, lose, wait, open again."""
        loop = asyncio.get_running_loop()
        pauses = Pauses(MAX_PAUSE_S)
        while True:
            began_s = loop.time()
            try:
                await self._open_and_serve()
            except (OSError, UnicodeError) as exc:  # a name that is none to IDNA
                problem = f"{self._address[0]} cannot be reached: {exc}"
                if problem != self.problem:
                    log.warning(f"ptz: {problem}")
                self.problem = problem
            await asyncio.sleep(pauses.after(loop.time() - began_s))

    async def write(self, data: bytes) -> None:
        """Send one frame. Raises LineError where there is no way to the head."""
        if self._transport is None or self._transport.is_closing():
            raise LineError(self.problem or f"{self._address[0]} is not resolved yet")
        for datagram in self._numbering.wrap(data):
            self._transport.sendto(datagram)

    def confirm(self) -> None:
        """It answers."""

    async def _open_and_serve(self) -> None:
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Protocol(self._on_datagram, closed), remote_addr=self._address
        )
        self.problem = ""
        try:
            self._numbering.begin()
            await self.write(self._on_opened())
            self.problem = await self._until_closed(closed, self._transport.get_extra_info("peername"))
        finally:
            self._transport.abort()
            self._transport = None
            self._on_lost(self.problem)

    async def _until_closed(self, closed: "asyncio.Future[str]", peer: object) -> str:
        """Why it is over; `peer` is the address that its name led to."""
        host, port = self._address
        look_s = FIRST_LOOK_S
        while True:
            self._is_heard = False
            await asyncio.wait((closed,), timeout=look_s)
            if closed.done():
                return closed.result()
            if self._is_heard:
                look_s = FIRST_LOOK_S
                continue
            look_s = min(2 * look_s, MAX_LOOK_S)
            with contextlib.suppress(OSError):  # no name, no news
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
                if peer not in [address for *_, address in found]:
                    return f"{host} has another address now"

    def _on_datagram(self, data: bytes) -> None:
        self._is_heard = True
        if frame := self._numbering.unwrap(data):
            self._on_bytes(frame)


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: Callable[[bytes], None], closed: "asyncio.Future[str]") -> None:
        self._on_datagram, self._closed = on_datagram, closed

    def datagram_received(self, data: bytes, _address: object) -> None:
        self._on_datagram(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there, or no route: the head is silent, which its driver sees."""

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(str(exc or "closed"))
