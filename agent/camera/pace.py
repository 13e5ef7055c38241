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
