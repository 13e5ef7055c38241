"""How much of the loss is our own doing. Pure.

A radio link loses some packets whatever we send; a full queue or a policer loses what is too much. What is
usually lost is the link's own (libwebrtc's second loss-based estimator calls it inherent); only what is above
that by more than chance throttles.
"""

import math
import statistics
from collections import deque

BUCKET_NS = 500_000_000
MIN_PACKETS = 30
BUCKETS = 20
"""The inherent loss is the median of the last ten seconds."""
MIN_BUCKETS = 6
MAX_INHERENT = 0.10
"""More is congestion by any name: GCC's own limit (draft-ietf-rmcat-gcc-02 section 6)."""
EXCESS, DEVIATIONS = 0.02, 2.0
"""Above the inherent loss by this and so many standard deviations of chance is congestion."""
BACKOFF = 0.95
REPORT_DECREASE, REPORT_INCREASE = 0.10, 0.02


class LossLimit:
    """Counts what feedback tells, in buckets of half a second and at least 30 packets."""

    def __init__(self) -> None:
        self._lost = self._total = 0
        self._bucket_ns: int | None = None
        self._ratios: deque[float] = deque(maxlen=BUCKETS)

    @property
    def usual(self) -> float:
        """Of the last ten seconds without the worst fifth, which is congestion; 0 in the first three."""
        count = len(self._ratios)
        if count < MIN_BUCKETS:
            return 0.0
        kept = sorted(self._ratios)[: count - count // 5]
        return sum(kept) / len(kept)

    @property
    def ratio(self) -> float:
        """Of the last bucket."""
        return self._ratios[-1] if self._ratios else 0.0

    def update(self, received: int, lost: int, delivered_bps: int, now_ns: int) -> int | None:
        """What the loss allows from now on in bits a second, where it forbids anything."""
        self._lost += lost
        self._total += received + lost
        if self._bucket_ns is None:
            self._bucket_ns = now_ns
        if now_ns - self._bucket_ns < BUCKET_NS or self._total < MIN_PACKETS:
            return None
        packets, ratio = self._total, self._lost / self._total
        self._lost = self._total = 0
        self._bucket_ns = now_ns
        inherent = min(MAX_INHERENT, statistics.median(self._ratios)) if self._ratios else 0.0
        likely = max(inherent, 1 / packets)
        chance = DEVIATIONS * math.sqrt(likely * (1 - likely) / packets)
        self._ratios.append(ratio)
        # What arrives is what the link carries.
        return int(delivered_bps * BACKOFF) if ratio > inherent + EXCESS + chance else None

    def restart(self) -> None:
        """What an outage lost says nothing about the rate."""
        self._lost = self._total = 0
        self._bucket_ns = None


def after_report(target_bps: int, loss: float, elapsed_s: float) -> int:
    """The target after a receiver report, for a viewer without transport-wide feedback (GCC section 6)."""
    if loss > REPORT_DECREASE:
        return int(target_bps * (1 - 0.5 * loss))
    if loss < REPORT_INCREASE:
        return int(target_bps * 1.05 ** min(1.0, elapsed_s))
    return target_bps
