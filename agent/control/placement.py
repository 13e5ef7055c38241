"""Which stream one viewer gets: the one it wants, or the preview while its link carries no more. Pure."""

from agent.model.media import StreamName

NS_PER_S = 1_000_000_000

SLOW, FAST = 0.9, 0.97
"""Shares of the full stream's bitrate: who carries less than the first goes, more than the second returns."""
ABOVE_FLOOR = 1.3
"""And the link carries so much more than the least that the full stream can be, so that it lasts."""
DOWN_AFTER_NS, UP_AFTER_NS = 2 * NS_PER_S, 5 * NS_PER_S
SOON_NS = 30 * NS_PER_S
"""Who had to go again within this time after its return waits twice as long for the next one, ..."""
MAX_UP_AFTER_NS = 80 * NS_PER_S
"""... up to this."""


class Placement:
    """One a viewer."""

    def __init__(self) -> None:
        self._stream: StreamName = "main"
        self._since_ns: int | None = None
        self._returned_ns: int | None = None
        self._up_after_ns = UP_AFTER_NS

    def update(self, carries_bps: int, main_bps: int, floor_bps: int, now_ns: int) -> StreamName:
        """The stream for a viewer who wants main and has the choice.

        `carries_bps` is what its link has for a stream, `main_bps` what main is now, `floor_bps` its least.
        """
        is_on_main = self._stream == "main"
        if is_on_main:
            is_due = carries_bps < SLOW * main_bps
        else:
            is_due = carries_bps >= FAST * main_bps and carries_bps >= ABOVE_FLOOR * floor_bps
        if not is_due:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = now_ns
        elif now_ns - self._since_ns >= (DOWN_AFTER_NS if is_on_main else self._up_after_ns):
            self._move(now_ns)
        return self._stream

    def _move(self, now_ns: int) -> None:
        self._since_ns = None
        if self._stream == "preview":
            self._stream, self._returned_ns = "main", now_ns
            return
        is_soon = self._returned_ns is not None and now_ns - self._returned_ns < SOON_NS
        self._up_after_ns = min(MAX_UP_AFTER_NS, 2 * self._up_after_ns) if is_soon else UP_AFTER_NS
        self._stream = "preview"
