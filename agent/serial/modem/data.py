"""How much data a modem has carried this month. Its own counters begin anew with each connection."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field, with_config

from agent.model.sections import InterfaceBytes
from agent.model.signal import STRICT

_INTERFACE = re.compile(r"[A-Za-z0-9_-]{1,15}")
"""A name of the kernel's (IFNAMSIZ) that is no path."""
_KERNELS = "interface "
"""What the kernel counted since the machine started, of whatever went that way before."""
MODEMS = "modem "
"""What the modem counted since it started, of whatever it carried before."""
_EARLIER = (_KERNELS, MODEMS)
MAX_INTERFACES = 8
_PPP = "512"
"""linux/if_arp.h"""
_MAX_LAST = 16
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one data connection has carried, by the modem's count."""

    bearer: str
    """Which connection: the count of another one begins at 0; an interface's or a modem's where it is first
    seen."""
    received_bytes: int
    sent_bytes: int


def interface_traffic(name: str, root: Path = Path("/sys/class/net")) -> Traffic | None:
    """What the kernel counted of a network interface; None where there is no such."""
    if not _INTERFACE.fullmatch(name):
        return None
    counts = []
    for way in ("rx_bytes", "tx_bytes"):
        try:
            counts.append(int((root / name / "statistics" / way).read_text()))
        except (OSError, ValueError):
            return None
    return Traffic(f"{_KERNELS}{name}", *counts)


def interfaces(root: Path = Path("/sys/class/net")) -> tuple[InterfaceBytes, ...]:
    """What the kernel counted of each network interface that a cable, an antenna or a modem is behind.

    Not of tunnels and bridges, whose bytes go through another one too.
    """
    try:
        names = sorted(each.name for each in root.iterdir() if _is_device(each))
    except OSError:
        return ()
    counts = ((name, interface_traffic(name, root)) for name in names)
    found = [InterfaceBytes(name, one.received_bytes, one.sent_bytes) for name, one in counts if one]
    return tuple(found[:MAX_INTERFACES])


def _is_device(folder: Path) -> bool:
    try:
        return (folder / "device").exists() or (folder / "type").read_text().strip() == _PPP
    except OSError:
        return False


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Counted:
    """All that the modem carried since the first day of a month."""

    since: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""
    """`YYYY-MM-DD`; empty as long as the clock is wrong."""
    received_bytes: Count = 0
    sent_bytes: Count = 0
    last: Annotated[Mapping[str, tuple[Count, Count]], Field(max_length=_MAX_LAST)] = field(
        default_factory=dict
    )
    """Received and sent by connection, as they were when they were last looked at; the oldest look first."""


class Record(Protocol):
    """Where the count survives a restart."""

    def load(self) -> Counted | None: ...
    def keep(self, value: Counted, now_s: float, *, is_urgent: bool = False) -> None: ...
    def write(self, value: Counted) -> None: ...


class Forgets:
    """The record of a visit, which counts for itself: nothing is kept."""

    def load(self) -> Counted | None:
        """Nothing was."""
        return None

    def keep(self, value: Counted, now_s: float, *, is_urgent: bool = False) -> None:
        """Nothing is."""

    def write(self, value: Counted) -> None:
        """Nor at the end."""


class DataCount:
    """One a modem."""

    def __init__(self, record: Record, month: Callable[[], str], is_clock_set: Callable[[], bool]) -> None:
        """`month` says its first day, `YYYY-MM-DD`; empty where the clock is wrong.

        `is_clock_set`: by a time service, since the machine started.
        """
        self._record, self._month, self._is_clock_set = record, month, is_clock_set
        self.counted = record.load() or Counted()

    def add(self, traffic: Iterable[Traffic], now_s: float) -> None:
        """Take in what all connections say now."""
        self.counted = advance(self.counted, tuple(traffic), self._month(), is_clock_set=self._is_clock_set())
        self._record.keep(self.counted, now_s)

    def close(self) -> None:
        """Write what was counted last."""
        self._record.write(self.counted)


def advance(
    counted: Counted, traffic: tuple[Traffic, ...], month: str, *, is_clock_set: bool = True
) -> Counted:
    """What is new counts. A count that is less than before is of a new connection, and is new as a whole.

    A connection that is missing from one look goes on later. An interface is let go as soon as another counts
    in its place: what went through it meanwhile would count twice.
    """
    if month > counted.since and counted.since:
        counted = Counted(month, last=counted.last)
    elif month and (is_clock_set or not counted.since):
        # What was counted while the clock was wrong, in the past or in the future, was sent all the same. A
        # clock that nobody has set since the start may be days behind: it takes no month back.
        counted = replace(counted, since=month)
    received_bytes, sent_bytes = counted.received_bytes, counted.sent_bytes
    for one in traffic:
        now = (one.received_bytes, one.sent_bytes)
        before = counted.last.get(one.bearer, now if one.bearer.startswith(_EARLIER) else (0, 0))
        if one.received_bytes < before[0] or one.sent_bytes < before[1]:
            before = (0, 0)
        received_bytes += one.received_bytes - before[0]
        sent_bytes += one.sent_bytes - before[1]
    return Counted(counted.since, received_bytes, sent_bytes, _last(counted.last, traffic))


def _last(before: Mapping[str, tuple[int, int]], traffic: tuple[Traffic, ...]) -> dict[str, tuple[int, int]]:
    if not traffic:
        return dict(before)
    now = {one.bearer: (one.received_bytes, one.sent_bytes) for one in traffic}
    away = {key: counts for key, counts in before.items() if key not in now and not key.startswith(_KERNELS)}
    return dict([*away.items(), *now.items()][-_MAX_LAST:])
