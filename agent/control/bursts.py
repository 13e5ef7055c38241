"""Whether a path takes a picture at once, or must be given it little by little. Pure.

A burst spares the sender wake-ups and system calls, and costs nothing where queues have room. A path with a
shallow queue, or a policer, loses its tail: so bursts begin once a path has long lost nothing, and where one
loses, the next try waits twice as long.
"""

MIN_TARGET_BPS = 1_500_000
"""Below it a burst is two or three packets: nothing to gain."""
CLEAN_NS = 2_000_000_000
"""So long without loss or queue before the first burst."""
MAX_CLEAN_NS = 240_000_000_000
BLAME_NS = 5_000_000_000
"""Loss this soon after bursts began is theirs."""
MAX_LOSS = 0.004
"""Of half a second's packets; one in two hundred is the radio's."""


class Bursts:
    """One a viewer; told of each report."""

    def __init__(self) -> None:
        self._wait_ns = CLEAN_NS
        self._clean_since_ns: int | None = None

    def update(self, loss: float, *, is_queued: bool, now_ns: int) -> None:
        """Follow the path: the share of packets lost of late, and whether a queue stands."""
        if loss <= MAX_LOSS and not is_queued:
            if self._clean_since_ns is None:
                self._clean_since_ns = now_ns
            return
        if self.are_taken(now_ns) and loss > MAX_LOSS:
            assert self._clean_since_ns is not None
            is_ours = now_ns - self._clean_since_ns - self._wait_ns < BLAME_NS
            self._wait_ns = min(MAX_CLEAN_NS, 2 * self._wait_ns) if is_ours else CLEAN_NS
        self._clean_since_ns = None

    def are_taken(self, now_ns: int) -> bool:
        """Whether to send bursts now."""
        return self._clean_since_ns is not None and now_ns - self._clean_since_ns >= self._wait_ns
