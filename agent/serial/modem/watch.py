"""Watches a modem, by whichever back end: what people are told of it, and how its signal was over a day."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.model.event import EventKind
from agent.model.modem_history import MAX_SAMPLES, SAMPLE_S, ModemHistory
from agent.model.sections import ModemSection
from agent.serial.modem.data import interfaces
from agent.serial.modem.status import Modem, ModemStatus, section_of

LOOK_S = 10.0
ABSENT_S = 90.0
"""A modem that was reset is back by then."""
NO_SIM_S = 20.0
POOR_S, WELL_S = 300.0, 600.0
"""A signal is told as poor after so long, and may be told again after it was well for so long: at the edge of
a cell it is either many times an hour."""

_TELLS: tuple[tuple[EventKind, float, Callable[[ModemStatus], bool]], ...] = (
    ("modem-absent", ABSENT_S, lambda status: status.state == "absent"),
    ("sim-missing", NO_SIM_S, lambda status: status.state == "sim-missing"),
    ("signal-poor", POOR_S, lambda status: status.signal == "poor"),
)


@dataclass(slots=True)
class _Trouble:
    """One thing that may be wrong: for how long it is, or is not."""

    since_s: float | None = None
    well_since_s: float | None = None
    is_told: bool = False


@dataclass(slots=True)
class Troubles:
    """What is to be told, each once until it was well again. Pure; time is monotonic."""

    _all: dict[EventKind, _Trouble] = field(default_factory=dict)

    def see(self, status: ModemStatus, now_s: float) -> list[tuple[EventKind, str]]:
        """Events, with their words."""
        news: list[tuple[EventKind, str]] = []
        for kind, after_s, is_so in _TELLS:
            trouble = self._all.setdefault(kind, _Trouble())
            if is_so(status):
                trouble.since_s, trouble.well_since_s = trouble.since_s or now_s, None
                if not trouble.is_told and now_s - trouble.since_s >= after_s:
                    trouble.is_told = True
                    news.append((kind, words(kind, status)))
            else:
                trouble.since_s, trouble.well_since_s = None, trouble.well_since_s or now_s
                if now_s - trouble.well_since_s >= (WELL_S if kind == "signal-poor" else after_s):
                    trouble.is_told = False
        return news


def words(kind: EventKind, status: ModemStatus) -> str:
    """What somebody reads who can do something about it."""
    if kind != "signal-poor":
        return status.reason
    power_dbm = status.rsrp_dbm if status.rsrp_dbm is not None else status.rssi_dbm
    said = [f"{power_dbm:.0f} dBm"] if power_dbm is not None else []
    said += [f"{status.sinr_db:.0f} dB above noise"] if status.sinr_db is not None else []
    network = " ".join(filter(None, (status.operator, status.technology, status.band)))
    return f"{network or 'The network'}: {', '.join(said)}; another place or an outdoor antenna helps"


class History:
    """A day of samples, each the mean of what was seen in its time. Time is monotonic."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float | None, float | None, int | None]] = deque(maxlen=MAX_SAMPLES)
        self._seen: list[ModemStatus] = []
        self._begun_s: float | None = None
        self._sent_bytes: int | None = None

    def see(self, status: ModemStatus, now_s: float) -> None:
        """Take in what is now."""
        if self._begun_s is None:
            self._begun_s, self._sent_bytes = now_s, status.sent_bytes
        self._seen.append(status)
        if now_s - self._begun_s < SAMPLE_S:
            return
        self._samples.append(
            (
                _mean([each.rsrp_dbm for each in self._seen]),
                _mean([each.sinr_db for each in self._seen]),
                self._rate_bps(status, now_s - self._begun_s),
            )
        )
        self._seen, self._begun_s, self._sent_bytes = [], now_s, status.sent_bytes

    def told(self, unix_s: float) -> ModemHistory:
        """The oldest first; `unix_s` is now."""
        columns: list[tuple[float | None, ...]] = [tuple(each) for each in zip(*self._samples, strict=True)]
        rsrp_dbm, sinr_db, sent_bps = columns or [(), (), ()]
        return ModemHistory(
            until=unix_s,
            interval_s=SAMPLE_S,
            rsrp_dbm=rsrp_dbm,
            sinr_db=sinr_db,
            sent_bps=tuple(None if each is None else int(each) for each in sent_bps),
        )

    def _rate_bps(self, status: ModemStatus, seconds: float) -> int | None:
        if status.sent_bytes is None or self._sent_bytes is None:
            return None
        more_bytes = status.sent_bytes - self._sent_bytes
        return int(more_bytes * 8 / seconds) if more_bytes >= 0 else None  # a month began


def _mean(values: list[float | None]) -> float | None:
    known = [each for each in values if each is not None and math.isfinite(each)]
    return round(sum(known) / len(known), 1) if known else None


class ModemWatch:
    """One a modem."""

    def __init__(
        self,
        modem: Modem,
        on_event: Callable[[EventKind, str], None],
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_change` has the section told again: where it changed for people, and not with each decibel."""
        self._modem, self._on_event, self._on_change, self._clock = modem, on_event, on_change, clock
        self._troubles, self._history = Troubles(), History()
        self._told: tuple[object, ...] = ()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Once."""
        status, now_s = self._modem.status, self._clock()
        self._history.see(status, now_s)
        for kind, message in self._troubles.see(status, now_s):
            self._on_event(kind, message)
        shown = (status.state, status.signal, status.sim, status.operator, status.technology, status.band)
        if shown != self._told:
            self._told = shown
            self._on_change()

    def section(self) -> ModemSection:
        """What the device's state says of it."""
        return replace(section_of(self._modem.status), interfaces=interfaces())

    def history(self) -> ModemHistory:
        """The answer to the command `modem-history`."""
        return self._history.told(time.time())
