"""Rain, snow and insects close to the lens: cells that light up for one sample alone. Pure.

Where there are many of them, each cell is given the middle one of its last three values. That costs a sample
of delay, and whoever runs past close by; so it is not done in dry weather.
"""

from dataclasses import replace

from agent.model.motion import Luma

SPIKE = 5
"""Levels of luma by which a cell must stand out from the sample before and the one after."""
MANY, FEW = 1.5, 0.4
"""Spikes a sample, in the mean: where it begins to be rain, and where that is over."""
MEMORY = 20.0
"""Samples of that mean: somebody who runs by makes some as well."""


class Calm:
    """One camera's weather."""

    def __init__(self) -> None:
        self.is_raining = False
        self._spikes = 0.0
        self._before: tuple[bytes, ...] = ()

    def take(self, luma: Luma) -> Luma:
        """The same sample, or while it rains, what stays of it."""
        cells, past = luma.data, self._before
        if any(len(one) != len(cells) for one in past):
            past = ()
        self._before = (*past[-1:], cells)
        if len(past) < 2:
            return luma
        oldest, middle = past
        spikes = sum(
            (b - a > SPIKE and b - c > SPIKE) or (a - b > SPIKE and c - b > SPIKE)
            for a, b, c in zip(oldest, middle, cells, strict=True)
            if a != b
        )
        self._spikes += (min(spikes, 10 * MANY) - self._spikes) / MEMORY
        self.is_raining = self._spikes > (FEW if self.is_raining else MANY)
        if not self.is_raining:
            return luma
        kept = bytes(
            b if a <= b <= c or c <= b <= a else (a if b <= a <= c or c <= a <= b else c)
            for a, b, c in zip(oldest, middle, cells, strict=True)
        )
        return replace(luma, data=kept)
