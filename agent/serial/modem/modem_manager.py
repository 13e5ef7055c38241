"""A modem that ModemManager has: what it says over D-Bus, and what may be asked of it.

ModemManager is looked at when it says that something changed, and now and then in any case. None of the ttys
that it has is ever opened: two programs on one do not work.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.errors import ModemError
from agent.serial.modem.bus import Bus, NobodyError, SlowError, UnsupportedError, open_bus
from agent.serial.modem.data import DataCount, interface_traffic
from agent.serial.modem.inbox import Inbox
from agent.serial.modem.managed import (
    LOCATION,
    MODEM,
    PREFIX,
    apn_of,
    bearers_of,
    choose,
    device_of,
    interface_of,
    parse,
    receiver_setup,
    traffic_of,
)
from agent.serial.modem.sms import OnSms
from agent.serial.modem.status import ModemStatus

log = logging.getLogger(__name__)

ROOT = "/org/freedesktop/ModemManager1"
NETWORK_MANAGER = "org.freedesktop.NetworkManager"
_PROPERTIES, _OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
_BEARER = f"{PREFIX}.Bearer"

LOOK_S = 30.0
"""ModemManager tells of all but the bytes that a connection carried."""
SETTLE_S, PAUSE_S = 0.3, 2.0
"""Changes come in bursts; they are one look, and looks are so far apart."""
SIGNAL_S = 10
"""How often ModemManager shall ask the modem for its signal."""
CELL_S = 60.0
AGAIN_S = 30.0
"""Until the bus is tried again."""
DISCONNECT_S, CONNECT_S, RESET_S = 6.0, 8.0, 12.0
"""The first for all bearers."""
OFF_S, POWER_S, ON_S = 8.0, 3.0, 14.0
"""Together within what recovery waits for a step (`ACT_S`). ModemManager ends by itself what takes longer."""
AGAIN_PAUSE_S = 2.0
"""Until it is told again to switch on, or to connect: it refuses while it still does the opposite."""
CUT_OFF_S = 4.0
"""What switching on may take where the agent ends meanwhile: well within its `STOP_TIMEOUT_S`."""
_LOW, _ON = 2, 3
"""MMModemPowerState."""
_NONE = ModemStatus(source="modemmanager")


class ManagedModem:
    """One modem, the first of those that ModemManager has. All methods belong to the event loop's thread."""

    def __init__(
        self,
        count: DataCount,
        address: str | None = None,
        *,
        on_sms: OnSms | None = None,
        has_receiver: Callable[[Path], bool] = lambda _: False,
        temperature_c: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`address` is another bus than the system's, for tests; without `on_sms` messages are left alone.

        `has_receiver`: somebody reads satellites by a port of the modem that the kernel has there.
        `temperature_c`: what the modem says beside ModemManager, which does not tell it.
        """
        self._count, self._address = count, address
        self._has_receiver, self._temperature_c = has_receiver, temperature_c
        self._inbox = Inbox(on_sms) if on_sms else None
        self._bus: Bus | None = None
        self._path = ""
        self._changed = asyncio.Event()
        self._cells: Any = None
        self._cells_due_s: float | None = 0.0
        self._has_warned = self._has_warned_of_receiver = False
        self.status = replace(_NONE, reason="nobody has looked for it yet")
        self.device: Path | None = None

    async def run(self) -> None:
        """Keep `status` until cancelled."""
        try:
            while True:
                try:
                    async with open_bus(self._address) as self._bus:
                        await self._serve(self._bus)
                except ModemError as exc:
                    self._lose(str(exc))
                finally:
                    self._bus = None
                await asyncio.sleep(AGAIN_S)
        finally:
            self._lose("nobody looks for it")  # or what it said last would be believed for ever
            self._count.close()

    async def renew_bearer(self) -> None:
        """NetworkManager makes the connection again by itself; where it is not there, we do."""
        bus, path = self._reached()
        modem = await self._modem(bus, path)
        has_keeper = await bus.call(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner",
            NETWORK_MANAGER, signature="s",
        )  # fmt: skip
        bearers = bearers_of(modem)
        if not bearers and not has_keeper:
            raise ModemError("there is no data connection to renew: set the role modem up, or connect once")
        ends_s = time.monotonic() + DISCONNECT_S
        with contextlib.suppress(SlowError):  # it still ends, and has its proof all the same
            for bearer in bearers:
                left_s = max(0.0, ends_s - time.monotonic())
                await bus.call(PREFIX, bearer, f"{_BEARER}.Disconnect", deadline_s=left_s)
        if not has_keeper:
            await _insist(
                lambda left_s: bus.call(PREFIX, bearers[0], f"{_BEARER}.Connect", deadline_s=left_s),
                CONNECT_S,
            )

    async def cycle_radio(self) -> None:
        """Off as far as the modem can, and on again whatever comes in between."""
        bus, path = self._reached()
        try:
            try:
                await self._switch_off(bus, path)
            except ModemError:
                await self._switch_on(path, ON_S)
                raise
            await self._switch_on(path, ON_S)
        except asyncio.CancelledError:  # which no fault of the modem's may take the place of
            with contextlib.suppress(ModemError):
                await self._switch_on(path, CUT_OFF_S)
            raise

    async def reset_modem(self) -> None:
        """It vanishes from ModemManager, and comes back under another path."""
        bus, path = self._reached()
        await bus.call(PREFIX, path, f"{MODEM}.Reset", deadline_s=RESET_S)

    async def _switch_off(self, bus: Bus, path: str) -> None:
        with contextlib.suppress(SlowError):  # it still goes off, and has its proof all the same
            await bus.call(PREFIX, path, f"{MODEM}.Enable", False, signature="b", deadline_s=OFF_S)
        for state in (_LOW, _ON):
            with contextlib.suppress(ModemError):  # some know nothing between on and off
                await bus.call(
                    PREFIX, path, f"{MODEM}.SetPowerState", state, signature="u", deadline_s=POWER_S
                )

    async def _switch_on(self, path: str, limit_s: float) -> None:
        """Over a connection of its own: the other one may have been lost since it was switched off."""

        async def enable(left_s: float) -> None:
            ends_s = time.monotonic() + left_s
            async with open_bus(self._address, left_s) as bus:
                left_s = max(0.0, ends_s - time.monotonic())
                await bus.call(PREFIX, path, f"{MODEM}.Enable", True, signature="b", deadline_s=left_s)

        try:
            await _insist(enable, limit_s)
        except ModemError as exc:
            raise ModemError(f"the radio may be off: {exc}") from exc

    def _reached(self) -> tuple[Bus, str]:
        if self._bus is None or not self._path:
            raise ModemError(f"there is no modem to ask: {self.status.reason}")
        return self._bus, self._path

    async def _serve(self, bus: Bus) -> None:
        await bus.listen(
            (
                f"sender='{PREFIX}',interface='{_PROPERTIES}',member='PropertiesChanged'",
                f"sender='{PREFIX}',interface='{_OBJECTS}'",
                f"sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{PREFIX}'",
            ),
            self._changed.set,
        )
        while bus.is_connected:
            self._changed.clear()
            try:
                await self._look(bus)
            except NobodyError:
                self._lose("ModemManager does not run: `systemctl status ModemManager`")
            except ModemError as exc:
                self._lose(str(exc))
            await asyncio.sleep(PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
                    await asyncio.sleep(SETTLE_S)
        self._lose("the system's D-Bus was lost")

    async def _look(self, bus: Bus) -> None:
        objects = await bus.call(PREFIX, ROOT, f"{_OBJECTS}.GetManagedObjects")
        path = choose(objects)
        if path is None:
            self._lose("ModemManager knows no modem: `mmcli -L`; look at its plug and its power")
            return
        if path != self._path:
            self._path, self._cells, self._cells_due_s = path, None, 0.0
        modem = objects[path]
        self.device = device_of(modem)
        await self._have_signal_told(bus, modem)
        await self._have_receiver_on(bus, modem)
        if self._inbox:
            await self._inbox.take(bus, path, modem)
        await self._ask_for_cells(bus, path)
        bearers = [
            (each, await bus.call(PREFIX, each, f"{_PROPERTIES}.GetAll", _BEARER, signature="s"))
            for each in bearers_of(modem)
        ]
        counts = (traffic_of(each, said) or interface_traffic(interface_of(said)) for each, said in bearers)
        self._count.add([one for one in counts if one], time.monotonic())
        apn = next((apn for _, said in bearers if (apn := apn_of(said))), "")
        self._set(replace(parse(modem, self._cells), apn=apn, temperature_c=self._temperature_c()))

    async def _have_signal_told(self, bus: Bus, modem: dict[str, Any]) -> None:
        if modem.get(f"{MODEM}.Signal", {}).get("Rate") != 0:
            return
        try:
            await bus.call(PREFIX, self._path, f"{MODEM}.Signal.Setup", SIGNAL_S, signature="u")
        except ModemError as exc:
            if not self._has_warned:
                log.warning("the modem's signal is not told: %s", exc)
            self._has_warned = True

    async def _have_receiver_on(self, bus: Bus, modem: dict[str, Any]) -> None:
        """It is off after each start of the modem."""
        wanted = receiver_setup(modem)
        if wanted is None or self.device is None or not self._has_receiver(self.device):
            return
        try:
            await bus.call(PREFIX, self._path, f"{LOCATION}.Setup", *wanted, signature="ub")
        except ModemError as exc:
            if not self._has_warned_of_receiver:
                log.warning("the modem's satellite receiver stays off: %s", exc)
            self._has_warned_of_receiver = True

    async def _ask_for_cells(self, bus: Bus, path: str) -> None:
        """Not every modem tells, and ModemManager does not before 1.20."""
        if self._cells_due_s is None or time.monotonic() < self._cells_due_s:
            return
        try:
            self._cells, self._cells_due_s = None, time.monotonic() + CELL_S
            self._cells = await bus.call(PREFIX, path, f"{MODEM}.GetCellInfo")
        except UnsupportedError as exc:
            log.debug("the modem does not tell its cells: %s", exc)
            self._cells_due_s = None
        except ModemError as exc:
            log.debug("the modem does not tell its cells now: %s", exc)

    async def _modem(self, bus: Bus, path: str) -> dict[str, Any]:
        return {MODEM: await bus.call(PREFIX, path, f"{_PROPERTIES}.GetAll", MODEM, signature="s")}

    def _lose(self, reason: str) -> None:
        self._path = ""
        self._set(replace(_NONE, reason=reason))

    def _set(self, status: ModemStatus) -> None:
        counted = self._count.counted
        self.status = replace(
            status,
            data_since=counted.since,
            received_bytes=counted.received_bytes,
            sent_bytes=counted.sent_bytes,
        )


async def _insist(call: Callable[[float], Awaitable[object]], limit_s: float) -> None:
    """Call with the time that is left until it is taken: what is still ending refuses it.

    Raises what it raised last.
    """
    ends_s = time.monotonic() + limit_s
    while True:
        try:
            await call(max(0.0, ends_s - time.monotonic()))
        except ModemError:
            if time.monotonic() + AGAIN_PAUSE_S >= ends_s:
                raise
        else:
            return
        await asyncio.sleep(AGAIN_PAUSE_S)
