"""How fast packets may leave where the path marks them, as an L4S queue does (RFC 9330, RFC 9331). Pure.

Such a queue marks what waits a millisecond, long before that can be told from a link's noise. The answer is
DCTCP's (RFC 8257 section 3.3): a cut by half of the share that is marked, at most once a round trip. What the
queue sees is how fast packets leave, and not how many do on average: so that is bounded, and the target only
where it is above.
"""

WEIGHT, FIRST_WEIGHT = 1 / 16, 1 / 2
"""Of a round trip's share in the mean (RFC 8257 section 4.2); the first that is marked is news."""
MIN_ROUND_NS = 50_000_000
"""A round has two reports of Chromium's, and more than a few packets."""
HEADROOM = 1.05
"""Packets leave faster than the target by this: else what waits here for a keyframe's sake would stay."""
GROWTH_BITS = 0.5 * 1200 * 8
"""A round trip in each round trip: half of the packet that TCP takes, since reports come late."""
MAX_GROWTH = 0.15
"""In a second at most: where packets are few, one more is much."""
QUIET_NS, QUIET_GROWTH = 3_000_000_000, 1.35
"""Without a mark for so long, the bound also rises as fast in a second as a target does far from the capacity
(`aimd.py`), and little by little faster until then."""
FORGET_NS = 15_000_000_000
"""After so long there is none: the link carries all that is wanted, or has no such queue any more."""


class MarkLimit:
    """One a viewer that reports marks; a new one for each path."""

    def __init__(self) -> None:
        self.share = 0.0
        """Of the packets, 0 to 1, that come with CE; the mean over round trips."""
        self._limit_bps: float | None = None
        self._received = self._marked = 0
        self._round_ns = self._marked_ns = self._grown_ns = 0

    @property
    def is_on(self) -> bool:
        """Whether the path has marked of late."""
        return self._limit_bps is not None

    @property
    def pacing_bps(self) -> int | None:
        """How fast packets may leave at most; None where no mark says so."""
        return None if self._limit_bps is None else int(self._limit_bps)

    @property
    def target_bps(self) -> int | None:
        """What to send at most, on average."""
        return None if self._limit_bps is None else round(self._limit_bps / HEADROOM)

    def update(
        self, received: int, marked: int, pacing_bps: int, least_bps: int, rtt_ns: int, now_ns: int
    ) -> None:
        """Follow a report: so many packets arrived that left with ECT(1), at this rate, and some have CE.

        The target never falls below `least_bps`.
        """
        if not marked and self._limit_bps is None:
            return
        rtt_ns = max(MIN_ROUND_NS, rtt_ns)
        self._grow(rtt_ns, now_ns)
        if marked:
            self._marked_ns = now_ns
        self._received += received
        self._marked += marked
        if now_ns - self._round_ns >= rtt_ns and self._received:
            share = self._marked / self._received
            self._round_ns, self._received, self._marked = now_ns, 0, 0
            self._end_round(share, pacing_bps, HEADROOM * least_bps, now_ns)

    def _end_round(self, share: float, pacing_bps: int, least_bps: float, now_ns: int) -> None:
        self.share += (share - self.share) * (FIRST_WEIGHT if self._limit_bps is None else WEIGHT)
        if share:
            # What left slower than was allowed has been marked all the same.
            limit_bps = pacing_bps if self._limit_bps is None else min(self._limit_bps, pacing_bps)
            self._limit_bps, self._grown_ns = max(least_bps, limit_bps * (1 - self.share / 2)), now_ns

    def _grow(self, rtt_ns: int, now_ns: int) -> None:
        if self._limit_bps is None:
            return
        elapsed_s, rtt_s = (now_ns - self._grown_ns) / 1e9, rtt_ns / 1e9
        quiet_ns, self._grown_ns = now_ns - self._marked_ns, now_ns
        if quiet_ns >= FORGET_NS:
            self._limit_bps, self.share = None, 0.0
            return
        growth = 1 + (QUIET_GROWTH - 1) * min(1.0, quiet_ns / QUIET_NS)
        added_bps = min(GROWTH_BITS / rtt_s**2, MAX_GROWTH * self._limit_bps) * elapsed_s
        self._limit_bps = self._limit_bps * growth**elapsed_s + added_bps
