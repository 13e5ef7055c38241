"""How much of the loss is our own doing. Pure.

A radio link loses some packets whatever we send; a full queue or a policer loses what is too much. What is
usually lost is the link's own (libwebrtc's second loss-based estimator calls it inherent); only what is above
that by more than chance throttles.
"""

import math
import statistics
from collections import deque
from itertools import takewhile

BUCKET_NS = 500_000_000
MIN_PACKETS = 30
FLOOD = 0.33
"""Where so much more than usual is lost, no bucket is waited out: all of it must be sent again."""
BUCKETS = 20
"""The inherent loss is the median of the last ten seconds."""
MIN_BUCKETS = 6
MAX_INHERENT = 0.10
"""More is congestion by any name: GCC's own limit (draft-ietf-rmcat-gcc-02 section 6)."""
EXCESS, DEVIATIONS = 0.02, 2.0
"""Above the inherent loss by this and so many standard deviations of chance is congestion."""
MAX_CHANCE = 0.15
"""More is not excused by chance alone: where the link itself loses so much, a cut will show it."""
RUN_WEIGHT = 4
"""How many half seconds with losses tell how many packets are lost in a row, as a rule."""
BACKOFF = 0.95
FALLEN, KEPT = 0.7, 0.6
"""Loss that keeps this share of itself where the rate has fallen below this share is the link's own, ..."""
OWN_NS = 30_000_000_000
"""... and believed to be so as long as it stays, and for this time after."""
HOLD_OFF_NS, MAX_HOLD_OFF_NS = 5_000_000_000, 60_000_000_000
"""No more is tried so long after a cut, and twice as long where the try loses again: of a policer."""
REPORT_DECREASE, REPORT_INCREASE = 0.10, 0.02


class LossLimit:
    """Counts what feedback tells, in buckets of half a second and at least 30 packets."""

    def __init__(self) -> None:
        self._lost = self._lost_runs = self._total = 0
        self._run_packets = 1.0  # that are lost in a row, as a rule
        self._bucket_ns: int | None = None
        self._all_ratios: deque[float] = deque(maxlen=BUCKETS)
        self._ratios: deque[float] = deque(maxlen=BUCKETS)  # without what is congestion by any name
        self._own_ratios: deque[float] = deque(maxlen=BUCKETS)  # without what was cut for
        self.ratio = 0.0
        """Of the last bucket."""
        self._hold_off_ns = HOLD_OFF_NS
        self.usual = 0.0
        """Of up to ten seconds, without what was cut for.

        So where a link begins to lose 3 to 8 %, this tells of it some two seconds late: until then it may be
        congestion, which repairs would make worse.
        """
        self.held_until_ns = 0
        """No more is to be tried before."""
        self._first: tuple[float, int] | None = None  # of these cuts: the loss, and what had arrived
        self._own_until_ns = 0

    @property
    def recent(self) -> float:
        """Of the last buckets, whatever the reason."""
        return statistics.fmean(self._all_ratios) if self._all_ratios else 0.0

    def update(self, received: int, lost: int, lost_runs: int, delivered_bps: int, now_ns: int) -> int | None:
        """What the loss allows from now on in bits a second, where it forbids anything.

        Of the packets `lost`, some left in a row: `lost_runs` times.
        """
        self._lost += lost
        self._lost_runs += lost_runs
        self._total += received + lost
        if self._bucket_ns is None:
            self._bucket_ns = now_ns
        is_whole = now_ns - self._bucket_ns >= BUCKET_NS
        is_flood = self._lost > (FLOOD + self.usual) * self._total
        if self._total < MIN_PACKETS or not (is_whole or is_flood):
            return None
        packets, ratio = self._total, self._lost / self._total
        if self._lost_runs:
            self._run_packets += (self._lost / self._lost_runs - self._run_packets) / RUN_WEIGHT
        self._lost = self._lost_runs = self._total = 0
        self._bucket_ns = now_ns
        inherent, chance = self._excused(packets, is_own=now_ns < self._own_until_ns)
        self.ratio, allowed_bps = ratio, None
        for ratios in (self._all_ratios, self._ratios, self._own_ratios):
            ratios.append(ratio)
        if ratio > inherent + EXCESS + chance:
            allowed_bps = self._cut(ratio, delivered_bps, now_ns, is_whole=is_whole)
            if allowed_bps is not None:
                self._own_ratios[-1] = min(ratio, inherent)
                self._ratios[-1] = min(ratio, MAX_INHERENT if is_whole else inherent)
        elif ratio > MAX_INHERENT and now_ns < self._own_until_ns:
            self._own_until_ns = now_ns + OWN_NS
        elif ratio <= EXCESS:
            self._first = None
        if len(self._all_ratios) >= MIN_BUCKETS:
            self.usual = statistics.fmean(self._own_ratios)
        return allowed_bps

    def _excused(self, packets: int, *, is_own: bool) -> tuple[float, float]:
        """Of so many packets, what share the link loses by itself, and what chance adds."""
        inherent = statistics.median(self._ratios) if self._ratios else 0.0
        if not is_own:
            inherent = min(inherent, MAX_INHERENT)
        # Packets that are lost together are one misfortune.
        likely = min(0.5, max(inherent, self._run_packets / packets))
        deviation = math.sqrt(likely * (1 - likely) * self._run_packets / packets)
        chance = DEVIATIONS * max(deviation, self._spread())
        return inherent, chance if is_own else min(chance, MAX_CHANCE)

    def _spread(self) -> float:
        """From the median to the upper quartile: what a radio link loses, it loses in bursts."""
        ordered = sorted(self._ratios)
        return ordered[len(ordered) * 3 // 4] - ordered[len(ordered) // 2] if ordered else 0.0

    def _cut(self, ratio: float, delivered_bps: int, now_ns: int, *, is_whole: bool) -> int | None:
        if ratio <= MAX_INHERENT and now_ns >= self.held_until_ns:
            return int(delivered_bps * BACKOFF)
        if now_ns >= self.held_until_ns:
            is_again = now_ns < self.held_until_ns + 2 * self._hold_off_ns
            self._hold_off_ns = min(MAX_HOLD_OFF_NS, 2 * self._hold_off_ns) if is_again else HOLD_OFF_NS
            self._first = None
        first_ratio, first_bps = self._first or (0.0, 0)
        if ratio > (first_ratio / KEPT if is_whole else first_ratio):  # the first, or no longer the same
            self._first = ratio, delivered_bps
        # In less than a whole bucket what has arrived is of before: a policer that falls is no lossy link.
        elif is_whole and delivered_bps < FALLEN * first_bps and ratio > KEPT * first_ratio:
            self._own_until_ns, self.held_until_ns = now_ns + OWN_NS, now_ns
            # So was what came before, as far as it reaches back: with clean seconds it would not be usual.
            reaches = takewhile(lambda each: each > EXCESS, reversed(self._all_ratios))
            self._ratios = deque(reversed(list(reaches)), BUCKETS)
            self._own_ratios = self._ratios.copy()
            return None
        self.held_until_ns = now_ns + self._hold_off_ns
        # What arrives is what the link carries.
        return int(delivered_bps * BACKOFF)

    def restart(self) -> None:
        """What an outage lost says nothing about the rate."""
        self._lost = self._lost_runs = self._total = 0
        self._bucket_ns = None


def after_report(target_bps: int, loss: float, elapsed_s: float) -> int:
    """The target after a receiver report, for a viewer without transport-wide feedback (GCC section 6)."""
    if loss > REPORT_DECREASE:
        return int(target_bps * (1 - 0.5 * loss))
    if loss < REPORT_INCREASE:
        return int(target_bps * 1.05 ** min(1.0, elapsed_s))
    return target_bps
