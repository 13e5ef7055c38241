"""Where the receiver is, of all that it says, and which of that goes out. Pure: time is an argument."""

import math
from dataclasses import dataclass

from agent.serial.gnss.nmea import Gga, Gsa, Place, Rmc, Said

STALE_S = 10.0
"""A position that nothing repeats for so long is none: receivers say theirs once a second."""
ROLLOVER_S = 1024 * 7 * 86400
"""GPS counts its weeks in ten bits (IS-GPS-200 section 20.3.3.3.1.1)."""
MAX_ROLLOVERS = 2
"""Weeks of ten bits since 1980: two eras are over."""
EARTH_RADIUS_M = 6_371_000.0

EVERY_S, SOONEST_S, MOVED_M = 60.0, 10.0, 50.0


@dataclass(frozen=True, slots=True)
class Fix:
    """A position that satellites vouch for."""

    place: Place
    dimensions: int
    """2 or 3; 0 where the receiver has not said."""
    satellites: int
    """That are used; 0 where the receiver has not said."""
    time_unix_s: float | None
    """When, by the receiver, with what its rollovers took away; None before it knows."""
    rollovers: int
    """How often its count of weeks ran over unnoticed: each is 1024 weeks that its date is behind."""


def corrected(time_unix_s: float | None, floor_unix_s: float) -> tuple[float | None, int]:
    """A receiver's time at `floor_unix_s` or later, and how many times 1024 weeks that took.

    Corrected, and not refused: a receiver of 2005 has right satellites and a right place, and a date that is
    exactly one era behind. What is further in the past than eras ago is no date: None.
    """
    if time_unix_s is None:
        return None, 0
    for rollovers in range(MAX_ROLLOVERS + 1):
        if (time := time_unix_s + rollovers * ROLLOVER_S) >= floor_unix_s:
            return time, rollovers
    return None, 0


class Receiver:
    """Makes a fix of the sentences of one second. A sentence that says "no fix" takes it away at once."""

    def __init__(self, floor_unix_s: float) -> None:
        """`floor_unix_s`: no right date is before it."""
        self._floor_unix_s = floor_unix_s
        self._without: set[type[Said]] = set()
        """The kinds that last said there is none."""
        self._place: Place | None = None
        self._placed_s = -math.inf
        self._dimensions = self._satellites = self._rollovers = 0
        self._time_unix_s: float | None = None

    def take(self, said: Said, now_s: float) -> None:
        """One sentence; `now_s` is monotonic."""
        if isinstance(said, Gsa):
            self._dimensions = said.dimensions
            return
        if said.place is None:
            self._without.add(type(said))
        else:
            self._without.discard(type(said))
            self._place, self._placed_s = said.place, now_s
        if isinstance(said, Gga):
            self._satellites = said.satellites
        elif isinstance(said, Rmc):
            self._time_unix_s, self._rollovers = corrected(said.time_unix_s, self._floor_unix_s)

    def fix(self, now_s: float) -> Fix | None:
        """Where it is; None where it does not know, or has been silent for STALE_S."""
        if self._place is None or self._without or now_s - self._placed_s > STALE_S:
            return None
        return Fix(self._place, self._dimensions, self._satellites, self._time_unix_s, self._rollovers)


def distance_m(one: Place, other: Place) -> float:
    """Along the ground, on a sphere (haversine): within 0.6 % of the ellipsoid's."""
    phi, psi = math.radians(one.latitude_deg), math.radians(other.latitude_deg)
    height = math.sin((psi - phi) / 2) ** 2
    width = math.sin(math.radians(other.longitude_deg - one.longitude_deg) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(height + math.cos(phi) * math.cos(psi) * width)))


def rounded(place: Place, decimals: int) -> Place:
    """As much of it as may be known: 3 decimals are 111 m to the north."""
    return Place(round(place.latitude_deg, decimals), round(place.longitude_deg, decimals))


class Publication:
    """Which positions go out: another one each 60 s, sooner after 50 m, and never twice within 10 s."""

    def __init__(self, decimals: int | None) -> None:
        """To so many decimals of a degree; None for never."""
        self._decimals = decimals
        self._place: Place | None = None
        """As it was, not as it went out: what was rounded may have moved by half a step."""
        self._at_s = -math.inf
        self.shown: Place | None = None
        """What others may know: the last one stays while there is no fix, and may lead to a thief."""

    def take(self, place: Place, now_s: float) -> None:
        """Where it is at monotonic `now_s`."""
        if self._decimals is not None and self._is_due(place, now_s):
            self._place, self._at_s = place, now_s
            self.shown = rounded(place, self._decimals)

    def _is_due(self, place: Place, now_s: float) -> bool:
        waited_s = now_s - self._at_s
        if self._place is None or waited_s >= EVERY_S:
            return True
        return waited_s >= SOONEST_S and distance_m(place, self._place) >= MOVED_M
