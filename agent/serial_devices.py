"""Builds every part of the agent that hangs on a serial wire, and wires them. No logic of its own.

A room's module is imported where the settings name its device: without any nothing is loaded, opened or
logged.
"""

import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import TypeAdapter

from agent import __version__
from agent.config import Settings
from agent.control.allowance import DataAllowance
from agent.control.budget import month_of
from agent.device.commands import Handler
from agent.device.journal import read_moment
from agent.device.late import Work
from agent.device.ledger import Ledger
from agent.device.power import PAUSE_S, Power
from agent.device.release import ReleaseDesk
from agent.device.supply import is_voltage_low
from agent.model.clock import EARLIEST_UNIX_S
from agent.model.command import CommandError, Order
from agent.model.event import EventKind
from agent.model.part import Part, told
from agent.model.sections import MasksSection, ModemSection, ReadSection
from agent.model.signal import Detail, Result
from agent.model.still import Still, Thumbnail
from agent.model.threads import in_background
from agent.mqtt.broker import Broker
from agent.mqtt.endpoint import Dialer, parse_endpoint
from agent.mqtt.reach import is_reached
from agent.rtc.sessions import Sessions
from agent.signaling.enrolment import broker_settings
from agent.signaling.service import SignalingService

if TYPE_CHECKING:
    from agent.serial.modem.data import DataCount
    from agent.serial.modem.recovery import Helpers, Recovery
    from agent.serial.modem.sms import Lifeline
    from agent.serial.modem.status import Modem
    from agent.serial.ptz.desk import Channel

OnEvent = Callable[[EventKind, str, dict[str, Detail]], None]
OpenStick = Callable[[str, str, Callable[[], bool], Callable[[str], None]], "Channel | None"]
"""`open(session, user, may_control, send)`; None where this viewer may not, or there is nothing to move."""


class Follower(Protocol):
    """What covers the picture, and has to know where the head stands."""

    def on_place(self, preset: int | None) -> None: ...
    async def on_other_preset(self, preset: int) -> None: ...
    def section(self) -> MasksSection: ...


class Around(Protocol):
    """The rest of the agent, which is built after this."""

    allowance: DataAllowance | None
    broker: Broker
    power: Power

    @property
    def privacy(self) -> Follower: ...

    releases: ReleaseDesk
    service: SignalingService
    sessions: Sessions

    def take_icon(self) -> Awaitable[Still]:
        """The smallest picture of now."""

    def is_seen(self) -> bool:
        """The camera runs, and its picture is not blank."""


class SerialDevices:
    """What the settings name, and nothing else."""

    def __init__(
        self,
        settings: Settings,
        on_event: OnEvent,
        on_change: Callable[[], None],
        tell: Callable[[str, Result], None],
        around: Around,
    ) -> None:
        """`on_change` says the sections again; `tell` has the portal note what a viewer had us do."""
        self._around = around
        self._settings, self._on_event, self._on_change = settings, on_event, on_change
        self.sections: dict[str, ReadSection] = {}
        self.handlers: dict[str, Handler] = {"modem-history": _no_modem}
        """By command of the table in `agent/model/command.py`."""
        self.pictures: dict[str, Callable[[Any], Awaitable[Thumbnail]]] = {}
        """By command as well: what brings a picture, and takes a moment."""
        self.works: dict[str, Work] = {}
        """By command too: what is answered when it is done."""
        self._parts: list[Part] = []
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self._lifeline: Lifeline | None = None
        self.open_stick: OpenStick = lambda *_: None
        """For a viewer that would move the head."""
        self.on_right_lost: Callable[[str], None] = lambda _: None
        """A session's viewer may not move it any more."""
        self.is_head_moving: Callable[[], bool] = lambda: False
        """It turns or zooms, or did a moment ago."""
        if settings.gnss.source != "off":
            self._add_gnss()
        if settings.ptz.port is not None:
            self._add_ptz(tell)
        if settings.modem.backend != "none":
            self._add_modem()

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs beside the camera, each until cancelled, and by name."""
        for part in self._parts:
            yield part.name, part.run()

    async def stop(self) -> None:
        """What moves stands still, before anything else of the agent ends; each part has a deadline."""
        for stop in self._stops:
            await stop()

    def read_modem(self) -> ModemSection | None:
        """What is known of the modem; None where there is none."""
        said = self.sections["modem"]() if "modem" in self.sections else None
        return said if isinstance(said, ModemSection) else None

    def _add(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._parts.append(Part(name, run, self._on_change))

    def _add_modem(self) -> None:
        from agent.serial.modem.data import Counted, DataCount  # noqa: PLC0415
        from agent.serial.modem.recovery import Helpers  # noqa: PLC0415
        from agent.serial.modem.watch import ModemWatch  # noqa: PLC0415

        settings = self._settings
        ledger = Ledger(settings.device.state_dir / "modem-data.json", TypeAdapter(Counted), in_background)
        count = DataCount(
            ledger, lambda: _month(settings.data_plan.first_day), lambda: read_moment().is_clock_set
        )
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        helpers = Helpers(Path(folder) if folder else None)
        (modem, set_apn), first = self._make_modem(count, helpers), len(self._parts)
        recovery = self._add_recovery(modem, helpers) if settings.modem.recovery.enabled else None
        if settings.sms.enabled:
            self._lifeline = self._add_lifeline(modem, recovery, set_apn)
        watch = ModemWatch(modem, lambda kind, words: self._on_event(kind, words, {}), self._on_change)
        tellers = [one.told for one in (recovery, self._lifeline) if one is not None]
        self.handlers["modem-history"] = lambda _, __: watch.history()
        self._add("modem", modem.run)
        self._add("modem-watch", watch.run)
        self.sections["modem"] = partial(
            told, lambda: reduce(lambda said, tell: tell(said), tellers, watch.section()), self._parts[first:]
        )

    def _make_modem(self, count: "DataCount", helpers: "Helpers") -> tuple["Modem", Callable[[str], None]]:
        """And who gives its connection another access point name: itself, or NetworkManager by root."""
        if self._settings.modem.backend == "at":
            from agent.serial.modem.routes import share_device  # noqa: PLC0415
            from agent.serial.modem.wire import WireModem  # noqa: PLC0415

            modem = WireModem(
                self._settings.modem,
                count,
                self._on_change,
                self._on_event,
                on_sms=self._reader,
                has_receiver=partial(share_device, self._settings.modem.port, self._settings.gnss.port),
            )
            return modem, modem.set_apn
        from agent.serial.modem.modem_manager import ManagedModem  # noqa: PLC0415
        from agent.serial.modem.routes import is_on_device  # noqa: PLC0415
        from agent.serial.modem.second_port import SecondPort  # noqa: PLC0415

        second = SecondPort(self._settings.modem.port)
        self._add("modem-second-port", second.run)
        managed = ManagedModem(
            count,
            on_sms=self._reader,
            has_receiver=partial(is_on_device, self._settings.gnss.port),
            temperature_c=lambda: second.temperature_c,
        )
        return managed, helpers.set_apn

    @property
    def _reader(self) -> Callable[[str], Awaitable[str | None]] | None:
        return self._on_sms if self._settings.sms.enabled else None

    def _add_recovery(self, modem: "Modem", helpers: "Helpers") -> "Recovery":
        from agent.serial.modem.ladder import Memory  # noqa: PLC0415
        from agent.serial.modem.recovery import Recovery, World  # noqa: PLC0415
        from agent.serial.modem.routes import other_ways  # noqa: PLC0415

        around, settings = self._around, self._settings
        second = settings.modem.recovery.second_address
        urls = [broker_settings(settings).url, *([f"mqtt://{second}"] if second else [])]
        world = World(
            is_connected=lambda: around.broker.connected,
            reach=partial(is_reached, [Dialer(parse_endpoint(url)) for url in urls]),
            has_media=lambda: around.sessions.has_media,
            has_second=second is not None,
            other_ways=lambda: other_ways(settings.modem.interface, modem.device),
            is_plan_spent=lambda: around.allowance is not None and around.allowance.usage.is_exceeded,
            is_voltage_low=is_voltage_low,
            may_reboot=lambda: around.power.can_reboot and not around.releases.is_on_trial,
            reboot=self._reboot,
        )
        recovery = Recovery(
            modem,
            world,
            helpers,
            Ledger(settings.device.state_dir / "modem-recovery.json", TypeAdapter(Memory)),
            self._on_event,
            time.monotonic,
            reboots_a_day=settings.modem.recovery.reboots_a_day,
        )
        self._add("modem-recovery", recovery.run)
        self._add("modem-supply", recovery.watch_supply)
        return recovery

    def _add_lifeline(
        self, modem: "Modem", recovery: "Recovery | None", set_apn: Callable[[str], None]
    ) -> "Lifeline":
        from agent.serial.modem.acts import Acts  # noqa: PLC0415
        from agent.serial.modem.inbox import ANSWERED_S  # noqa: PLC0415
        from agent.serial.modem.sms import Heard, Lifeline, Now  # noqa: PLC0415

        around, device = self._around, self._settings.device
        acts = Acts(
            __version__,
            modem,
            lambda: recovery.words if recovery else "",
            lambda: around.allowance,
            partial(self._reboot, ANSWERED_S),
            set_apn,
        )
        lifeline = Lifeline(
            device.id,
            self._is_portals,
            acts.by_verb(),
            Ledger(device.state_dir / "sms.json", TypeAdapter(Heard), in_background),
            lambda: Now(time.time(), read_moment().is_clock_set, time.monotonic()),
        )
        self._add("sms", lifeline.run)
        return lifeline

    def _reboot(self, pause_s: float = PAUSE_S) -> None:
        """Raises CommandError."""
        if self._around.releases.is_on_trial:
            raise CommandError("busy", "a release is on trial: wait until it has proven itself")
        self._around.power.reboot(pause_s)

    def _is_portals(self, signed: bytes, signature: bytes) -> bool:
        return self._around.service.is_portals(signed, signature)

    async def _on_sms(self, text: str) -> str | None:
        if (lifeline := self._lifeline) is None:
            return None
        before, answer = lifeline.heard, await lifeline.on_sms(text)
        if lifeline.heard is not before:
            self._on_change()
        return answer

    def _add_gnss(self) -> None:
        from agent.serial.gnss.locator import Locator  # noqa: PLC0415

        locator = Locator(self._settings.gnss, self._on_change, self._on_event)
        self._add("gnss", locator.run)
        self.sections["gnss"] = partial(told, locator.section, tuple(self._parts[-1:]))

    def _add_ptz(self, tell: Callable[[str, Result], None]) -> None:
        from agent.serial.ptz.album import Scene  # noqa: PLC0415
        from agent.serial.ptz.memory import Memory  # noqa: PLC0415
        from agent.serial.ptz.wiring import build  # noqa: PLC0415

        around, state_dir = self._around, self._settings.device.state_dir
        scene = Scene(
            take=around.take_icon,
            is_seen=around.is_seen,
            masks=lambda: around.privacy.section().version,
        )
        ptz = build(
            self._settings.ptz,
            Ledger(state_dir / "ptz.json", TypeAdapter(Memory), in_background),
            clock=time.monotonic,
            tell=tell,
            on_change=self._on_change,
            on_event=self._on_event,
            on_place=lambda preset: around.privacy.on_place(preset),  # noqa: PLW0108  # built later
            on_other=lambda preset: around.privacy.on_other_preset(preset),  # noqa: PLW0108
            pictures=(state_dir / "presets", scene),
        )
        self.sections["ptz"] = ptz.desk.section
        self.handlers |= ptz.orders.handlers()
        self.works |= ptz.orders.works()
        self.open_stick, self.on_right_lost = ptz.desk.open, ptz.desk.on_right_lost
        self.is_head_moving = lambda: ptz.desk.head.is_moving(time.monotonic())
        self._add("ptz", ptz.runner.run)
        self._stops.append(ptz.runner.stop)
        if (album := ptz.album) is not None:
            self._stops.append(album.close)
            self.pictures["ptz-picture"] = album.find


def _no_modem(_order: Order, _arguments: object) -> object:
    raise CommandError("no-modem", "this camera has no modem, or none that `[modem]` of its settings names")


def _month(first_day: int) -> str:
    """First day of the plan's month that is now; empty while the clock is wrong."""
    now_s = time.time()
    return month_of(now_s, first_day).isoformat() if now_s >= EARLIEST_UNIX_S else ""
