"""Has the modem do what the ladder asks for, and tells of it. Steps that need root are asked of systemd."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from agent.errors import MessageError, ModemError
from agent.model.event import EventKind
from agent.model.sections import ModemSection
from agent.model.signal import Detail
from agent.model.threads import save_in_thread
from agent.serial.modem.ladder import (
    DAY_S,
    GENTLE,
    Facts,
    Held,
    Hindrance,
    Ladder,
    Memory,
    Recovered,
    Step,
    Take,
)
from agent.serial.modem.status import Modem, ModemStatus

log = logging.getLogger(__name__)

TICK_S = 5.0
SUPPLY_S = 1.5
"""So often the supply is asked: a dip shows for two seconds (agent/device/supply.py)."""
CAUSE_S = 120.0
"""An outage that begins so soon after a dip comes of it: MQTT notices a loss up to 45 s late, and a modem
that restarts does not always find its network again."""
ACT_S: Mapping[Step, float] = {"renew-bearer": 15.0, "cycle-radio": 30.0, "reset-modem": 15.0}
"""A back end that has not answered by then hangs with its modem. The radio is longest: who is cut off between
off and on leaves it off."""
FAULT_S = 120.0
"""A modem that was not `connected` for so long is at fault by its own word: a sound one is back 90 s after
a gentle step at the latest."""
STEADY_S = 30.0
"""A connection that has lasted so long is one: a modem that hangs may say so for one look, now and then."""
KEEP_S = 600.0
"""So often the day's counts grow older on disk, and a new record in its first day, since only one that has
lived may ask for a reboot. A card does not wear by it."""
UNITS = Path("/etc/systemd/system")
_BY_MODEM: frozenset[Step] = frozenset({"renew-bearer", "cycle-radio", "reset-modem"})
_HELPERS: Mapping[Step, str] = {"reauthorize-usb": "modem-usb", "power-cycle": "modem-power"}
_APN = "modem-apn"
"""The role `modem` installs `pinhole-NAME.path`, which sees the file NAME in the agent's runtime folder."""
_HINDRANCES: Mapping[Hindrance, str] = {
    "sim-missing": "there is no SIM card",
    "sim-locked": "the SIM card wants its PIN or PUK",
    "denied": "the network refuses the SIM card",
    "no-coverage": "no cell is in reach",
    "plan-spent": "the data plan is used up",
}
_STEPS: Mapping[Step, str] = {
    "renew-bearer": "a new data connection",
    "cycle-radio": "radio off and on",
    "reset-modem": "a reset of the modem",
    "reauthorize-usb": "a new start of its USB port",
    "power-cycle": "its power off and on",
    "reboot": "a reboot of the device",
}
NO_PROOF = (
    "the modem says that it is connected, and the portal may be what is away: no reset and no reboot. "
    "modem.recovery.second_address would tell"
)
UNDER_VOLTAGE = "the supply's voltage is too low: use the official supply and a short, thick cable"

OnEvent = Callable[[EventKind, str, dict[str, Detail]], None]


class Record(Protocol):
    """Where the counts outlive the agent."""

    def load(self) -> Memory | None: ...
    def write(self, value: Memory) -> None: ...


@dataclass(frozen=True, slots=True)
class World:
    """What recovery asks of the rest of the agent."""

    is_connected: Callable[[], bool]
    """The MQTT link is up."""
    reach: Callable[[], Awaitable[bool]]
    """Whether the broker's host answers all the same, or the second address; asked where the link is down.
    Ends within seconds."""
    has_second: bool
    """There is a second address."""
    other_ways: Callable[[], str]
    """Interfaces beside the modem that lead out of here; empty for none."""
    has_media: Callable[[], bool]
    is_plan_spent: Callable[[], bool]
    is_voltage_low: Callable[[], bool]
    """Or was, within the last two seconds."""
    may_reboot: Callable[[], bool]
    reboot: Callable[[], None]
    """Raises MessageError."""


def installed(units: Path = UNITS) -> frozenset[Step]:
    """The steps by root that this machine has."""
    return frozenset(step for step in _HELPERS if (units / _unit(step)).exists())


def _unit(step: Step) -> str:
    return f"pinhole-{_HELPERS[step]}.path"


class Helpers:
    """Steps that root does for an agent without any capability: it writes a file, and a unit sees it."""

    def __init__(self, folder: Path | None, units: Path = UNITS) -> None:
        """`folder` is the agent's runtime folder, None where no service manager started it."""
        self._folder, self._units = folder, units

    def able(self) -> frozenset[Step]:
        """Those that this device has the means for."""
        return frozenset() if self._folder is None else installed(self._units)

    def ask(self, step: Step) -> None:
        """Returns at once. Raises ModemError."""
        if self._folder is None or step not in installed(self._units):
            raise ModemError(f"nobody here does that for the agent: {_unit(step)} is missing")
        self._write(_HELPERS[step], "")

    def set_apn(self, apn: str) -> None:
        """Give NetworkManager's connection another access point name. Raises ModemError."""
        if self._folder is None or not (self._units / f"pinhole-{_APN}.path").exists():
            raise ModemError(f"nobody here does that for the agent: pinhole-{_APN}.path is missing")
        self._write(_APN, apn)

    def _write(self, name: str, text: str) -> None:
        assert self._folder is not None
        try:
            (self._folder / name).write_text(text)
        except OSError as exc:
            raise ModemError(f"cannot ask for it: {exc}") from exc


@dataclass(slots=True)
class _Outage:
    """A time without a path."""

    since_s: float
    held_by: Hindrance = ""
    """Why nothing was tried, until something is."""
    spared: str = ""
    """Why the modem is not held to be at fault."""
    was_reset: bool = False
    """By a step of ours."""
    is_voltage_low: bool = False
    """It was meanwhile, or shortly before."""

    @property
    def words(self) -> str:
        said = [f"no step helps: {_HINDRANCES[self.held_by]}"] if self.held_by else []
        said += [self.spared] if self.spared and not said else []
        return "; ".join([*said, UNDER_VOLTAGE] if self.is_voltage_low else said)


class Recovery:
    """One modem's."""

    def __init__(
        self,
        modem: Modem,
        world: World,
        helpers: Helpers,
        record: Record,
        on_event: OnEvent,
        clock: Callable[[], float],
        *,
        reboots_a_day: int,
    ) -> None:
        """`clock` is monotonic."""
        self._modem, self._world, self._helpers = modem, world, helpers
        self._record, self._on_event, self._clock = record, on_event, clock
        self._ladder = Ladder(clock(), record.load(), reboots_a_day=reboots_a_day)
        self._kept_s = clock()
        self._outage: _Outage | None = None
        self._last_words, self._last_s = "", 0.0
        """Of the outage before, and when it ended."""
        self._unconnected_s: float | None = None
        """Since when the modem says so, but for connections that did not last."""
        self._connected_s: float | None = None
        """Since when it says that it is connected."""
        self._had_card = False
        self._low_s: float | None = None
        """When the supply's voltage was too low, the last time."""

    def told(self, section: ModemSection) -> ModemSection:
        """A section of the state, with what was done for the modem."""
        memory = self._ladder.memory
        return replace(section, resets=memory.steps, last_step=memory.last_step, recovery=self.words)

    @property
    def words(self) -> str:
        """Why no step helps, and what is taken for the cause: now, or in the last outage of a day."""
        if self._outage:
            return self._outage.words
        is_fresh = self._last_words and self._clock() - self._last_s < DAY_S
        return f"last outage: {self._last_words}" if is_fresh else ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.look()

    async def watch_supply(self) -> None:
        """Until cancelled, beside `run`, whose look may last for a step."""
        while True:
            self.look_at_supply()
            await asyncio.sleep(SUPPLY_S)

    def look_at_supply(self) -> None:
        """Also while there is a path: what a dip does to a modem shows later, and the dip no more then."""
        if self._world.is_voltage_low():
            self._low_s = self._clock()

    async def look(self) -> None:
        """Once: is there a path, and what is to be done."""
        has_path = self._world.is_connected() or await self._world.reach()
        self._listen()
        spared = "" if has_path else self._spared()
        held_by = "" if has_path else hindrance(self._modem.status, self._world.is_plan_spent())
        able = self._able()
        if held_by == "sim-missing" and not spared and self._may_have_lost_sight_of_its_card:
            held_by, able = "", frozenset[Step]({"reset-modem"})
        self._note(has_path, held_by, spared)
        facts = Facts(has_path, self._world.has_media(), not spared, held_by, able)
        match self._ladder.decide(self._clock(), facts):
            case Take(step):
                is_done = await self._take(step)
                self._ladder.on_taken(self._clock(), is_done=is_done)
            case Held(reason):
                log.warning(f"no path to the portal, and nothing is tried: {_HINDRANCES[reason]}")
            case Recovered(after, lost_for_s) if after:
                details: dict[str, Detail] = {"step": after, "lost_s": round(lost_for_s)}
                words = f"the modem leads to the portal again after {_STEPS[after]}"
                self._on_event("modem-recovered", words, details)
        memory = self._ladder.memory
        is_growing = memory.taken or memory.lived_s < DAY_S
        if is_growing and self._clock() - self._kept_s >= KEEP_S:
            await self._keep()

    def _able(self) -> frozenset[Step]:
        reboot: frozenset[Step] = frozenset({"reboot"} if self._world.may_reboot() else ())
        return _BY_MODEM | self._helpers.able() | reboot

    def _listen(self) -> None:
        status = self._modem.status
        self._had_card |= status.sim == "ready"
        if status.state != "connected":
            self._connected_s = None
            if self._unconnected_s is None:
                self._unconnected_s = self._clock()
            return
        if self._connected_s is None:
            self._connected_s = self._clock()
        if self._clock() - self._connected_s >= STEADY_S:
            self._unconnected_s = None

    def _spared(self) -> str:
        """Why a path that is missing is no proof against the modem; empty where it is at fault.

        A portal that is away for a fleet must not have it reset and rebooted.
        """
        if ways := self._world.other_ways():
            return f"{ways} leads out of here too: no reset of the modem, and no reboot"
        if self._world.has_second:
            return ""
        if self._unconnected_s is None:
            return NO_PROOF
        is_down = self._clock() - self._unconnected_s >= FAULT_S
        return (
            "" if is_down else f"no reset before the modem has been without a connection for {FAULT_S:.0f} s"
        )

    @property
    def _may_have_lost_sight_of_its_card(self) -> bool:
        """Of a card that was seen.

        After a dip of its supply, or where it hangs, a modem says as much: one reset tells, if any is left.
        """
        was_reset = self._outage and self._outage.was_reset
        return self._had_card and not was_reset and self._ladder.has_left("reset-modem")

    def _note(self, has_path: bool, held_by: Hindrance, spared: str) -> None:
        if has_path and self._outage:
            self._last_words, self._last_s, self._outage = self._outage.words, self._clock(), None
        elif not has_path:
            self._outage = self._outage or _Outage(self._clock())
            self._outage.held_by, self._outage.spared = held_by or self._outage.held_by, spared
            self._outage.is_voltage_low |= (
                self._low_s is not None and self._outage.since_s - self._low_s <= CAUSE_S
            )

    async def _take(self, step: Step) -> bool:
        """Whether it was done; told either way."""
        is_kept = await self._keep()
        if step == "reboot" and not is_kept:  # or it would do so for ever
            log.error("no reboot for the modem: the disk does not keep how many there were")
            return False
        assert self._outage  # or the ladder would take none
        self._outage.held_by = ""
        self._outage.was_reset |= step not in GENTLE
        lost_for_s = self._clock() - self._outage.since_s
        words = f"no path to the portal for {lost_for_s:.0f} s: {_STEPS[step]}"
        details: dict[str, Detail] = {"step": step, "lost_s": round(lost_for_s)}
        if self._outage.is_voltage_low:
            words += f"; {UNDER_VOLTAGE}"
            details["cause"] = "under-voltage"
        try:
            async with asyncio.timeout(ACT_S.get(step)):
                await self._do(step)
        except (ModemError, MessageError, TimeoutError) as exc:
            words += f" ({str(exc) or 'no answer'})"
            details["failed"] = True
        log.warning(words)
        self._on_event("modem-reset", words, details)
        return "failed" not in details

    async def _do(self, step: Step) -> None:
        match step:
            case "renew-bearer":
                await self._modem.renew_bearer()
            case "cycle-radio":
                await self._modem.cycle_radio()
            case "reset-modem":
                await self._modem.reset_modem()
            case "reboot":
                self._world.reboot()
            case _:
                self._helpers.ask(step)

    async def _keep(self) -> bool:
        """Whether the disk holds it now."""
        memory = self._ladder.memory
        self._kept_s = self._clock()
        return await save_in_thread("modem recovery", partial(self._write, memory))

    def _write(self, memory: Memory) -> bool:
        self._record.write(memory)
        return self._record.load() == memory


def hindrance(status: ModemStatus, is_plan_spent: bool) -> Hindrance:
    """Why no step can help a modem in this state, where that is so."""
    match status.state:
        case "sim-missing" | "sim-locked" | "denied":
            return status.state
        case "searching" if status.rsrp_dbm is None and status.rssi_dbm is None:
            return "no-coverage"  # with a cell heard, it hangs
        case "registered" | "connected" if is_plan_spent:
            return "plan-spent"  # the network cuts it off; one that is absent or fails hangs all the same
        case _:
            return ""
