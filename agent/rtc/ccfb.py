"""Congestion control feedback (RFC 8888). Pure.

The viewer tells for each source which RTP packets arrived, when, and with which ECN field: what `twcc.py`
tells by numbers of our own, and the marks of the path besides (RFC 9330).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

FORMAT = 11
"""FMT of this feedback in an RTPFB packet (section 3.1)."""
FEEDBACK = "ack ccfb"
"""As it stands in SDP (section 6)."""
MAX_PACKETS = 16384
"""Of one source in a report, and here of all of them: a quarter of the sequence numbers (section 3.1)."""
CLOCK_US = 65536 * 1_000_000
"""The report's time is the middle of an NTP time: it starts over after 65536 s."""

_BLOCK_HEAD = struct.Struct("!IHH")
_TIME_BYTES = 4
_RECEIVED = 0x8000
_OFFSET = 0x1FFF
_UNAVAILABLE = 0x1FFF
"""It arrived after the report's time was taken, or at a time that is not known (section 3.1)."""


class Ecn(IntEnum):
    """The ECN field of an IP header (RFC 3168 section 5, RFC 9331 section 2)."""

    NOT_ECT = 0
    ECT_1 = 1
    """Of a sender that answers marks as L4S does."""
    ECT_0 = 2
    CE = 3
    """A queue has begun to grow."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What is said of one of our sources."""

    ssrc: int
    begin_seq: int
    """The RTP sequence number of the first packet, ..."""
    arrivals_us: Sequence[int | None]
    """... and when it and those after it arrived by the viewer's clock, or None.

    The clock starts over every 65536 s; an arrival may be as much as 8 s below 0.
    """
    fields: Sequence[int]
    """The ECN field that each arrived with; 0 for one that did not."""


@dataclass(frozen=True, slots=True)
class CongestionFeedback:
    """One report."""

    sources: tuple[SourceReport, ...]


def parse(fci: bytes) -> CongestionFeedback:
    """Read what follows the reporter's SSRC. Raises ValueError."""
    end = len(fci) - _TIME_BYTES
    if end < 0 or len(fci) % 4:
        raise ValueError("congestion control feedback is cut short")
    report_us = int.from_bytes(fci[end:], "big") * 1_000_000 >> 16
    sources: list[SourceReport] = []
    position = packets = 0
    while position < end:
        if end - position < _BLOCK_HEAD.size:
            raise ValueError("a source's report is cut short")
        ssrc, begin_seq, count = _BLOCK_HEAD.unpack_from(fci, position)
        position += _BLOCK_HEAD.size
        packets += count
        if packets > MAX_PACKETS:
            raise ValueError(f"congestion control feedback covers more than {MAX_PACKETS} packets")
        if count * 2 > end - position:
            raise ValueError("a source's report has fewer packets than it says")
        words = struct.unpack_from(f"!{count}H", fci, position)
        position += (count + count % 2) * 2  # an odd number is padded (section 3.1)
        arrivals_us = [_arrival_us(word, report_us) if word & _RECEIVED else None for word in words]
        fields = [word >> 13 & 3 if word & _RECEIVED else 0 for word in words]
        sources.append(SourceReport(ssrc, begin_seq, arrivals_us, fields))
    return CongestionFeedback(tuple(sources))


def _arrival_us(word: int, report_us: int) -> int:
    """Some 1/1024 s before the report; 0x1FFE stands for as much or more, of which the least is taken."""
    offset = word & _OFFSET
    return report_us if offset == _UNAVAILABLE else report_us - offset * 1_000_000 // 1024
