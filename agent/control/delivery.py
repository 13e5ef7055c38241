"""How fast packets arrive at the viewer. Pure."""

from collections import deque
from collections.abc import Iterable

MAX_WINDOW_US = 1_000_000
MAX_ARRIVALS = 8192
"""98 Mb/s for a second: a bound for reports whose clock goes astray."""
_MIN_SPAN_US = 50_000
"""Less than this says nothing about a rate: one report of Chromium's covers 62 ms."""


class DeliveredRate:
    """Bytes by the viewer's clock over the last second."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[int, int]] = deque(maxlen=MAX_ARRIVALS)
        self._first_us: int | None = None
        self._last_us = 0

    def add(self, arrivals: Iterable[tuple[int, int]]) -> None:
        """Note (arrival_us, size_bytes) of packets."""
        for arrival_us, size_bytes in arrivals:
            self._first_us = arrival_us if self._first_us is None else self._first_us
            self._last_us = max(self._last_us, arrival_us)
            self._arrivals.append((arrival_us, size_bytes))
        while self._arrivals and self._arrivals[0][0] <= self._last_us - MAX_WINDOW_US:
            self._arrivals.popleft()

    def restart(self) -> None:
        """Forget what was before an outage."""
        self._arrivals.clear()
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
        total = 0
        for arrival_us, size_bytes in reversed(self._arrivals):
            if arrival_us <= self._last_us - window_us:
                break
            total += size_bytes
        return total * 8_000_000 // window_us
