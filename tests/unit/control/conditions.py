"""Links of each kind that a viewer meets, for the simulator: from seeds, and none of them recorded."""

import random
from dataclasses import dataclass, field

from netlab.shape import Burst, Shape, random_trace
from unit.control.simulator import simulate

SETTLE_S = 5.0


@dataclass(frozen=True)
class Condition:
    """One link over time."""

    what: str
    uplink: Shape
    mean_bps: float
    """What it carries in all, of which a share is used."""
    seconds: float = 60.0
    more: dict = field(default_factory=dict)
    """For `simulate`."""

    def run(self, seed):
        return simulate(self.uplink, self.seconds, seed=seed, **{"start_bps": 1_500_000, **self.more})


def link(mbps, queue_bytes=60_000, delay_ms=30.0, **rest):
    return Shape(rate_bps=mbps * 1e6, queue_bytes=queue_bytes, delay_ms=delay_ms, **rest)


def steps(field_name, every_s, for_s, usual, other, seconds=60):
    """A change and back, again and again."""
    starts = [SETTLE_S + 1 + every_s * i for i in range(int((seconds - SETTLE_S) // every_s))]
    return [
        change for at in starts for change in ((at, {field_name: other}), (at + for_s, {field_name: usual}))
    ]


def stalling_trace(seed, seconds, mean_bps):
    """The same as `random_trace`, with stalls as of a radio link that loses its cell for a moment."""
    rng = random.Random(seed)
    stalls, at_ms = [], 6000.0
    while (at_ms := at_ms + rng.expovariate(1 / 3000)) < seconds * 1000:
        stalls.append((at_ms, at_ms := at_ms + rng.choice((150, 250, 400, 400, 800, 1500))))
    times = random_trace(seed, seconds, mean_bps)
    return (*(at for at in times if not any(a <= at < b for a, b in stalls)), seconds * 1000)


def _stalling(seed, mbps):
    trace = stalling_trace(seed, 60, mbps * 1e6)
    mean_bps = len([at for at in trace if at >= SETTLE_S * 1000]) * 12e3 / (60 - SETTLE_S)
    return Condition(
        f"wanders about {mbps:g} Mb/s and stalls",
        Shape(trace=trace, queue_bytes=300_000, delay_ms=20),
        mean_bps,
    )


def _jitter(ms):
    return Condition(f"jitter {ms} ms, 2 Mb/s", link(2, 100_000, 60, jitter_ms=ms), 2e6)


def _upload(mbps, queue_bytes):
    what = f"a TCP upload beside, {mbps:g} Mb/s, queue {queue_bytes // 1000} KB"
    return Condition(what, link(mbps, queue_bytes, 20), mbps * 1e6, more={"upload_s": 3.0})


CONDITIONS = {
    "steady": Condition("1.5 Mb/s", link(1.5), 1.5e6),
    "marks": Condition(
        "an L4S queue that marks at 1 ms, 4 Mb/s", link(4, 150_000, mark_ms=1.0), 4e6,
        more={"l4s": True, "report_ms": 40},
    ),
    "marks-off": Condition(
        "the same for a viewer that does not report marks", link(4, 150_000, mark_ms=1.0), 4e6,
    ),
    "jitter-20": _jitter(20),
    "jitter-50": _jitter(50),
    "jitter-100": _jitter(100),
    "busy-cpu": Condition(
        "packets leave 8 ms late on average, 4 Mb/s", link(4, 150_000), 4e6, more={"lateness_ms": 8.0}
    ),
    "policer": Condition("policed to 1.5 Mb/s with 30 KB", link(1.5, bucket_bytes=30_000), 1.5e6),
    "policer-3": Condition("policed to 3 Mb/s with 60 KB", link(3, bucket_bytes=60_000), 3e6),
    "policer-falls": Condition(
        "policed to 4 and from 40 s on to 1.5 Mb/s, 60 KB", link(4, bucket_bytes=60_000),
        (4e6 * 35 + 1.5e6 * 50) / 85, 90, {"changes": [(40, {"rate_bps": 1.5e6})]},
    ),
    "upload": _upload(3, 100_000),
    "upload-deep": _upload(3, 300_000),
    "upload-slow": _upload(1.5, 60_000),
    "far": Condition(
        "round trip 600 ms, loss 1 %, 1.5 Mb/s", link(1.5, 120_000, 300, loss=0.01), 1.5e6,
        more={"return_ms": 300.0},
    ),
    "farther": Condition(
        "200 ms longer after 20 s, and 400 ms after 30 s, 1.5 Mb/s", link(1.5, 120_000, 100), 1.5e6,
        more={"return_ms": 100.0, "changes": [(20, {"delay_ms": 300.0}), (30, {"delay_ms": 500.0})]},
    ),
    "deaf-30": Condition("30 % of the reports lost, 1.5 Mb/s", link(1.5), 1.5e6, more={"feedback_loss": 0.3}),
    "outages": Condition(
        "no link for 0.3 s every 4 s, 1.5 Mb/s", link(1.5), 1.5e6 * (1 - 0.3 / 4),
        more={"changes": steps("is_up", 4, 0.3, usual=True, other=False)},
    ),
    "loss-2": Condition(
        "loss 2 %, jitter 20 ms, 1.5 Mb/s", link(1.5, 60_000, 50, jitter_ms=20, loss=0.02), 1.5e6
    ),
    "loss-20": Condition("loss 20 %, 1.5 Mb/s", link(1.5, loss=0.2), 1.5e6 * 0.8),
    "bursty": Condition(
        "bursts of 4 lost packets, 2 % in all, 80 ms, 2 Mb/s",
        link(2, 100_000, 80, burst=Burst(enter=0.005, leave=0.25)), 2e6,
    ),
    "fall": Condition(
        "6 and 0.5 Mb/s, 10 s each", link(6, 300_000), 4e6,
        more={"changes": steps("rate_bps", 20, 10, usual=6e6, other=0.5e6)},
    ),
    "dips": Condition(
        "6 Mb/s, for 1 s of 4 only 1", link(6, 300_000), 4.75e6,
        more={"changes": steps("rate_bps", 4, 1, usual=6e6, other=1e6)},
    ),
    "wander": Condition(
        "wanders about 1.5 Mb/s",
        Shape(trace=random_trace(12, 60, 1.5e6), queue_bytes=300_000, delay_ms=20), 1.5e6,
    ),
    "stalls-1": _stalling(21, 1.5),
    "stalls-2": _stalling(22, 3),
    "stalls-3": _stalling(23, 0.7),
    "stalls-4": _stalling(24, 5),
}  # fmt: skip
