"""The delay-based rate: down to what the link delivers, up fast far from its capacity, slowly near it. Pure.

After Google congestion control (draft-ietf-rmcat-gcc-02 section 5.5): back off to a share of the rate that
arrives, climb by a share while the capacity is unknown and by a packet a round trip near it. Beyond it: the
queue that was measured is drained by a deeper cut, which ends when the queue has gone.
"""

from dataclasses import dataclass

from agent.control.delay import Usage

BETA = 0.85
"""Of the delivered rate, which is the capacity while a queue stands; until the queue has gone."""
DRAIN_S = 0.5
"""A queue is drained in about this time, ..."""
MIN_BETA = 0.5
"""... but the picture keeps half of the capacity."""
SETTLED = 0.90
"""Of the capacity, once the queue has gone: the rest carries noise, keyframes and resends in time."""
CLIMB = 1.35
"""A second, while the capacity is unknown."""
CREEP = 1.02
"""A second near the capacity: GCC's packet a round trip is several times that, and makes the queue swing."""
BEYOND = 1.08
"""What arrives without a queue at this multiple of the capacity proves that the capacity has grown."""
STEADY_NS = 1_000_000_000
"""The time over which `Delivery.steady_bps` was measured."""
DECREASE_INTERVAL_NS = 120_000_000
"""No second cut before feedback can show what the first one did, or a round trip if that is longer."""
APPLICATION_LIMIT = 1.5
"""Without a probe the target stays below this multiple of what is really sent: the rest is unproven."""
GROWTH = 0.03
"""A second beside others, of what the link carried alone: CUBIC's growth depends on no round trip either."""
LOSS_BETA, LOSS_INTERVAL_NS = 0.8, 300_000_000
"""Beside others a loss tells that the queue is full; of one overflow, it does so once."""
_CAPACITY_WEIGHT = 0.4


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the viewer's reports say of the path."""

    busy_bps: int
    """What arrived lately: the capacity, while a queue stands."""
    recent_bps: int
    """What arrived over half a second: bridges the short stalls of a radio link."""
    steady_bps: int
    """What arrived over a second."""
    rtt_ns: int


class RateControl:
    """The target that the delay allows."""

    def __init__(self, start_bps: int, min_bps: int, max_bps: int) -> None:
        self._min_bps, self._max_bps = min_bps, max_bps
        self.target_bps = start_bps
        """Bits a second."""
        self._target_bps = float(start_bps)
        self._capacity_bps: float | None = None
        self._is_draining = False
        self._last_ns: int | None = None
        self._decreased_ns = -DECREASE_INTERVAL_NS
        self._held_until_ns = 0

    @property
    def knows_capacity(self) -> bool:
        """Whether the link's limit was met and still holds."""
        return self._capacity_bps is not None

    def set_max_bps(self, max_bps: int) -> None:
        """More is of no use."""
        self._max_bps = max_bps
        self._clamp()

    def update(self, usage: Usage, queue_ms: float, delivery: Delivery, now_ns: int) -> None:
        """Follow one report."""
        elapsed_s = 0.0 if self._last_ns is None else min(0.5, (now_ns - self._last_ns) / 1e9)
        self._last_ns = now_ns
        if usage is Usage.OVER:
            self._decrease(queue_ms, delivery.busy_bps, delivery.rtt_ns, now_ns)
        elif usage is Usage.NORMAL:
            self._increase(delivery, elapsed_s, now_ns)
        self._clamp()

    def limit(self, bps: int, until_ns: int) -> None:
        """Something else than the delay allows no more than this until then."""
        self._held_until_ns = until_ns
        if bps < self._target_bps:
            self._target_bps = bps
            self._capacity_bps = float(bps)
            self._clamp()

    def meet(self, bps: int, now_ns: int) -> None:
        """The path's marks allow no more than this now, and say at once when it is too much again."""
        if bps < self._target_bps:
            self._target_bps = bps
            if now_ns >= self._held_until_ns:
                self._capacity_bps = None
            self._clamp()

    def release(self, now_ns: int) -> None:
        """That limit was no limit of the link's."""
        self._held_until_ns = now_ns

    def raise_to(self, bps: int, *, is_capacity: bool) -> None:
        """A probe has shown that the link carries this, and whether it carries no more."""
        self._target_bps = max(self._target_bps, bps)
        self._capacity_bps, self._is_draining = float(bps) if is_capacity else None, False
        self._clamp()

    def enter(self, bps: int, now_ns: int) -> None:
        """Others fill the queue: begin with this share of what the link carries."""
        self._target_bps = max(self._target_bps, bps)
        self._capacity_bps, self._is_draining = None, False
        self._last_ns = self._decreased_ns = now_ns
        self._clamp()

    def share(self, before_bps: int, lost: int, rtt_ns: int, now_ns: int) -> None:
        """Follow one report beside others, as TCP does: losses alone tell of the queue's end.

        `before_bps` is what the link carried without them.
        """
        elapsed_s = 0.0 if self._last_ns is None else min(0.5, (now_ns - self._last_ns) / 1e9)
        self._last_ns = now_ns
        if lost and now_ns - self._decreased_ns >= max(LOSS_INTERVAL_NS, rtt_ns):
            self._decreased_ns = now_ns
            self._target_bps *= LOSS_BETA
        else:
            self._target_bps += GROWTH * before_bps * elapsed_s
        self._clamp()

    def replace(self, bps: int) -> None:
        """Take the target from elsewhere: of a viewer whose delay is not known."""
        self._target_bps = bps
        self._clamp()

    def restart(self, bps: int, now_ns: int) -> None:
        """Go on at this rate after an outage; the capacity is unknown again."""
        self._target_bps = bps
        self._capacity_bps, self._is_draining, self._last_ns = None, False, now_ns
        self._clamp()

    def _decrease(self, queue_ms: float, delivered_bps: int, rtt_ns: int, now_ns: int) -> None:
        if now_ns - self._decreased_ns < max(DECREASE_INTERVAL_NS, rtt_ns):
            return
        self._decreased_ns = now_ns
        known = self._capacity_bps
        fits = known is not None and 0.7 * known < delivered_bps < 1.5 * known
        weight = _CAPACITY_WEIGHT if fits else 1.0
        self._capacity_bps = (known or 0.0) + (delivered_bps - (known or 0.0)) * weight
        beta = max(MIN_BETA, min(BETA, 1 - queue_ms / 1e3 / DRAIN_S))
        self._target_bps = min(self._target_bps, beta * delivered_bps)
        self._is_draining = True

    def _increase(self, delivery: Delivery, elapsed_s: float, now_ns: int) -> None:
        capacity_bps = self._capacity_bps
        # What arrived before the link fell proves nothing of what it carries now.
        is_since = now_ns - self._decreased_ns > STEADY_NS and now_ns >= self._held_until_ns
        if is_since and capacity_bps is not None and delivery.steady_bps > BEYOND * capacity_bps:
            self._capacity_bps = capacity_bps = None
        if self._is_draining:
            self._target_bps = max(self._target_bps, SETTLED * max(capacity_bps or 0, delivery.recent_bps))
        self._is_draining = False
        if capacity_bps is not None and self._target_bps >= capacity_bps and now_ns < self._held_until_ns:
            return
        climb = CLIMB if capacity_bps is None or self._target_bps < 0.9 * capacity_bps else CREEP
        grown_bps = self._target_bps * climb**elapsed_s
        proven_bps = max(self._target_bps, APPLICATION_LIMIT * delivery.steady_bps)
        self._target_bps = min(grown_bps, proven_bps)

    def _clamp(self) -> None:
        self._target_bps = min(float(self._max_bps), max(float(self._min_bps), self._target_bps))
        self.target_bps = int(self._target_bps)
