"""Transport-wide feedback, as a hostile viewer may write it."""

import struct

from fuzz.target import Target

from agent.rtc import twcc


def check(data: bytes) -> None:
    """As many arrivals as it says, or ValueError."""
    try:
        report = twcc.parse(data)
    except ValueError:
        return
    assert 0 < len(report.arrivals_us) <= twcc.MAX_PACKETS
    assert (report.base_seq, len(report.arrivals_us)) == struct.unpack_from("!HH", data)
    for arrival_us in twcc.ArrivalClock().unwrap_report(report.arrivals_us):
        assert arrival_us is None or abs(arrival_us) < 1 << 62


def seeds() -> list[bytes]:
    """Each kind of status chunk, with small and large deltas."""
    head = struct.pack("!HHI", 0xFFFE, 7, 5 << 8 | 1)
    return [
        head + struct.pack("!H", 1 << 13 | 7) + bytes(range(7)),
        head + struct.pack("!H", 0x8000 | 0x3F80) + bytes(7),
        head + struct.pack("!H", 0xC000 | 0x2AAA) + bytes(14),
        struct.pack("!HHI", 0, 8191, 0) + struct.pack("!HH", 8191, 0),
    ]


TARGET = Target("twcc", "Transport-wide feedback: the viewer.", check, seeds, max_bytes=2048)
