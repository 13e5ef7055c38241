"""What moves from sample to sample, and whether it goes somewhere: what waves at one place does not. Pure."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.motion.grid import Box

MAX_TRACKS = 12
REACH_CELLS, REACH_IN_RAIN_CELLS = 2, 1
"""So much may lie between a thing and where it was a sample ago: a run across the picture in two seconds."""
LOST_S = 0.9
"""A thing that is not seen for so long, behind a pole, is another one."""
SPANS = (5, 7, 9, 11, 13, 15, 18)
"""Samples over which a way is judged: who runs is told of within a second, who strolls once that is far."""
WAY_CELLS = 2.0
"""It must have come so far; a twentieth of the picture, and a bit."""
GROWTH_CELLS = 1.5
"""By so much the side must grow of a square that is as large as it."""
RESTLESS_SPAN = 9
ASTRAY = 0.15
"""So far, in ways, may it be from the straight line in the mean; what jumps about is 0.3 off."""
STRAIGHT_CELLS, STRAIGHT = 1.5, 0.08
"""A way so much straighter need not be as long."""
RESTLESS_FACTOR = 2.0
"""In cells that often change a thing must come so much further."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Cells that differ and touch each other, in one sample."""

    x: float
    y: float
    """Its middle, in cells, weighted by how much each differs."""
    box: Box
    cells: frozenset[int]
    contrast: float
    """By how many times its threshold it differs, in the mean of its cells."""
    is_light: bool
    """It looks like light that falls on what was there."""
    is_restless: bool
    """Most of its cells change every now and then."""


@dataclass(eq=False, slots=True)
class Track:
    """One thing, from when it was first seen."""

    blobs: deque[Blob] = field(default_factory=lambda: deque(maxlen=max(SPANS)))
    last_us: int = 0
    is_thing: bool = False
    """It has come far enough to be one, and stays one."""
    is_fresh: bool = False
    """It was seen in the last sample."""
    way: set[int] = field(default_factory=set)
    """The cells of which `take_way` has told."""

    def add(self, blob: Blob, now_us: int) -> None:
        self.blobs.append(blob)
        self.last_us, self.is_fresh = now_us, True
        self.is_thing = self.is_thing or self._has_come_far()

    def take_way(self) -> set[int]:
        """Cells that it came over, each once."""
        cells = set[int]().union(*(blob.cells for blob in self.blobs)) - self.way
        self.way |= cells
        return cells

    def _has_come_far(self) -> bool:
        blobs = list(self.blobs)
        return any(
            _goes_somewhere(blobs[-span:]) or _comes_closer(blobs[-span:])
            for span in SPANS
            if len(blobs) >= span
        )


def _comes_closer(blobs: list[Blob]) -> bool:
    """Whether they grow or shrink steadily: who walks towards the camera stays at one place."""
    count = len(blobs)
    if count < RESTLESS_SPAN or sum(blob.is_light or blob.is_restless for blob in blobs) * 2 > count:
        return False
    sides, off = _line([math.sqrt(len(blob.cells)) for blob in blobs])
    return abs(sides) >= GROWTH_CELLS and off <= ASTRAY * abs(sides)


def _goes_somewhere(blobs: list[Blob]) -> bool:
    """Whether they lie along a way, in their order: the straight line through places and time tells."""
    count = len(blobs)
    if sum(blob.is_light for blob in blobs) * 2 > count:
        return False
    is_restless = sum(blob.is_restless for blob in blobs) * 2 > count
    if is_restless and count < RESTLESS_SPAN:
        return False
    xs, ys = _line([blob.x for blob in blobs]), _line([blob.y for blob in blobs])
    way, off = math.hypot(xs[0], ys[0]), math.hypot(xs[1], ys[1])
    if is_restless:
        return way >= RESTLESS_FACTOR * WAY_CELLS and off <= ASTRAY * way
    return (way >= WAY_CELLS and off <= ASTRAY * way) or (way >= STRAIGHT_CELLS and off <= STRAIGHT * way)


def _line(places: list[float]) -> tuple[float, float]:
    """How far a straight line through places at equal times goes, and the deviation from it."""
    count = len(places)
    middle, mean = (count - 1) / 2, sum(places) / count
    slope = sum((at - middle) * place for at, place in enumerate(places)) / (count * (count**2 - 1) / 12)
    off = sum((place - mean - slope * (at - middle)) ** 2 for at, place in enumerate(places)) / count
    return slope * (count - 1), math.sqrt(off)


class Tracks:
    """All that are followed at a time."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []

    def clear(self) -> None:
        self._tracks.clear()

    def follow(self, blobs: Iterable[Blob], now_us: int, reach_cells: int = REACH_CELLS) -> list[Track]:
        """Take a sample's blobs; the tracks of things that are in it."""
        self._tracks = [track for track in self._tracks if now_us - track.last_us <= LOST_S * 1e6]
        for track in self._tracks:
            track.is_fresh = False
        for blob in sorted(blobs, key=lambda blob: len(blob.cells), reverse=True)[:MAX_TRACKS]:
            if found := self._nearest(blob, reach_cells) or self._new():
                found.add(blob, now_us)
        return [track for track in self._tracks if track.is_fresh and track.is_thing]

    def _new(self) -> Track | None:
        if len(self._tracks) >= MAX_TRACKS:
            return None
        self._tracks.append(Track())
        return self._tracks[-1]

    def _nearest(self, blob: Blob, reach_cells: int) -> Track | None:
        near = [
            (math.hypot(track.blobs[-1].x - blob.x, track.blobs[-1].y - blob.y), track)
            for track in self._tracks
            if not track.is_fresh and track.blobs[-1].box.gap(blob.box) <= reach_cells
        ]
        return min(near, key=lambda pair: pair[0])[1] if near else None
