"""When the next picture is due, without drift and without bursts."""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """The ticks of a steady frame rate: `start_us + n / fps`. Pure: the time is an argument."""

    start_us: int
    fps: float
    tick: int = 0

    @property
    def due_us(self) -> int:
        """When the tick is due, on the clock of `start_us`."""
        return self.start_us + int(self.tick * 1_000_000 / self.fps)

    def advance(self, now_us: int) -> None:
        """Go on to the next tick; after a stall, skip those that have passed instead of catching up."""
        passed = int((now_us - self.start_us) * self.fps / 1_000_000)
        self.tick = max(self.tick + 1, passed)


MAX_GAP_S = 600.0
"""Between two pictures of a time-lapse; a longer way from stamp to stamp is a broken stamp."""
LATE_US = 200_000
"""Who is later than this goes on from where it is, instead of catching up in a burst."""


class Stamps:
    """When the pictures of a file are due by their own stamps, loop after loop. Pure: time is an argument."""

    def __init__(self, start_us: int, interval_s: float, max_fps: float) -> None:
        """`interval_s` is the mean one, for pictures without a stamp and from each loop to the next."""
        self._interval_us = interval_s * 1e6
        self._least_us = 1e6 / max_fps
        self._at_us = self._free_us = float(start_us)
        self._last_s: float | None = None
        self._is_first = True

    def rewind(self) -> None:
        """The next stamp is that of a new loop's first picture."""
        self._last_s = None

    def due_us(self, stamp_s: float | None, now_us: int) -> int | None:
        """None for a picture to leave out: the one before is due less than `1 / max_fps` earlier."""
        self._at_us += 0 if self._is_first else self._step_us(stamp_s)
        self._is_first, self._last_s = False, stamp_s
        if now_us - self._at_us > LATE_US:
            self._at_us = now_us
        # Half an interval of grace, for a container's clock may be a coarse one.
        if self._at_us < self._free_us - self._least_us / 2:
            return None
        self._free_us = max(self._free_us, self._at_us - self._least_us / 2) + self._least_us
        return int(self._at_us)

    def _step_us(self, stamp_s: float | None) -> float:
        if stamp_s is not None and self._last_s is not None and 0 <= stamp_s - self._last_s <= MAX_GAP_S:
            return (stamp_s - self._last_s) * 1e6
        return self._interval_us
