"""How fast packets arrive at the viewer. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, islice

MAX_WINDOW_US = 1_000_000
MAX_ARRIVALS = 8192
"""98 Mb/s for a second: a bound for reports whose clock goes astray."""
_MIN_SPAN_US = 50_000
"""Less than this says nothing about a rate: one report of Chromium's covers 62 ms."""


class DeliveredRate:
    """Bytes by the viewer's clock over the last second."""

    def __init__(self) -> None:
        self._times_us: list[int] = []  # never falling: what overtook another counts with it
        self._totals: list[int] = []  # bytes up to and with each arrival
        self._first_us: int | None = None
        self._last_us = 0

    def add(self, arrivals_us: Sequence[int], sizes_bytes: Sequence[int]) -> None:
        """Note when packets arrived, of which there is one, and how large each was."""
        if self._first_us is None:
            self._first_us = self._last_us = arrivals_us[0]
        total = self._totals[-1] if self._totals else 0
        self._times_us += islice(accumulate(arrivals_us, max, initial=self._last_us), 1, None)
        self._totals += islice(accumulate(sizes_bytes, initial=total), 1, None)
        self._last_us = self._times_us[-1]
        if len(self._times_us) > MAX_ARRIVALS:
            old = max(self._index(MAX_WINDOW_US), len(self._times_us) - MAX_ARRIVALS) - 1
            if old > MAX_ARRIVALS // 4:
                del self._times_us[:old], self._totals[:old]

    def restart(self) -> None:
        """Forget what was before an outage, or by another clock."""
        self._times_us.clear()
        self._totals.clear()
        self._first_us, self._last_us = None, 0

    @property
    def is_known(self) -> bool:
        """Whether enough has arrived to speak of a rate."""
        return self._first_us is not None and self._last_us - self._first_us >= _MIN_SPAN_US

    def bps(self, window_ms: int) -> int:
        """Over the window before the last arrival, or since the start; 0 while unknown."""
        if self._first_us is None or not self.is_known:
            return 0
        window_us = min(window_ms * 1000, self._last_us - self._first_us)
        if not window_us or not self._totals:
            return 0
        start = self._index(window_us)
        before = self._totals[start - 1] if start else 0
        return (self._totals[-1] - before) * 8_000_000 // window_us

    def _index(self, window_us: int) -> int:
        """Of the first arrival within the window."""
        return bisect_right(self._times_us, self._last_us - window_us)
