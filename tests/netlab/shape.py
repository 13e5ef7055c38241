"""What one direction of a link does to packets, and when each of them leaves. Pure: time is an argument.

A packet waits in a byte-limited queue for the bottleneck, may be lost, and then travels for the delay. Order
is kept, as a radio link does by retransmission: jitter only ever holds back what follows.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, Self

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
OPPORTUNITY_BYTES = 1500
"""What leaves at each line of a trace in mahimahi's format."""
MAX_TRACE_LINES = 10_000_000
MAX_PASSAGES = 500_000
"""Twenty minutes at 4 Mb/s."""


class ShapeError(ValueError):
    """A shape or a trace that makes no sense."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Bursty loss (Gilbert-Elliott), a step for each packet."""

    enter: float
    """How likely a good link turns bad."""
    leave: float
    """How likely a bad link turns good."""
    loss: float = 1.0
    """How likely a packet is lost while it is bad."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction. The defaults are a wire."""

    rate_bps: float | None = None
    trace: tuple[int, ...] | None = None
    """Instead of a rate: ms at which 1500 bytes may leave, in order, starting over after the last."""
    queue_bytes: int = 1_000_000
    bucket_bytes: int | None = None
    """A policer and no queue: what is more than this above `rate_bps` is lost, and the rest does not wait."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Twice the standard deviation of the delay."""
    loss: float = 0.0
    """0 to 1, each packet by itself; on top of `burst`."""
    burst: Burst | None = None
    mark_ms: float | None = None
    """An L4S queue's step: what carries ECT(1) and has waited longer leaves with CE, unless there is no more
    than a packet in the queue (RFC 9332 appendix A.1)."""
    is_up: bool = True

    def __post_init__(self) -> None:
        shares = [self.loss, *((self.burst.enter, self.burst.leave, self.burst.loss) if self.burst else ())]
        if any(not 0 <= share <= 1 for share in shares):
            raise ShapeError("probabilities are from 0 to 1")
        if self.rate_bps is not None and (self.rate_bps <= 0 or self.trace is not None):
            raise ShapeError("rate_bps must be above 0, and goes without trace")
        if self.trace is not None and (not self.trace or self.trace[-1] <= 0 or self.trace[0] < 0):
            raise ShapeError("a trace needs a line, and its last must be above 0 ms")
        if self.trace is not None and any(b < a for a, b in zip(self.trace, self.trace[1:], strict=False)):
            raise ShapeError("a trace's lines must not go back in time")
        if self.bucket_bytes is not None and (self.rate_bps is None or self.bucket_bytes < OPPORTUNITY_BYTES):
            raise ShapeError("bucket_bytes goes with rate_bps, and must hold a packet")
        if self.queue_bytes < OPPORTUNITY_BYTES or self.delay_ms < 0 or self.jitter_ms < 0:
            raise ShapeError("queue_bytes must hold a packet; delay_ms and jitter_ms must not be negative")
        if self.mark_ms is not None and self.mark_ms < 0:
            raise ShapeError("mark_ms must not be negative")

    def changed(self, **changes: Any) -> Self:
        """Return this shape with some of its fields set anew: JSON's values do. Raises ShapeError."""
        unknown = changes.keys() - {one.name for one in fields(self)}
        if unknown:
            raise ShapeError(f"a link has no {', '.join(sorted(unknown))}")
        try:
            if isinstance(changes.get("burst"), dict):
                changes["burst"] = Burst(**changes["burst"])
            if isinstance(changes.get("trace"), list):
                changes["trace"] = tuple(changes["trace"])
            return replace(self, **changes)
        except TypeError as exc:
            raise ShapeError(str(exc)) from exc


def parse_trace(text: str) -> tuple[int, ...]:
    """Read mahimahi's format: one whole number of ms a line. Raises ShapeError."""
    lines = text.split()
    if len(lines) > MAX_TRACE_LINES:
        raise ShapeError(f"a trace has at most {MAX_TRACE_LINES} lines")
    try:
        return Shape(trace=tuple(int(line) for line in lines)).trace or ()
    except ValueError as exc:
        raise ShapeError(f"not a trace: {exc}") from exc


def read_trace(path: Path) -> tuple[int, ...]:
    """Read a recorded trace from a file. Raises ShapeError, OSError."""
    return parse_trace(path.read_text())


def random_trace(seed: int, duration_s: float, mean_bps: float) -> tuple[int, ...]:
    """Make a trace like a moving phone's: the rate wanders between a tenth and three times the mean."""
    rng = random.Random(seed)
    times, rate, credit = [], mean_bps, 0.0
    duration_ms = int(duration_s * 1000)
    for ms in range(1, duration_ms + 1):
        if ms % 100 == 0:
            rate = min(3 * mean_bps, max(mean_bps / 10, rate * rng.lognormvariate(0, 0.3) ** 0.5))
            rate += (mean_bps - rate) * 0.1
        credit += rate / 8 / 1000
        while credit >= OPPORTUNITY_BYTES:
            credit -= OPPORTUNITY_BYTES
            times.append(ms)
    return Shape(trace=(*times, duration_ms)).trace or ()


class _Bottleneck(Protocol):
    def finish_ns(self, size_bytes: int, ready_ns: int) -> int:
        """When a packet has passed that was first in the queue from `ready_ns` on."""


@dataclass
class _Open:
    def finish_ns(self, size_bytes: int, ready_ns: int) -> int:  # noqa: ARG002
        return ready_ns


@dataclass
class _Rate:
    rate_bps: float

    def finish_ns(self, size_bytes: int, ready_ns: int) -> int:
        return ready_ns + round(size_bytes * 8 * NS_PER_S / self.rate_bps)


@dataclass
class _Bucket:
    """Tokens of a policer."""

    rate_bps: float
    size_bytes: int
    filled_ns: int
    tokens_bytes: float

    def takes(self, size_bytes: int, now_ns: int) -> bool:
        grown_bytes = (now_ns - self.filled_ns) * self.rate_bps / 8 / NS_PER_S
        self.tokens_bytes = min(float(self.size_bytes), self.tokens_bytes + grown_bytes)
        self.filled_ns = now_ns
        if self.tokens_bytes < size_bytes:
            return False
        self.tokens_bytes -= size_bytes
        return True


@dataclass
class _Trace:
    times_ms: Sequence[int]
    start_ns: int
    line: int = -1
    at_ns: int = -1
    left_bytes: int = 0

    def finish_ns(self, size_bytes: int, ready_ns: int) -> int:
        if ready_ns > self.at_ns:  # nobody was there to use the rest of that opportunity
            self.left_bytes = 0
            self._skip_to(ready_ns)
        while self.left_bytes < size_bytes:
            self._next()
            self.left_bytes += OPPORTUNITY_BYTES
        self.left_bytes -= size_bytes
        return self.at_ns

    def _next(self) -> None:
        self.line += 1
        laps, line = divmod(self.line, len(self.times_ms))
        self.at_ns = self.start_ns + (laps * self.times_ms[-1] + self.times_ms[line]) * NS_PER_MS

    def _skip_to(self, ns: int) -> None:
        """Stand before the first opportunity at `ns` or later."""
        lap_ns = self.times_ms[-1] * NS_PER_MS
        laps = max(0, (ns - self.start_ns) // lap_ns - 1)
        self.line = max(self.line, laps * len(self.times_ms) - 1)
        while True:
            line = self.line
            self._next()
            if self.at_ns >= ns:
                self.line = line
                return


@dataclass
class Counters:
    """What happened to the packets of one direction."""

    in_packets: int = 0
    out_packets: int = 0
    out_bytes: int = 0
    lost_packets: int = 0
    """By `loss` or `burst`."""
    overflow_packets: int = 0
    marked_packets: int = 0
    """That left with CE by `mark_ms`."""
    outage_packets: int = 0
    max_queue_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """One packet at the bottleneck's far end."""

    at_ns: int
    size_bytes: int
    waited_ns: int
    """In the queue, and while it passed."""


@dataclass(slots=True)
class _Packet:
    frame: bytes
    size_bytes: int
    arrived_ns: int
    is_late: bool = False
    """It waited so long that it leaves with CE where it carries ECT(1)."""


@dataclass
class Direction:
    """One direction of a link: `push` what comes, `pop` what leaves, and call again at `next_ns`."""

    shape: Shape
    rng: random.Random
    start_ns: int
    header_bytes: int = 0
    """What of each frame the rate does not count: 14 for Ethernet."""
    mark: Callable[[Any], Any] = lambda _: None
    """The frame with CE; None where it carries no ECT(1)."""
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self._queue: deque[_Packet] = deque()
        self._queue_bytes = 0
        self._flying: deque[tuple[int, bytes]] = deque()
        self._head_done_ns: int | None = None
        self._free_ns = self.start_ns
        self._last_ns = self.start_ns
        self._is_bad = False
        self.passages: deque[Passage] = deque(maxlen=MAX_PASSAGES)
        self._bottleneck = self._build_bottleneck(self.start_ns)
        self._bucket = self._build_bucket(self.start_ns)

    def reshape(self, shape: Shape, now_ns: int) -> None:
        """Change the link. A packet goes on as the bottleneck has begun it; an outage drops all that wait."""
        self._serve(now_ns)
        has_new_bottleneck = _bottleneck_of(shape) != _bottleneck_of(self.shape)
        self.shape = shape
        if has_new_bottleneck:
            self._bottleneck = self._build_bottleneck(now_ns)
            self._bucket = self._build_bucket(now_ns)
        if not shape.is_up:
            self.counters.outage_packets += len(self._queue)
            self._queue.clear()
            self._queue_bytes, self._head_done_ns, self._free_ns = 0, None, now_ns

    def push(self, frame: bytes, now_ns: int) -> None:
        """Take a frame that arrives now."""
        self._serve(now_ns)
        size_bytes = max(0, len(frame) - self.header_bytes)
        self.counters.in_packets += 1
        if not self.shape.is_up:
            self.counters.outage_packets += 1
        elif self._queue_bytes + size_bytes > self.shape.queue_bytes or not (
            self._bucket is None or self._bucket.takes(size_bytes, now_ns)
        ):
            self.counters.overflow_packets += 1
        else:
            self._queue.append(_Packet(frame, size_bytes, now_ns))
            self._queue_bytes += size_bytes
            self.counters.max_queue_bytes = max(self.counters.max_queue_bytes, self._queue_bytes)
            self._serve(now_ns)

    def pop(self, now_ns: int) -> list[tuple[int, bytes]]:
        """Return the frames that have left by now, each with the time at which it should have, in order."""
        self._serve(now_ns)
        left = []
        while self._flying and self._flying[0][0] <= now_ns:
            left.append(self._flying.popleft())
            self.counters.out_packets += 1
            self.counters.out_bytes += len(left[-1][1])
        return left

    def next_ns(self) -> int | None:
        """When to call `pop` next; None while nothing is under way."""
        times = [self._flying[0][0]] if self._flying else []
        if self._head_done_ns is not None:
            times.append(self._head_done_ns)
        return min(times, default=None)

    def _serve(self, now_ns: int) -> None:
        """Let the bottleneck pass what it can until now."""
        while self._queue:
            head = self._queue[0]
            if self._head_done_ns is None:
                ready_ns = max(head.arrived_ns, self._free_ns)
                self._head_done_ns = self._bottleneck.finish_ns(head.size_bytes, ready_ns)
                head.is_late = self._is_late(ready_ns - head.arrived_ns)
            if self._head_done_ns > now_ns:
                return
            self._queue.popleft()
            self._queue_bytes -= head.size_bytes
            self._free_ns, self._head_done_ns = self._head_done_ns, None
            self.passages.append(Passage(self._free_ns, head.size_bytes, self._free_ns - head.arrived_ns))
            if self._is_lost():
                self.counters.lost_packets += 1
            else:
                self._last_ns = max(self._last_ns, self._free_ns + self._travel_ns())
                self._flying.append((self._last_ns, self._marked(head)))

    def _is_late(self, waited_ns: int) -> bool:
        mark_ms = self.shape.mark_ms
        is_queued = self._queue_bytes > OPPORTUNITY_BYTES
        return mark_ms is not None and is_queued and waited_ns > mark_ms * NS_PER_MS

    def _marked(self, packet: _Packet) -> bytes:
        marked = self.mark(packet.frame) if packet.is_late else None
        self.counters.marked_packets += marked is not None
        return packet.frame if marked is None else marked

    def _is_lost(self) -> bool:
        burst = self.shape.burst
        if burst is not None:
            self._is_bad = (
                self.rng.random() >= burst.leave if self._is_bad else self.rng.random() < burst.enter
            )
            if self._is_bad and self.rng.random() < burst.loss:
                return True
        return self.rng.random() < self.shape.loss

    def _travel_ns(self) -> int:
        delay_ms = self.shape.delay_ms
        if self.shape.jitter_ms:
            delay_ms = max(0.0, self.rng.gauss(delay_ms, self.shape.jitter_ms / 2))
        return round(delay_ms * NS_PER_MS)

    def _build_bottleneck(self, now_ns: int) -> _Bottleneck:
        if self.shape.trace is not None:
            return _Trace(self.shape.trace, now_ns)
        if self.shape.rate_bps is None or self.shape.bucket_bytes is not None:
            return _Open()
        return _Rate(self.shape.rate_bps)

    def _build_bucket(self, now_ns: int) -> _Bucket | None:
        rate_bps, size_bytes = self.shape.rate_bps, self.shape.bucket_bytes
        if rate_bps is None or size_bytes is None:
            return None
        return _Bucket(rate_bps, size_bytes, now_ns, float(size_bytes))


def _bottleneck_of(shape: Shape) -> tuple[object, ...]:
    return shape.rate_bps, shape.trace, shape.bucket_bytes
