"""What each cell shows while nothing is there, how much it wavers, and which cells differ now. Pure.

Light that changes slowly, or as a whole, goes into the background at once; leaves and water, which come and
go at one place, raise the threshold of their cells.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.motion.grid import neighbours

BACKGROUND_S = 8.0
"""Time constant of the background where nothing is there, ..."""
COVERED_S = 60.0
"""... and where something is: it shall not become background while it passes."""
ABSORBED_S = 6.0
"""What stands still for so long is background: a car that has been parked."""
RISE_S, FALL_S = 20.0, 150.0
"""Of the noise: wind is learned in some gusts, and remembered over a lull."""
NEW_RISE_S = 5.0
NOISE_FACTOR = 3.5
"""So many times its usual wavering must a cell differ."""
NOISE_CLIP = 2.0
"""In thresholds: whoever walks by once does not count as noise."""
FLICKER_S = 45.0
"""A cell is remembered for having been covered so long ago."""
FLICKER_FREE = 1.5
"""So often may a cell be covered in that time; a leaf does it in every gust."""
REST = 4
"""Samples for which a cell must have been free to be covered anew: legs swing."""
FLICKER_STEP = 1.0
"""Thresholds by which each time more raises it."""
AGO = 4
"""Samples back with which a covered cell is compared: what stands still does not move."""
CHANGE_SHARE = 0.5
"""A covered cell changes where it differs from then by this share of its threshold."""
GAIN_MIN_LUMA = 12
GAIN_STEP = 0.01
"""A gain that is closer to 1 is none: means are rounded."""
MAX_DT_S = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """What differs in one sample."""

    cells: frozenset[int]
    """Cells that differ from the background ..."""
    changing: frozenset[int]
    """... and of those the ones that differ from a moment ago too."""
    raw_share: float
    """Of the cells that count: those that differ before the light is made up for."""
    share: float
    """And after."""


class Background:
    """For pictures of one size; new ones begin with `reset`."""

    def __init__(self, thresholds: Sequence[float], columns: int, rows: int) -> None:
        """By cell, what sensitivity asks for; infinite where nothing counts."""
        self.mean: list[float] = []
        self.differences: list[float] = []
        """Of the last sample: how much brighter each cell is than the background."""
        self.limits: list[float] = list(thresholds)
        """What each cell must differ by, now."""
        self._thresholds = tuple(thresholds)
        self._noise = [0.0] * len(thresholds)
        self._covered_s: dict[int, float] = {}
        """For how long a cell has been covered by what does not change."""
        self._flicker: dict[int, float] = {}
        self._touching = neighbours(columns, rows)
        self._seen: dict[int, int] = {}
        """In which sample a cell was last covered."""
        self._count = 0
        self._past: deque[bytes] = deque(maxlen=AGO)

    def retune(self, thresholds: Sequence[float]) -> None:
        """Go on with what was learned."""
        self._thresholds = tuple(thresholds)

    def reset(self, cells: bytes) -> None:
        """Begin with what is there: after a switch of the light, or a turn of the head."""
        self.mean = [float(cell) for cell in cells]
        self._noise = [0.0] * len(cells)
        self._covered_s, self._flicker, self._seen = {}, {}, {}
        self._past.clear()

    def is_restless(self, cell: int) -> bool:
        """It, or one that it touches, was covered again and again lately: a gust may reach further."""
        flicker = self._flicker
        return any(flicker.get(one, 0.0) > FLICKER_FREE for one in (cell, *self._touching[cell]))

    def compare(self, cells: bytes) -> Change:
        """What differs; nothing is learned yet."""
        mean, limits = self.mean, self.limits
        raw = sum(
            abs(cell - known) > limit
            for cell, known, limit in zip(cells, mean, self._thresholds, strict=True)
        )
        gain = self._gain(cells)
        if abs(gain - 1.0) > GAIN_STEP:
            mean = self.mean = [known * gain for known in mean]
        self.differences = [cell - known for cell, known in zip(cells, mean, strict=True)]
        self.limits = limits = [
            threshold + NOISE_FACTOR * noise
            for threshold, noise in zip(self._thresholds, self._noise, strict=True)
        ]
        for cell, often in self._flicker.items():
            if often > FLICKER_FREE:
                limits[cell] += (often - FLICKER_FREE) * FLICKER_STEP * self._thresholds[cell]
        found = [
            index
            for index, (difference, limit) in enumerate(zip(self.differences, limits, strict=True))
            if difference > limit or -difference > limit
        ]
        ago = self._past[0] if self._past else cells
        changing = [cell for cell in found if abs(cells[cell] - ago[cell]) > CHANGE_SHARE * limits[cell]]
        counted = sum(threshold < 1000 for threshold in self._thresholds) or 1
        return Change(frozenset(found), frozenset(changing), raw / counted, len(found) / counted)

    def learn(self, cells: bytes, change: Change, dt_s: float, *, is_new: bool = False) -> None:
        """Take a sample into the background; `is_new`: how much things waver here is yet to be found out."""
        dt_s = min(MAX_DT_S, dt_s)
        self._past.append(cells)
        quick, slow = dt_s / BACKGROUND_S, dt_s / COVERED_S
        rise, fall = dt_s / (NEW_RISE_S if is_new else RISE_S), dt_s / FALL_S
        mean, noise, covered = self.mean, self._noise, change.cells
        for index, difference in enumerate(self.differences):
            mean[index] += (slow if index in covered else quick) * difference
            off = min(abs(difference), NOISE_CLIP * self._thresholds[index]) - noise[index]
            noise[index] += (rise if off > 0 else fall) * off
        self._note_flicker(change, dt_s)
        self._absorb(cells, change, dt_s)

    def _gain(self, cells: bytes) -> float:
        """By how much all of the picture became brighter: half of the cells at least agree."""
        ratios = sorted(
            cell / known for cell, known in zip(cells, self.mean, strict=True) if known > GAIN_MIN_LUMA
        )
        return ratios[len(ratios) // 2] if len(ratios) > len(cells) // 3 else 1.0

    def _note_flicker(self, change: Change, dt_s: float) -> None:
        keep = 1.0 - dt_s / FLICKER_S
        self._flicker = {cell: often * keep for cell, often in self._flicker.items() if often > 0.05}
        self._count += 1
        for cell in change.cells:
            if self._count - self._seen.get(cell, -REST) >= REST:
                self._flicker[cell] = self._flicker.get(cell, 0.0) + 1.0
            self._seen[cell] = self._count

    def forgive(self, cells: Iterable[int]) -> None:
        """Something came by here: where one walked, the next one is no restless leaf."""
        for cell in cells:
            if cell in self._flicker:
                self._flicker[cell] = max(0.0, self._flicker[cell] - 1.0)

    def _absorb(self, cells: bytes, change: Change, dt_s: float) -> None:
        still = change.cells - change.changing
        self._covered_s = {cell: self._covered_s.get(cell, 0.0) + dt_s for cell in still}
        for cell in [cell for cell, since_s in self._covered_s.items() if since_s >= ABSORBED_S]:
            self.mean[cell] = float(cells[cell])
            del self._covered_s[cell]
