"""What is on its way to one viewer: packets sent, and what the viewer's feedback says of them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

MAX_PACKETS = 8192
"""A quarter of the 16-bit numbers and 20 s at 4 Mb/s: what is older will not be reported any more."""


@dataclass(slots=True)
class SentRun:
    """Packets that left at once, with consecutive transport-wide numbers modulo 2**16."""

    seq: int
    sizes_bytes: Sequence[int]
    sent_ns: int
    probe: int | None = None
    """The probe cluster that they belong to."""


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

    received: list[tuple[int, int]] = field(default_factory=list)
    """Arrival in µs of the viewer's clock, which never starts over, and size in bytes."""
    delay_us: float = 0.0
    """The least time from departure to arrival, by two clocks."""
    newest_sent_ns: int = 0
    """When the newest packet left that arrived."""
    lost: int = 0
    """Packets."""
    unknown_bytes: list[int] = field(default_factory=list)
    """Sizes of packets older than the report and never reported on: the feedback about them was lost."""
    probes: list[ProbePacket] = field(default_factory=list)


class Flight:
    """Packets in flight, by their transport-wide sequence number modulo 2**16."""

    def __init__(self) -> None:
        self._runs: dict[int, SentRun] = {}  # a packet's number to its run, in the order of departure
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._runs)

    def oldest_sent_ns(self) -> int | None:
        """When the oldest packet in flight left."""
        for run in self._runs.values():
            return run.sent_ns
        return None

    def on_sent(self, run: SentRun) -> None:
        """Note a departure; forgets the oldest beyond the bound."""
        count, runs = len(run.sizes_bytes), self._runs
        runs.update(dict.fromkeys([number & 0xFFFF for number in range(run.seq, run.seq + count)], run))
        self.bytes += sum(run.sizes_bytes)
        if (excess := len(runs) - MAX_PACKETS) > 0:
            for seq in list(islice(runs, excess)):
                self._remove(seq)

    def on_feedback(self, arrivals: Iterable[tuple[int, int | None]]) -> Outcome:
        """Settle what a report covers; numbers that are not in flight are passed over."""
        outcome, settled_bytes, first_ns = Outcome(), 0, 0
        received, pop = outcome.received, self._runs.pop
        least_ns = 1 << 63
        for seq, arrival_us in arrivals:
            run = pop(seq, None)
            if run is None:
                continue
            size_bytes = run.sizes_bytes[seq - run.seq & 0xFFFF]
            settled_bytes += size_bytes
            first_ns = first_ns or run.sent_ns
            if arrival_us is None:
                outcome.lost += 1
            else:
                received.append((arrival_us, size_bytes))
                outcome.newest_sent_ns = run.sent_ns
                delay_ns = arrival_us * 1000 - run.sent_ns
                if delay_ns < least_ns:  # noqa: PLR1730  # half the time of `min`, for each packet
                    least_ns = delay_ns
            if run.probe is not None:
                outcome.probes.append(ProbePacket(run.probe, size_bytes, run.sent_ns, arrival_us))
        outcome.delay_us = least_ns / 1000
        self.bytes -= settled_bytes
        outcome.unknown_bytes = self._take_older(first_ns)
        return outcome

    def _take_older(self, sent_ns: int) -> list[int]:
        older: list[int] = []
        for seq, run in self._runs.items():
            if run.sent_ns >= sent_ns:
                break
            older.append(seq)
        return [self._remove(seq) for seq in older]

    def _remove(self, seq: int) -> int:
        run = self._runs.pop(seq)
        size_bytes = run.sizes_bytes[seq - run.seq & 0xFFFF]
        self.bytes -= size_bytes
        return size_bytes
