"""Probes: short trains of packets, faster than the target, that show whether the link carries more. Pure.

A train costs a few kilobytes and queues for a few milliseconds where it fails, so it may be tried often;
libwebrtc's probe controller is its model.
"""

from dataclasses import dataclass, field

from agent.control.flight import ProbePacket

MIN_PROBE_BYTES = 4000
"""Where the rate is low: `MIN_TRAIN` packets, although padding may repeat the largest that was sent."""
PROBE_MS, MAX_PROBE_MS = 30.0, 50.0
NOISE_TIMES = 6
"""A train lasts several times as long as the link's noise, or its slope says nothing."""
MIN_TRAIN = 4
"""Packets."""
STEP = 1.4
"""A probe asks for this multiple of the target: it shows a step, and queues little where it fails."""
EAGER_INTERVAL_NS, INTERVAL_NS, MAX_INTERVAL_NS = 500_000_000, 2_000_000_000, 3_000_000_000
"""Between probes that found nothing: after a fall, otherwise, and after many in vain."""
TIMEOUT_NS = 2_000_000_000
WARY_NS = 60_000_000_000
"""So long after, a step that was found must show its losses before the next one."""
MAX_LOST = 0.1
"""Of a train that counts."""
SATURATED = 0.9
"""A train that arrives slower than this share of its own rate has met the link's capacity."""
UTILISATION = 0.95
"""What of a measured capacity to use."""
FOUND = 1.05
"""A result worth taking is above the target by this, and by more where the link is noisy."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Send `size_bytes` at `rate_bps`, with padding where there is too little media."""

    id: int
    rate_bps: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a train has shown."""

    bps: int
    is_capacity: bool
    """The link carries no more: the train arrived slower than it left."""


@dataclass(slots=True)
class _Cluster:
    probe: Probe
    started_ns: int
    sent_bytes: int = 0
    lost_bytes: int = 0
    received: list[ProbePacket] = field(default_factory=list)


class Prober:
    """At most one probe under way."""

    def __init__(self) -> None:
        self._cluster: _Cluster | None = None
        self._next_id = 0
        self._next_ns = 0
        self._interval_ns = INTERVAL_NS
        self._wanted_bps: int | None = None
        self._wanted_bytes: int | None = None
        self._doubt = 1.0
        self._wary_until_ns = 0

    def ask(self, rate_bps: int, now_ns: int, size_bytes: int | None = None) -> None:
        """Probe for this rate as soon as possible, and often from then on: after a fall or an outage.

        With so many bytes, where the train must be shorter than it would be.
        """
        self._wanted_bps, self._next_ns, self._wanted_bytes = rate_bps, now_ns, size_bytes
        self._interval_ns = EAGER_INTERVAL_NS
        self._cluster = None

    def postpone(self, now_ns: int) -> None:
        """The link is full: not now."""
        self._next_ns = max(self._next_ns, now_ns + INTERVAL_NS // 2)

    def hold_off(self, until_ns: int) -> None:
        """Too much was lost: a policer's bucket lets a train pass that its rate does not carry."""
        self._cluster = self._wanted_bps = self._wanted_bytes = None
        self._next_ns = max(self._next_ns, until_ns)
        self._wary_until_ns = until_ns + WARY_NS

    def release(self, now_ns: int) -> None:
        """What was lost says nothing of what the link carries."""
        self._next_ns = min(self._next_ns, now_ns)

    def due(self, target_bps: int, limit_bps: int, noise_ms: float, now_ns: int) -> Probe | None:
        """The next probe, once its time has come."""
        if self._cluster is not None and now_ns - self._cluster.started_ns > TIMEOUT_NS:
            self._finish(None, now_ns)
        if self._cluster is not None or now_ns < self._next_ns:
            return None
        wanted_bps = self._wanted_bps or 0
        rate_bps = min(wanted_bps if wanted_bps > FOUND * target_bps else int(STEP * target_bps), limit_bps)
        if rate_bps < FOUND * target_bps:
            return None
        duration_ms = min(MAX_PROBE_MS, max(PROBE_MS, NOISE_TIMES * noise_ms))
        size_bytes = self._wanted_bytes or max(MIN_PROBE_BYTES, int(rate_bps * duration_ms / 8000))
        self._doubt = 1 + noise_ms / duration_ms
        self._next_id += 1
        self._cluster = _Cluster(Probe(self._next_id, rate_bps, size_bytes), now_ns)
        return self._cluster.probe

    def on_sent(self, probe: int, size_bytes: int) -> None:
        """Note packets of this probe's train."""
        if self._cluster is not None and probe == self._cluster.probe.id:
            self._cluster.sent_bytes += size_bytes

    def on_outcome(self, packets: list[ProbePacket], target_bps: int, now_ns: int) -> Found | None:
        """What a finished probe found the link to carry, where it is well above the target."""
        cluster = self._cluster
        if cluster is None:
            return None
        ours = [packet for packet in packets if packet.probe == cluster.probe.id]
        cluster.received += [packet for packet in ours if packet.arrival_us is not None]
        cluster.lost_bytes += sum(packet.size_bytes for packet in ours if packet.arrival_us is None)
        arrived_bytes = sum(p.size_bytes for p in cluster.received)
        if cluster.sent_bytes < cluster.probe.size_bytes:
            return None
        if arrived_bytes + cluster.lost_bytes < cluster.sent_bytes:
            return None
        found = (
            _measure(cluster.received, self._doubt)
            if arrived_bytes >= cluster.sent_bytes * (1 - MAX_LOST)
            else None
        )
        if found is not None and found.bps < FOUND * target_bps:
            found = None
        self._finish(found, now_ns)
        return found

    def _finish(self, found: Found | None, now_ns: int) -> None:
        self._cluster = self._wanted_bps = self._wanted_bytes = None
        if found is None:
            self._next_ns = now_ns + self._interval_ns
            self._interval_ns = min(MAX_INTERVAL_NS, self._interval_ns * 2)
        else:
            is_last = found.is_capacity or now_ns < self._wary_until_ns
            self._next_ns = now_ns + (INTERVAL_NS // 2 if is_last else 0)
            self._interval_ns = INTERVAL_NS


def _measure(packets: list[ProbePacket], doubt: float) -> Found | None:
    if len(packets) < MIN_TRAIN:
        return None
    send_bps = _rate_bps([(p.sent_ns / 1e9, p.size_bytes) for p in packets])
    receive_bps = _rate_bps([((p.arrival_us or 0) / 1e6, p.size_bytes) for p in packets])
    if receive_bps < SATURATED * send_bps:
        return Found(int(UTILISATION * receive_bps / doubt), is_capacity=True)
    return Found(int(min(send_bps, receive_bps) / doubt), is_capacity=False)


def _rate_bps(points: list[tuple[float, int]]) -> float:
    """Bits a second, by the slope of the bytes before each packet over its time."""
    total, xs, ys = 0, [], []
    for at_s, size_bytes in points:
        xs.append(at_s)
        ys.append(total * 8.0)
        total += size_bytes
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    # Bytes are given and times are noisy, so the regression is of time on bytes.
    spread = sum((y - mean_y) ** 2 for y in ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    return 1 / slope if slope > 1e-9 else float("1e9")
