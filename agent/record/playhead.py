"""When a recorded picture is due, and which of two streams a link carries. Pure; times in microseconds."""

from agent.model.media import StreamName

LATE_US = 1_000_000
"""What is later than this, because the link or the disk was slow, is not caught up with."""
IDR_SPEED = 2.0
"""Above it, and backwards, keyframes alone are shown: all pictures would be more than the live stream."""
MIN_INTERVAL_US = 100_000
"""Between two of those: more in a second than this show no more."""
SLOW, FAST = 0.9, 1.3
"""Shares of main's bitrate: a link that carries less than the first is shown the small stream, ..."""
DOWN_AFTER_US, UP_AFTER_US = 1_000_000, 5_000_000
"""... after so long; one that carries more than the second for so long gets main again."""


class Playhead:
    """Maps recorded time to the monotonic clock, at a speed."""

    def __init__(self, at_us: int, speed: float, now_us: int) -> None:
        """The picture of `at_us`, wall time, is due now."""
        self._at_us, self._speed, self._now_us = at_us, speed, now_us

    def due_us(self, wall_us: int, now_us: int, *, is_after_gap: bool) -> int:
        """When to show the picture of this time; a gap is skipped, and so is what the head is behind."""
        due_us = self._now_us + round((wall_us - self._at_us) / self._speed)
        if is_after_gap or due_us < now_us - LATE_US:
            self.slip(wall_us, now_us)
            return now_us
        return due_us

    def slip(self, wall_us: int, now_us: int) -> None:
        """The picture of this time is shown now, and all after it as much later."""
        self._at_us, self._now_us = wall_us, now_us


class Choice:
    """Main where the link carries it, else the small stream."""

    def __init__(self, stream: StreamName) -> None:
        self.stream: StreamName = stream
        self._since_us: int | None = None

    def update(self, carries_bps: int, main_bps: int, now_us: int) -> StreamName:
        """`main_bps` is what main took when it was recorded."""
        is_on_main = self.stream == "main"
        is_due = carries_bps < SLOW * main_bps if is_on_main else carries_bps > FAST * main_bps
        if not is_due:
            self._since_us = None
        elif self._since_us is None:
            self._since_us = now_us
        elif now_us - self._since_us >= (DOWN_AFTER_US if is_on_main else UP_AFTER_US):
            self.stream, self._since_us = "preview" if is_on_main else "main", None
        return self.stream
