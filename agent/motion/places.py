"""Where motion counts, and how much of it: zones and sensitivity, laid over the grid. Pure."""

import math
from dataclasses import dataclass

from agent.model.motion import Tuning, Zone
from agent.motion.grid import cells_in

DEEP = math.inf
"""The threshold of a cell in which nothing counts."""
HALF = 25.0
"""So much more sensitivity halves the threshold."""
MIDDLE, FINEST = 6.0, 2.0
"""Levels of luma, 0 to 255, at sensitivity 50, and at the least: a cell's mean is rounded to one level."""


def threshold(sensitivity: int) -> float:
    """How much a cell's mean must differ from the background."""
    return max(FINEST, MIDDLE * math.exp2((50 - sensitivity) / HALF))


@dataclass(frozen=True, slots=True)
class Place:
    """Where motion counts, with its own measure."""

    name: str
    """Empty for the whole picture."""
    cells: frozenset[int]
    min_cells: int


@dataclass(frozen=True, slots=True)
class Places:
    """A tuning, for one grid."""

    thresholds: tuple[float, ...]
    """By cell; `DEEP` where nothing counts."""
    places: tuple[Place, ...]

    def names(self, cells: frozenset[int]) -> list[str]:
        """In which places a thing of these cells is, and large enough for."""
        return [place.name for place in self.places if len(cells & place.cells) >= place.min_cells]


def lay(tuning: Tuning, columns: int, rows: int) -> Places:
    """What a tuning means on a grid; where zones overlap, the more sensitive one sets the threshold."""
    count = columns * rows
    ignored = frozenset[int]().union(
        *(cells_in(zone.points, columns, rows) for zone in tuning.zones if zone.is_ignored)
    )
    zones: list[Zone | None] = [zone for zone in tuning.zones if not zone.is_ignored]
    thresholds = [DEEP] * count
    places = []
    for zone in zones or [None]:
        inside = cells_in(zone.points, columns, rows) if zone else frozenset(range(count))
        sensitivity, min_cells = _measures(tuning, zone, count)
        for cell in inside - ignored:
            thresholds[cell] = min(thresholds[cell], threshold(sensitivity))
        places.append(Place(zone.name if zone else "", inside - ignored, min_cells))
    return Places(tuple(thresholds), tuple(places))


def _measures(tuning: Tuning, zone: Zone | None, count: int) -> tuple[int, int]:
    sensitivity = zone.sensitivity if zone else None
    percent = zone.min_size_percent if zone else None
    percent = tuning.min_size_percent if percent is None else percent
    return (
        tuning.sensitivity if sensitivity is None else sensitivity,
        max(1, math.ceil(count * percent / 100)),
    )
