"""The system's D-Bus, as far as a modem needs it: calls with a deadline, and a word when something changed.

The only module that knows dbus-fast, and nothing loads it but a device whose modem ModemManager has.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from dbus_fast import BusType, DBusError, Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.unpack import unpack_variants

from agent.errors import ModemError
from agent.model.network_fault import network_fault

CONNECT_S = 5.0
CALL_S = 10.0
"""What a service takes to answer a question; what it is told to do has deadlines of its own."""

MAX_UNANSWERED = 8
"""dbus-fast waits for each answer as long as the connection lives; with so many missing it is made anew."""

_NOBODY = ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")


_NEVER = (
    "org.freedesktop.DBus.Error.UnknownMethod",
    "org.freedesktop.DBus.Error.UnknownInterface",
    "org.freedesktop.ModemManager1.Error.Core.Unsupported",
)


_MAY_NOT = (
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.ModemManager1.Error.Core.Unauthorized",
)


class NobodyError(ModemError):
    """The service is not on the bus."""


class UnsupportedError(ModemError):
    """It will never do that."""


class RefusedError(ModemError):
    """Polkit or the bus does not let this user."""


class SlowError(ModemError):
    """It did not answer in time, and may do it all the same."""


def texts(values: dict[str, str]) -> dict[str, Variant]:
    """A dictionary of texts, as `a{sv}` has it."""
    return {key: Variant("s", value) for key, value in values.items()}


class Bus:
    """One connection to a bus."""

    def __init__(self, bus: MessageBus, lost: asyncio.Task[None]) -> None:
        """`lost` ends with the connection."""
        self._bus, self._lost = bus, lost
        self._unanswered = 0

    @property
    def is_connected(self) -> bool:
        """Once it is not, it never is again."""
        return not self._lost.done()

    async def call(
        self,
        service: str,
        path: str,
        method: str,
        *body: Any,
        signature: str = "",
        deadline_s: float = CALL_S,
    ) -> Any:
        """`method` is `INTERFACE.MEMBER`; gives its first value, without variants. Raises ModemError."""
        interface, _, member = method.rpartition(".")
        if not self.is_connected:
            raise ModemError(f"{member}: the bus was lost")
        message = Message(
            destination=service,
            path=path,
            interface=interface,
            member=member,
            flags=MessageFlag.NO_AUTOSTART,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(deadline_s):
                reply = await self._bus.call(message)
        except TimeoutError as exc:
            self._unanswered += 1
            if self._unanswered == MAX_UNANSWERED:
                self._bus.disconnect()
            raise SlowError(f"{member}: {service} did not answer within {deadline_s:.0f} s") from exc
        except (OSError, EOFError, DBusError) as exc:
            raise ModemError(f"{member}: the bus was lost: {exc}") from exc
        if reply.message_type is MessageType.ERROR:
            words = str(reply.body[0]) if reply.body else str(reply.error_name)
            raise _error(str(reply.error_name), f"{member}: {words}")
        return unpack_variants(reply.body[0]) if reply.body else None

    async def listen(self, rules: tuple[str, ...], on_signal: Callable[[], None]) -> None:
        """Call `on_signal` for what a rule matches, and once the bus is lost. Raises ModemError."""

        def take(message: Message) -> None:
            if message.message_type is MessageType.SIGNAL:
                on_signal()

        self._bus.add_message_handler(take)
        self._lost.add_done_callback(lambda _: on_signal())
        for rule in rules:
            await self.call(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.AddMatch",
                f"type='signal',{rule}", signature="s",
            )  # fmt: skip


def _error(name: str, words: str) -> ModemError:
    if name in _NOBODY:
        return NobodyError(words)
    if name in _MAY_NOT:
        return RefusedError(words)
    return UnsupportedError(words) if name in _NEVER else ModemError(words)


@contextlib.asynccontextmanager
async def open_bus(address: str | None = None, limit_s: float = CONNECT_S) -> AsyncIterator[Bus]:
    """The system's bus, or the one at `address`, which may take so long to open. Raises ModemError."""
    try:
        async with asyncio.timeout(min(limit_s, CONNECT_S)):
            bus = await MessageBus(address, BusType.SYSTEM).connect()
    except Exception as exc:
        words = network_fault(exc)
        raise ModemError(f"the system's D-Bus cannot be reached ({words}): `systemctl status dbus`") from exc
    wait: Coroutine[Any, Any, None] = bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
    lost = asyncio.create_task(wait, name="modem-bus")
    try:
        yield Bus(bus, lost)
    finally:
        bus.disconnect()
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
