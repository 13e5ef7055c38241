"""What one playback came to, in words for the audit log: what was seen, and for how long. Pure."""

from datetime import UTC, datetime


class Watched:
    """One playback, with all that was sought in it. Seconds are monotonic, microseconds since 1970."""

    def __init__(self, asked_us: int, now_s: float) -> None:
        """Recorded pictures are shown from now on, first those of `asked_us`."""
        self._asked_us, self._began_s = asked_us, now_s
        self._first_us: int | None = None
        self._last_us = 0

    def note(self, wall_us: int) -> None:
        """A picture of this time was shown."""
        if self._first_us is None:
            self._first_us = self._last_us = wall_us
        self._first_us, self._last_us = min(self._first_us, wall_us), max(self._last_us, wall_us)

    def words(self, now_s: float) -> str:
        """When it is over."""
        seen = "nothing" if self._first_us is None else f"{_time(self._first_us)} to {_time(self._last_us)}"
        return f"from {_time(self._asked_us)} on; saw {seen}, in {now_s - self._began_s:.0f} s"


def _time(unix_us: int) -> str:
    try:
        return datetime.fromtimestamp(unix_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # a card may say anything
        return f"{unix_us} µs"
