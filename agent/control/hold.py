"""Whether the next picture is left out before its encoder, since one before it has not left yet. Pure.

A picture that is thrown away after the encoder costs a keyframe, which is large, and so overfills the path
again. One that was never made costs nothing.
"""

from collections.abc import Collection

HELD_UP_NS = 40_000_000
"""A picture that waits this long holds the next ones up, ..."""
NOISE_TIMES = 2
"""... and where the link is noisy, this multiple of its noise longer: its reports come in heaps, ..."""
LONGEST_NS = 1_000_000_000
"""... for this time at most: then the camera shows that it lives."""


def patience_ns(noise_ms: float) -> int:
    """How long a picture may wait to leave before it holds up the next ones."""
    return HELD_UP_NS + int(NOISE_TIMES * noise_ms * 1e6)


class Hold:
    """One a stream, whose pictures are for all of its viewers."""

    def __init__(self) -> None:
        self.is_on = False
        self._since_ns: int | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether it is on, or a picture is let through meanwhile."""
        return self._since_ns is not None

    def on_picture(self, now_ns: int) -> None:
        """One came, for the last ones had been held long enough."""
        if self._since_ns is not None:
            self._since_ns = now_ns

    def update(self, held_up: Collection[bool], now_ns: int) -> bool:
        """Whether that changed anything. `held_up` says of each viewer whether a picture to it waits.

        Only where one waits for everybody: who is slow alone holds up nobody else, and goes to the preview.
        """
        if not held_up or not all(held_up):
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = now_ns
        was_on = self.is_on
        self.is_on = self._since_ns is not None and now_ns - self._since_ns < LONGEST_NS
        return self.is_on != was_on
