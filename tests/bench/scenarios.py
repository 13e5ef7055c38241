"""What the link does in each scenario of `scripts/bench link`. Pure."""

import bisect
from dataclasses import dataclass, field
from pathlib import Path

from netlab.shape import OPPORTUNITY_BYTES, Shape, parse_trace, random_trace
from unit.control.conditions import CONDITIONS
from unit.control.simulator import RETURN_MS

SETTLE_S = 5.0
"""The first seconds do not count."""
MAX_TRACE_S = 60
DEVICE_DELAY_MS = 20
"""One way: an LTE uplink without a queue."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The device's uplink over time; the seconds count from the first picture."""

    name: str
    what: str
    uplink: Shape
    seconds: float = 60.0
    changes: tuple[tuple[float, dict], ...] = ()
    downlink: Shape | None = None
    """By which the feedback comes; else a wire with the uplink's delay."""
    upload_s: float | None = None
    """When a TCP upload begins beside, on the same uplink."""
    viewers: int = 1
    guest_bps: int | None = None
    """One more viewer, behind a link of its own that carries this much."""
    camera_bps: int = 6_000_000
    """The most that the camera makes."""
    is_relayed: bool = False
    is_long: bool = False

    @property
    def feedback(self) -> Shape:
        """The way back."""
        return self.downlink or Shape(delay_ms=self.uplink.delay_ms)

    @property
    def phases(self) -> list[tuple[float, float, Shape]]:
        """(from, to, shape)."""
        shape, since_s, phases = self.uplink, 0.0, []
        for at_s, change in self.changes:
            phases.append((since_s, at_s, shape))
            shape, since_s = shape.changed(**change), at_s
        return [*phases, (since_s, self.seconds, shape)]

    def capacity_bits(self, start_s: float, stop_s: float) -> float:
        """What the link carries between two times."""
        total = 0.0
        for since_s, until_s, shape in self.phases:
            a, b = max(start_s, since_s), min(stop_s, until_s)
            if a < b and shape.is_up:
                total += _bits(shape, a - since_s, b - since_s)
        return total


def _bits(shape: Shape, start_s: float, stop_s: float) -> float:
    if shape.trace is None:
        return (shape.rate_bps or 0.0) * (stop_s - start_s)
    return (
        (_opportunities(shape.trace, stop_s) - _opportunities(shape.trace, start_s)) * OPPORTUNITY_BYTES * 8
    )


def _opportunities(trace: tuple[int, ...], at_s: float) -> int:
    laps, rest_ms = divmod(at_s * 1000, trace[-1])
    return int(laps) * len(trace) + bisect.bisect_right(trace, rest_ms)


@dataclass(frozen=True, slots=True)
class _Base:
    delay_ms: float = DEVICE_DELAY_MS
    queue_bytes: int = 100_000
    more: dict = field(default_factory=dict)

    def at(self, rate_bps: float) -> Shape:
        return Shape(rate_bps=rate_bps, delay_ms=self.delay_ms, queue_bytes=self.queue_bytes, **self.more)


_PLAIN = _Base()
_LOSSY = Shape(rate_bps=1.5e6, delay_ms=50, jitter_ms=20, loss=0.02, queue_bytes=60_000)
_CELLULAR = {"delay_ms": DEVICE_DELAY_MS, "queue_bytes": 300_000}
"""Base stations keep deep queues: a second and more."""
_SIMULATED = (
    "jitter-20", "jitter-100", "policer", "upload", "upload-deep", "upload-slow", "far", "farther", "deaf-30",
    "outages", "loss-20", "bursty", "fall",
)  # fmt: skip
"""Of the simulator's conditions, those that no scenario of ours is already."""


def _steps(*rates: tuple[float, float | None]) -> tuple[tuple[float, dict], ...]:
    return tuple(
        (at_s, {"is_up": False} if rate is None else {"rate_bps": rate, "is_up": True})
        for at_s, rate in rates
    )


def _trace(name: str, what: str, trace: tuple[int, ...]) -> Scenario:
    seconds = min(MAX_TRACE_S, trace[-1] // 1000)
    cut = tuple(at for at in trace if at < seconds * 1000)
    return Scenario(name, what, Shape(trace=(*cut, seconds * 1000), **_CELLULAR), seconds=seconds)


def _simulated(name: str) -> Scenario:
    """The same link as in `scripts/bench simulated`, so that their figures can be laid side by side."""
    condition = CONDITIONS[name]
    more = condition.more
    return Scenario(
        name,
        condition.what,
        condition.uplink,
        condition.seconds,
        tuple(more.get("changes", ())),
        Shape(delay_ms=more.get("return_ms", RETURN_MS), loss=more.get("feedback_loss", 0.0)),
        more.get("upload_s"),
    )


def recorded(path: Path) -> Scenario:
    """A trace in mahimahi's format; its first minute. Raises ShapeError, OSError."""
    return _trace(path.stem.lower(), f"recorded: {path.name}", parse_trace(path.read_text()))


def made(seed: int, mean_bps: float) -> Scenario:
    """A trace of a moving phone's kind, from a seed."""
    return _trace(
        f"made-{seed}", f"made from seed {seed}, {mean_bps / 1e6:g} Mb/s", random_trace(seed, 60, mean_bps)
    )


SCENARIOS = (
    Scenario("constant-4", "4 Mb/s", _PLAIN.at(4e6)),
    Scenario("constant-1.5", "1.5 Mb/s", _PLAIN.at(1.5e6)),
    Scenario("constant-0.4", "0.4 Mb/s", _Base(queue_bytes=40_000).at(0.4e6)),
    Scenario("lossy", "1.5 Mb/s, 50 ms, jitter 20 ms, loss 2 %, queue 60 KB", _LOSSY, seconds=65),
    Scenario("step", "4, 1.2, 3 Mb/s, 20 s each", _PLAIN.at(4e6), changes=_steps((20, 1.2e6), (40, 3e6))),
    Scenario(
        "outage",
        "1.5, 0.4 Mb/s (15 to 25 s), 1.5, no link (35 to 40 s), 1.5",
        _PLAIN.at(1.5e6),
        changes=_steps((15, 0.4e6), (25, 1.5e6), (35, None), (40, 1.5e6)),
    ),
    Scenario("marks", "4 Mb/s, an L4S queue that marks at 1 ms", _Base(more={"mark_ms": 1.0}).at(4e6)),
    Scenario("two", "3 Mb/s, two viewers compete", _PLAIN.at(3e6), viewers=2),
    # With room on the link, so that the slow viewer can only do harm through the encoder.
    Scenario("alone", "8 Mb/s, a camera of 2 Mb/s, one viewer", _PLAIN.at(8e6), camera_bps=2_000_000),
    Scenario(
        "guest",
        "8 Mb/s, a camera of 2 Mb/s, one more viewer behind 0.4 Mb/s",
        _PLAIN.at(8e6),
        guest_bps=400_000,
        camera_bps=2_000_000,
    ),
    made(1, 2e6),
    made(2, 1e6),
    *map(_simulated, _SIMULATED),
    Scenario(
        "relayed",
        "3 Mb/s through coturn for 10 min",
        _PLAIN.at(3e6),
        seconds=600,
        is_relayed=True,
        is_long=True,
    ),
)
