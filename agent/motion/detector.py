"""Pictures in, motion out. Pure: time is an argument.

A sample's cells are compared with the background; those that differ and touch are a blob; blobs that follow
each other are a track, and a track that goes somewhere is a thing that moves.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.model.motion import Luma, Tuning
from agent.motion.background import Background, Change
from agent.motion.calm import Calm
from agent.motion.grid import Box, box_of, clusters
from agent.motion.places import lay
from agent.motion.tracks import REACH_CELLS, REACH_IN_RAIN_CELLS, Blob, Track, Tracks

WARM_S = 2.0
"""After a start, a switch of the light or a turn of the head nothing counts: exposure settles."""
LEARNING_S = 1.0
"""Of that, the picture is taken for the background as it is."""
FLASH_SHARE = 0.5
"""More of the picture than this cannot be a thing: it is lightning, or the light was switched."""
FIRST_S = 15.0
"""What moves so soon may be what always does: it must come further to count."""
RAW_FLASH_SHARE = 0.8
"""The same before it is made up for a light that all of the picture shares."""
FLASH_S = 1.2
"""Lightning is over by then; what stays is another light."""
GAP_S = 3.0
"""A pause between two samples after which what was known is old."""
LIGHT_CELLS = 10
LIGHT_LIKENESS = 0.7
"""How closely a patch must follow what it hides to be the same in another light: 1 is exactly."""
LIGHT_SPREAD = 2.0
"""Levels of luma from cell to cell by which what it hides must vary, for that to say anything."""


@dataclass(frozen=True, slots=True)
class Motion:
    """What one sample showed."""

    at_us: int
    is_moving: bool = False
    zones: tuple[str, ...] = ()
    """Names of those in which something moves; the whole picture has none."""
    score: float = 0.0
    """How clearly, 0 to 1."""
    box: Box | None = None
    """Around all that moves."""
    cells: frozenset[int] = frozenset()
    """Those that move, ..."""
    differing: frozenset[int] = frozenset()
    """... and all that differ from the background."""
    note: str = ""
    """Why nothing counts: `learning`, `light`, `turning`."""


class Detector:
    """For one camera. Not for several threads."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._size = (0, 0)
        self._places = lay(tuning, 1, 1)
        self._background = Background(self._places.thresholds, 1, 1)
        self._tracks = Tracks()
        self._calm = Calm()
        self._is_turning = False
        self._begun_us = self._last_us = 0
        self._flash_since_us: int | None = None
        self._is_known = False
        """There is a background."""

    @property
    def is_raining(self) -> bool:
        """What lights up for a moment alone is passed over."""
        return self._calm.is_raining

    def tune(self, tuning: Tuning) -> None:
        """Go on with other zones and sensitivity, and with what was learned."""
        self._tuning = tuning
        self._places = lay(tuning, *self._size) if self._size[0] else self._places
        if self._size[0]:
            self._background.retune(self._places.thresholds)
        self._tracks.clear()

    def on_moving(self, *, is_moving: bool, now_us: int) -> None:
        """Its own head turns, or has come to a stand."""
        self._is_turning = is_moving
        self._tracks.clear()
        self._begin(now_us)

    def on_picture(self, luma: Luma) -> Motion:
        """Take one sample."""
        now_us = luma.capture_us
        if (luma.width_px, luma.height_px) != self._size:
            self._resize(luma)
        if not self._is_known or not 0 <= now_us - self._last_us <= GAP_S * 1e6:
            self._begin(now_us)
        dt_s, self._last_us = max(0.0, (now_us - self._last_us) / 1e6), now_us
        luma = self._calm.take(luma)
        if self._is_turning:
            self._begin(now_us)
            return Motion(now_us, note="turning")
        age_s = (now_us - self._begun_us) / 1e6
        if age_s < LEARNING_S or not self._is_known:
            self._background.reset(luma.data)
            self._is_known = True
            return Motion(now_us, note="learning")
        change = self._background.compare(luma.data)
        if change.share > FLASH_SHARE or change.raw_share > RAW_FLASH_SHARE:
            return self._flash(luma, change)
        self._flash_since_us = None
        self._background.learn(luma.data, change, dt_s, is_new=age_s < FIRST_S)
        if age_s < WARM_S:
            return Motion(now_us, differing=change.cells, note="learning")
        return self._judge(luma, change, is_new=age_s < FIRST_S)

    def _resize(self, luma: Luma) -> None:
        self._size = (luma.width_px, luma.height_px)
        self._places = lay(self._tuning, *self._size)
        self._background = Background(self._places.thresholds, *self._size)
        self._is_known = False
        self._tracks.clear()

    def _begin(self, now_us: int) -> None:
        self._is_known, self._flash_since_us, self._last_us = False, None, now_us
        self._begun_us = now_us
        self._tracks.clear()

    def _flash(self, luma: Luma, change: Change) -> Motion:
        """The whole picture differs: the background waits, and is given up where it stays so."""
        now_us = luma.capture_us
        self._flash_since_us = now_us if self._flash_since_us is None else self._flash_since_us
        if now_us - self._flash_since_us > FLASH_S * 1e6:
            self._begin(now_us)
        return Motion(now_us, differing=change.cells, note="light")

    def _judge(self, luma: Luma, change: Change, *, is_new: bool) -> Motion:
        blobs = list(self._blobs(luma, change, is_new=is_new))
        reach_cells = REACH_IN_RAIN_CELLS if self._calm.is_raining else REACH_CELLS
        things = self._tracks.follow(blobs, luma.capture_us, reach_cells)
        if not things:
            return Motion(luma.capture_us, differing=change.cells)
        for thing in things:
            self._background.forgive(thing.take_way())
        cells = frozenset[int]().union(*(thing.blobs[-1].cells for thing in things))
        names = sorted({name for thing in things for name in self._names(thing)})
        return Motion(
            luma.capture_us,
            is_moving=True,
            zones=tuple(name for name in names if name),
            score=max(_score(thing) for thing in things),
            box=box_of(cells, luma.width_px),
            cells=cells,
            differing=change.cells,
        )

    def _names(self, thing: Track) -> list[str]:
        return self._places.names(thing.blobs[-1].cells)

    def _blobs(self, luma: Luma, change: Change, *, is_new: bool) -> Iterator[Blob]:
        columns, background = luma.width_px, self._background
        differences, limits = background.differences, background.limits
        for cells in clusters(change.cells, columns, luma.height_px):
            found = frozenset(cells)
            if found.isdisjoint(change.changing) or not self._places.names(found):
                continue
            weights = [abs(differences[cell]) for cell in cells]
            total = sum(weights)
            yield Blob(
                sum(w * (cell % columns) for w, cell in zip(weights, cells, strict=True)) / total,
                sum(w * (cell // columns) for w, cell in zip(weights, cells, strict=True)) / total,
                box_of(cells, columns),
                found,
                sum(w / limits[cell] for w, cell in zip(weights, cells, strict=True)) / len(cells),
                is_light(cells, luma.data, background.mean, columns),
                is_new or sum(background.is_restless(cell) for cell in cells) * 2 > len(cells),
            )


def is_light(cells: list[int], shown: Sequence[float], hidden: Sequence[float], columns: int) -> bool:
    """Whether a patch is what it hides in another light: from cell to cell it then differs as that did."""
    if len(cells) < LIGHT_CELLS:
        return False
    inside, both, own, known, pairs = set(cells), 0.0, 0.0, 0.0, 0
    for cell in cells:
        for other in (cell + 1, cell + columns):
            if other in inside:
                one, two = shown[other] - shown[cell], hidden[other] - hidden[cell]
                both, own, known, pairs = both + one * two, own + one * one, known + two * two, pairs + 1
    if pairs == 0 or known < LIGHT_SPREAD**2 * pairs:
        return False
    return bool(both >= LIGHT_LIKENESS * math.sqrt(own * known))


def _score(thing: Track) -> float:
    """Twice its threshold is clear, four times is as clear as it gets."""
    contrast = max(blob.contrast for blob in thing.blobs)
    return round(max(0.0, min(1.0, (contrast - 1.0) / 3.0)), 2)
