"""What is on its way to one viewer: packets sent, and what the viewer's feedback says of them. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import gt

MAX_PACKETS = 8192
"""A quarter of the 16-bit numbers and 20 s at 4 Mb/s: what is older will not be reported any more."""


@dataclass(slots=True)
class _Run:
    """Packets that left at once, from number `start` up to `end`.

    The numbers go on where those on the wire, which have 16 bits, start over.
    """

    start: int
    sizes_bytes: Sequence[int]
    sent_ns: int
    probe: int | None

    @property
    def end(self) -> int:
        return self.start + len(self.sizes_bytes)

    def part(self, start: int, end: int) -> "_Run":
        sizes_bytes = self.sizes_bytes[start - self.start : end - self.start]
        return _Run(start, sizes_bytes, self.sent_ns, self.probe)


@dataclass(slots=True)
class ProbePacket:
    """One packet of a probe, and its fate."""

    probe: int
    size_bytes: int
    sent_ns: int
    arrival_us: int | None
    """By the viewer's clock, never starting over; None where it was lost."""


@dataclass(slots=True)
class Outcome:
    """What one report settles, in the order of departure."""

    arrivals_us: list[int] = field(default_factory=list)
    """Of what was received, by the viewer's clock, which never starts over, ..."""
    sizes_bytes: list[int] = field(default_factory=list)
    """... and how large each packet was."""
    delay_us: float = (1 << 63) / 1000
    """The least time from departure to arrival, by two clocks."""
    newest_sent_ns: int = 0
    """When the newest packet left that arrived."""
    lost: int = 0
    """Packets, ..."""
    lost_runs: int = 0
    """... and how many times some in a row."""
    ends_lost: bool = False
    """The last one was lost."""
    unknown_bytes: list[int] = field(default_factory=list)
    """Sizes of packets older than the report and never reported on: the feedback about them was lost."""
    probes: list[ProbePacket] = field(default_factory=list)


class Flight:
    """Packets in flight, in the runs in which they left."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque()  # in the order of departure; what is settled is cut out
        self._end = 0
        self._count = 0
        self.bytes = 0

    def oldest_sent_ns(self) -> int | None:
        """When the oldest packet in flight left."""
        return self._runs[0].sent_ns if self._runs else None

    def on_sent(self, seq: int, sizes_bytes: Sequence[int], sent_ns: int, probe: int | None = None) -> None:
        """Note packets that left, the first with the transport-wide number `seq` modulo 2**16.

        Forgets the oldest beyond the bound. `probe` is the cluster that they belong to.
        """
        run = _Run(self._end + (seq - self._end & 0xFFFF), sizes_bytes, sent_ns, probe)
        self._runs.append(run)
        self._end = run.end
        self._count += len(sizes_bytes)
        self.bytes += sum(sizes_bytes)
        while (excess := self._count - MAX_PACKETS) > 0:
            oldest = self._runs.popleft()
            if len(oldest.sizes_bytes) > excess:
                self._runs.appendleft(oldest.part(oldest.start + excess, oldest.end))
            self._forget(oldest.sizes_bytes[:excess])

    def on_feedback(self, base_seq: int, arrivals_us: Sequence[int | None]) -> Outcome:
        """Settle what a report covers, from number `base_seq` on; what is not in flight is passed over."""
        start = self._end - (self._end - base_seq & 0xFFFF)
        if start == self._end:  # it has not left: all that did would be looked through, for nothing
            return Outcome()
        end = start + len(arrivals_us)
        outcome, older, first_ns = Outcome(), deque[_Run](), 0
        while self._runs and self._runs[0].start < end:
            run = self._runs.popleft()
            run_end = run.end
            first, last = max(run.start, start), min(run_end, end)
            if first >= last:
                older.append(run)
                continue
            if run.start < first:
                older.append(run.part(run.start, first))
            if last < run_end:
                self._runs.appendleft(run.part(last, run_end))
            first_ns = first_ns or run.sent_ns
            sizes_bytes = run.sizes_bytes[first - run.start : last - run.start]
            self._forget(sizes_bytes)
            _settle(outcome, run, sizes_bytes, arrivals_us[first - start : last - start])
            if last == end:
                break
        while older and older[0].sent_ns < first_ns:
            unknown_bytes = older.popleft().sizes_bytes
            self._forget(unknown_bytes)
            outcome.unknown_bytes += unknown_bytes
        self._runs.extendleft(reversed(older))
        return outcome

    def _forget(self, sizes_bytes: Sequence[int]) -> None:
        self._count -= len(sizes_bytes)
        self.bytes -= sum(sizes_bytes)


def _settle(
    outcome: Outcome, run: _Run, sizes_bytes: Sequence[int], arrivals_us: Sequence[int | None]
) -> None:
    """Note what became of some of a run's packets."""
    if run.probe is not None:
        for size_bytes, arrival_us in zip(sizes_bytes, arrivals_us, strict=True):
            outcome.probes.append(ProbePacket(run.probe, size_bytes, run.sent_ns, arrival_us))
    received_us = [at_us for at_us in arrivals_us if at_us is not None]
    if lost := len(arrivals_us) - len(received_us):
        are_lost = [at_us is None for at_us in arrivals_us]
        outcome.lost += lost
        outcome.lost_runs += sum(map(gt, are_lost, (outcome.ends_lost, *are_lost)))
        fates = zip(sizes_bytes, are_lost, strict=True)
        sizes_bytes = [size_bytes for size_bytes, is_lost in fates if not is_lost]
    outcome.ends_lost = arrivals_us[-1] is None
    if received_us:
        outcome.arrivals_us += received_us
        outcome.sizes_bytes += sizes_bytes
        outcome.newest_sent_ns = run.sent_ns
        outcome.delay_us = min(outcome.delay_us, (min(received_us) * 1000 - run.sent_ns) / 1000)
