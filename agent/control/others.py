"""Whether a queue on the way is kept full by others, such as an upload beside. Pure.

A queue of our own drains once we send less, and until then the link carries nothing but what we sent. So
where it stands although we send much less, a short train tells: through a queue of our own it arrives no
faster than all else of late, and among the packets of others it does. So it does on a route that has become
longer, but there the delay stands still.

Once the others have gone, what we send may keep the queue full by itself, where the link carries less than
before. Then what arrives is all that the link carries, and stands still although losses make us send less;
among others it would follow what we send.
"""

import math
from collections import deque

FALLEN = 0.6
"""Of the best rate of late: ours would drain, ..."""
STANDS_NS = 300_000_000
"""... so whose is a queue that still stands for what left so long after the cut?"""
AGAIN_NS = 300_000_000
"""A train is judged by then that what left so much later has arrived."""
ASKING_NS = 4_000_000_000
"""A queue that stands for longer, whatever trains say, is a longer route."""
FASTER = 2.0
"""A train that arrives at this multiple of all else of late was among others' packets."""
FLAT_NS = 5_000_000_000
"""A queue that TCP fills moves by more than the link's noise within this time; a longer route does not."""
STEP_NS, STEPS = 100_000_000, 40
"""In so many reports, at least so far apart, ..."""
STILL = 0.92
"""... what arrives keeps this share of itself, ..."""
CUT = 0.85
"""... although the target falls to this share, as at each loss: the queue is our own, ..."""
SPENT = 1.3
"""... unless the target is above this multiple of what we send: a calm scene needs the same all the time."""


class Others:
    """One a viewer; told of each report."""

    def __init__(self) -> None:
        self.is_on = False
        """Others fill the queue: its length is no measure of what we may send."""
        self.is_asking = False
        """Trains are to tell."""
        self.before_bps = 0
        """What the link carried before the queue stood."""
        self._fallen_ns: int | None = None
        self._asked_ns = 0
        self._flat_ns = 0
        self._least_ms = self._most_ms = 0.0
        self._step_ns = 0
        self._targets_bps: deque[int] = deque(maxlen=STEPS)
        self._arrived_bps: deque[int] = deque(maxlen=STEPS)

    def begin(self, good_bps: int) -> None:
        """A queue stands; this is the best rate of late."""
        self.before_bps = self.before_bps or good_bps

    def update(self, target_bps: int, sent_ns: int, now_ns: int) -> bool:
        """Follow a report, whose newest packet left at `sent_ns`; whether a train may be sent now."""
        if self._fallen_ns is None:
            if target_bps <= FALLEN * self.before_bps:
                self._fallen_ns = now_ns
            return False
        stood_ns = sent_ns - self._fallen_ns
        self.is_asking = not self.is_on and STANDS_NS <= stood_ns < ASKING_NS
        return self.is_asking and sent_ns - self._asked_ns >= AGAIN_NS

    def on_asked(self, now_ns: int) -> None:
        """A train is sent."""
        self._asked_ns = now_ns

    def on_train(self, train_bps: int, recent_bps: int, now_ns: int) -> bool:
        """A train arrived at this rate, and all else at that one; whether it shows that we are not alone."""
        self.is_on = self.is_asking and train_bps > FASTER * recent_bps
        self._flat_ns, self._least_ms, self._most_ms = now_ns, math.inf, 0.0
        return self.is_on

    def is_route(self, queue_ms: float, noise_ms: float, now_ns: int) -> bool:
        """Whether the queue that others are said to fill is a longer route, up to so much noise."""
        self._least_ms, self._most_ms = min(self._least_ms, queue_ms), max(self._most_ms, queue_ms)
        if not self.is_on or now_ns - self._flat_ns < FLAT_NS:
            return False
        is_flat = self._most_ms - self._least_ms < noise_ms
        self._flat_ns, self._least_ms, self._most_ms = now_ns, math.inf, 0.0
        return is_flat

    def is_ours(self, target_bps: int, arrived_bps: int, lost: float, now_ns: int) -> bool:
        """Whether the queue that others are said to fill is our own by now.

        `arrived_bps` is of the last second, and `lost` the share of packets that was lost of late.
        """
        if now_ns - self._step_ns < STEP_NS:
            return False
        self._step_ns = now_ns
        self._targets_bps.append(target_bps)
        self._arrived_bps.append(arrived_bps)
        if len(self._arrived_bps) < STEPS:
            return False
        least_bps, low_bps = min(self._arrived_bps), min(self._targets_bps)
        is_still = least_bps >= STILL * max(self._arrived_bps)
        is_cut = low_bps <= CUT * max(self._targets_bps)
        return is_still and is_cut and low_bps * (1 - lost) <= SPENT * least_bps

    def end(self) -> None:
        """Nobody else fills the queue, or the path may be another one."""
        self._fallen_ns, self.before_bps = None, 0
        self.is_on = self.is_asking = False
        self._targets_bps.clear()
        self._arrived_bps.clear()
