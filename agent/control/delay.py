"""Whether a queue grows on the way to a viewer, from one-way delays. Pure.

Google congestion control (draft-ietf-rmcat-gcc-02) looks at the trend of the delay alone, so it neither sees
a queue that stands still nor tells a jittery radio link from a filling queue. Like SCReAM (RFC 8298) we
measure the queue itself, as delay above the least delay of the last while, and use the trend to tell
whether it fills or drains. The threshold follows the link's own noise, as GCC's does.
"""

import math
import statistics
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from enum import Enum

SMOOTHING_MS = 50.0
"""Time constant of the smoothed delay: less than one of Chromium's reports (62 ms), ..."""
SMOOTHING_NOISE = 8.0
"""... and this multiple of the link's noise, where that is more."""
BASE_BUCKET_US = 1_000_000
BASE_BUCKETS = 20
"""The least delay counts for 20 s: long enough to meet an empty queue, short enough to follow a new route."""
TREND_WINDOW_US = 300_000
MAX_TREND_POINTS = 64
"""A bound for reports whose clock goes astray."""
MIN_THRESHOLD_MS, MAX_THRESHOLD_MS = 20.0, 120.0
NOISE_GAIN = 2.75
FIRST_NOISE_MS = 2.0
NOISE_REPORTS, MIN_NOISE_REPORTS = 64, 8
BENDS_PER_NOISE = 1.65
"""The median of second differences, of white noise with a standard deviation of one."""
REBASE_US = 1_500_000
"""A queue that stands this long whatever we cut is not ours: a longer route, or others that fill it."""
FLAT_REBASE_US, FLAT_MS = 600_000, 4.0
"""The same for one that stands still to so many ms: ours would drain."""
DRAINING_SLOPE = -0.05
"""ms of delay a ms: a queue that shrinks by 5 % of real time needs no further cut."""


class Usage(Enum):
    """How the path is used."""

    NORMAL = "normal"
    OVER = "over"
    """A queue stands or grows."""
    UNDER = "under"
    """A queue drains."""


class DelayDetector:
    """Feed it what arrived, report by report."""

    def __init__(self) -> None:
        self.queue_ms = 0.0
        self.usage = Usage.NORMAL
        self.is_longer = False
        """The last report has shown that the route is longer."""
        self.holds_base = False
        """The queue is that of others, or may be: the least delay of before it stays the base."""
        self._smoothed_ms: float | None = None
        self._last_us = 0
        self._noise_ms = FIRST_NOISE_MS
        self._delays_ms: deque[float] = deque(maxlen=3)
        self._bends_ms: deque[float] = deque()
        self._sorted_bends_ms: list[float] = []
        self._past_ms: deque[float] = deque(maxlen=BASE_BUCKETS - 1)  # the least of each bucket that is over
        self._past_least_ms = self._bucket_least_ms = math.inf
        self._bucket = 0
        self._recent: deque[tuple[float, float]] = deque(maxlen=MAX_TREND_POINTS)
        self._over_since_us: int | None = None

    @property
    def noise_ms(self) -> float:
        """The standard deviation of a report's delay that no queue explains."""
        return self._noise_ms

    @property
    def threshold_ms(self) -> float:
        """A queue longer than this is overuse."""
        return min(MAX_THRESHOLD_MS, max(MIN_THRESHOLD_MS, 10 + NOISE_GAIN * self._noise_ms))

    @property
    def _time_constant_ms(self) -> float:
        return max(SMOOTHING_MS, SMOOTHING_NOISE * self._noise_ms)

    def update(self, delay_ms: float, arrival_us: int, packet_ms: float = 0.0) -> Usage:
        """Take what one report says: its packets' least delay, and the last one's arrival.

        `packet_ms` is what a packet takes to pass the link: delay on a slow one, and no queue.
        The least, as a frame's packets queue behind each other, and radio links hold some back.
        """
        self._note_noise(delay_ms)
        smoothed_ms = self._smooth(delay_ms, arrival_us)
        self.queue_ms = max(0.0, smoothed_ms - self._base_ms(smoothed_ms, arrival_us) - packet_ms)
        self._recent.append((arrival_us / 1e3, smoothed_ms))
        while self._recent[0][0] < (arrival_us - TREND_WINDOW_US) / 1e3:
            self._recent.popleft()
        self.usage = self._judge()
        self.is_longer = not self.holds_base and self._rebase(arrival_us)
        return self.usage

    def restart(self) -> None:
        """After an outage the path may be another one, and after a step the clock is."""
        self._smoothed_ms = self._over_since_us = None
        self._forget_base()
        self._recent.clear()
        self.queue_ms, self.usage = 0.0, Usage.NORMAL

    def accept_route(self) -> None:
        """The queue was none: the route is that long."""
        self._forget_base()
        self.queue_ms, self.usage = 0.0, Usage.NORMAL

    def _note_noise(self, delay_ms: float) -> None:
        """A queue that fills or drains goes straight, and turns a few times in two seconds; noise bends."""
        self._delays_ms.append(delay_ms)
        if len(self._delays_ms) == self._delays_ms.maxlen:
            first_ms, second_ms, third_ms = self._delays_ms
            bend_ms = abs(first_ms - 2 * second_ms + third_ms)
            self._bends_ms.append(bend_ms)
            insort(self._sorted_bends_ms, bend_ms)
        if len(self._bends_ms) > NOISE_REPORTS:
            del self._sorted_bends_ms[bisect_left(self._sorted_bends_ms, self._bends_ms.popleft())]
        if len(self._bends_ms) >= MIN_NOISE_REPORTS:
            self._noise_ms = statistics.median(self._sorted_bends_ms) / BENDS_PER_NOISE

    def _smooth(self, delay_ms: float, arrival_us: int) -> float:
        if self._smoothed_ms is None:  # by another clock this may be before all that was
            self._smoothed_ms, self._last_us = delay_ms, arrival_us
            self._bucket = arrival_us // BASE_BUCKET_US
        elapsed_ms = max(0.0, (arrival_us - self._last_us) / 1e3)
        error_ms = delay_ms - self._smoothed_ms
        self._smoothed_ms += error_ms * (1 - math.exp(-elapsed_ms / self._time_constant_ms))
        self._last_us = max(self._last_us, arrival_us)
        return self._smoothed_ms

    def _base_ms(self, smoothed_ms: float, arrival_us: int) -> float:
        bucket = arrival_us // BASE_BUCKET_US
        if bucket > self._bucket:
            self._past_ms.append(self._past_least_ms if self.holds_base else self._bucket_least_ms)
            self._past_least_ms = min(self._past_ms)
            self._bucket, self._bucket_least_ms = bucket, math.inf
        self._bucket_least_ms = min(self._bucket_least_ms, smoothed_ms)
        return min(self._past_least_ms, self._bucket_least_ms)

    def _forget_base(self) -> None:
        self._past_ms.clear()
        self._past_least_ms = self._bucket_least_ms = math.inf

    def _rebase(self, arrival_us: int) -> bool:
        """Forget the base under a queue that is not ours; whether the route has become longer."""
        if self.usage is not Usage.OVER:
            self._over_since_us = None
            return False
        if self._over_since_us is None:
            self._over_since_us = arrival_us
        is_flat = self._is_flat()
        if arrival_us - self._over_since_us <= (FLAT_REBASE_US if is_flat else REBASE_US):
            return False
        self._forget_base()
        self._over_since_us = None
        return is_flat

    def _is_flat(self) -> bool:
        delays_ms = [ms for _, ms in self._recent]
        return max(delays_ms) - min(delays_ms) <= FLAT_MS

    def _judge(self) -> Usage:
        if self.queue_ms < self.threshold_ms / 2:
            return Usage.NORMAL
        if _slope(self._recent) < DRAINING_SLOPE:
            return Usage.UNDER
        if self.queue_ms >= self.threshold_ms:
            return Usage.OVER
        # Between the two, what was overused still drains: to climb before it has gone keeps it standing.
        return Usage.NORMAL if self.usage is Usage.NORMAL else Usage.UNDER


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares through (ms, ms)."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
