"""Which transport-wide number each RTP packet to one viewer got, for a viewer that reports by source. Pure.

Congestion control knows numbers of the session; RFC 8888 tells of each source's own sequence numbers. Kept
only for a viewer that answers with such reports, in a ring of runs a source, as the history in `sender.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent.rtc.ccfb import CongestionFeedback, Ecn, SourceReport
from agent.rtc.twcc import Arrivals

RING_PACKETS = 4096
"""Of each source: 10 s at 4 Mb/s, and Chromium reports at least twice a second."""
MAX_AGE_PACKETS = 8192
"""Of all sources: what is older, control has forgotten (`agent/control/flight.py`)."""
DENSE = 8
"""Where a report spans no more packets than this for each that arrived, all are listed, which is quicker."""
UNMARKED = 0
"""The trial of what leaves without ECT(1)."""


@dataclass(frozen=True, slots=True)
class Marks:
    """How packets arrived that left with ECT(1) in the trial under way, each told of once."""

    received: int = 0
    marked: int = 0
    """Those with CE."""
    bare: int = 0
    """Those that the path has taken the mark from."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One report, in the terms of transport-wide feedback."""

    base_seq: int
    """The first packet's transport-wide number modulo 2**16."""
    arrivals_us: Sequence[int | None]
    """When it and those after it arrived by the viewer's clock, or None."""
    marks: Marks


@dataclass(frozen=True, slots=True)
class _Run:
    """Packets of one source that left at once."""

    seq: int
    count: int
    number: int
    """Of the first one; never starts over."""
    trial: int


@dataclass(frozen=True, slots=True)
class _Part:
    """What a report tells of one run: its packets from `start` up to `end`."""

    number: int
    """Of the first one."""
    trial: int
    start: int
    end: int


@dataclass(slots=True)
class _Source:
    ring: list[_Run | None] = field(default_factory=lambda: [None] * RING_PACKETS)
    next_seq: int | None = None
    """After the last report."""
    told: int = -1
    """The highest number that was reported on."""

    def follows(self, report: SourceReport) -> bool:
        """Whether no packet lies between the last report and this one: none was lost."""
        next_seq, self.next_seq = self.next_seq, report.begin_seq + len(report.arrivals_us) & 0xFFFF
        return next_seq is None or not 0 < (report.begin_seq - next_seq & 0xFFFF) < 0x8000

    def find(self, report: SourceReport) -> Iterator[_Part]:
        """What of the report is known here."""
        at, count = 0, len(report.arrivals_us)
        while at < count:
            seq = report.begin_seq + at & 0xFFFF
            run = self.ring[seq % RING_PACKETS]
            if run is None or (offset := seq - run.seq & 0xFFFF) >= run.count:
                at += 1
                continue
            end = min(count, at + run.count - offset)
            yield _Part(run.number + offset, run.trial, at, end)
            at = end


class Ledger:
    """One a viewer; numbers what leaves, as `TransportNumbers` does."""

    def __init__(self) -> None:
        self.tried_packets = 0
        """That left in the trial under way."""
        self._trial = UNMARKED
        self._next = 1
        self._sources: dict[int, _Source] = {}
        self._settled: int | None = None  # the number after the last one that a report covered

    def begin_trial(self, trial: int) -> None:
        """What leaves from now on is part of this one; what left before is no more asked for marks."""
        if trial != self._trial:
            self._trial, self.tried_packets = trial, 0

    def take(self, ssrc: int, seq: int, count: int) -> int:
        """The first of so many numbers in a row, modulo 2**16, for packets from this RTP number on."""
        run = _Run(seq & 0xFFFF, count, self._next, self._trial)
        self._next += count
        if self._trial != UNMARKED:
            self.tried_packets += count
        ring = self._sources.setdefault(ssrc, _Source()).ring
        for place in range(seq, seq + min(count, RING_PACKETS)):
            ring[place % RING_PACKETS] = run
        return run.number & 0xFFFF

    def settle(self, report: CongestionFeedback) -> Settled | None:
        """What a report says of packets that are still known; None where it says nothing of any.

        What no source's report names, between what the last one settled and the newest packet here, is lost,
        unless a report was: then what lies before this one stays open.
        """
        arrived_us: dict[int, int] = {}
        numbers: list[int] = []
        fields: list[int] = []
        are_all_here = True
        for said in report.sources:
            if source := self._sources.get(said.ssrc):
                are_all_here &= source.follows(said)
                for part in source.find(said):
                    if self._next - part.number <= MAX_AGE_PACKETS:
                        numbers += part.number, part.number + part.end - part.start - 1
                        fields += self._read(source, said, part, arrived_us)
        if not numbers:
            return None
        first, last = min(numbers), max(numbers)
        if are_all_here and self._settled is not None and self._settled <= last:
            first = max(self._settled, last + 1 - MAX_AGE_PACKETS)
        self._settled = max(self._settled or 0, last + 1)
        arrivals_us: Sequence[int | None] = Arrivals(arrived_us, range(first, last + 1))
        if len(arrivals_us) <= DENSE * len(arrived_us):
            arrivals_us = arrivals_us[:]
        marked = fields.count(Ecn.CE)
        marks = Marks(len(fields), marked, len(fields) - marked - fields.count(Ecn.ECT_1))
        return Settled(first & 0xFFFF, arrivals_us, marks)

    def _read(
        self, source: _Source, said: SourceReport, part: _Part, arrived_us: dict[int, int]
    ) -> list[int]:
        """Note what arrived of a part; the ECN field of each packet that was not told of before."""
        fields: list[int] = []
        is_tried = part.trial == self._trial != UNMARKED
        told, source.told = source.told, max(source.told, part.number + part.end - part.start - 1)
        for number, at in enumerate(range(part.start, part.end), part.number):
            arrival_us = said.arrivals_us[at]
            if arrival_us is None:
                continue
            arrived_us[number] = arrival_us
            if is_tried and number > told:
                fields.append(said.fields[at])
        return fields
