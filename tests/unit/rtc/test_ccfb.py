"""Congestion control feedback: what an independent encoder wrote is read back; the hostile is refused."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.rtc import ccfb, rtcp
from agent.rtc.ccfb import Ecn

# Three packets of a picture that arrived, one of them with CE, one that did not, and a retransmission.
REPORT = bytes.fromhex(
    "00000017 7fff 0004 a023 e01f 0000 a01d  0000002a ffff 0001 a010 0000  00018000"
)  # fmt: skip


def encode(sources, report_time):
    """Write a report; `sources` are (ssrc, begin_seq, [(offset, ecn) or None])."""
    out = b""
    for ssrc, begin_seq, packets in sources:
        words = [0 if one is None else 0x8000 | one[1] << 13 | one[0] for one in packets]
        out += struct.pack(f"!IHH{len(words)}H", ssrc, begin_seq, len(words), *words)
        out += bytes(len(words) % 2 * 2)
    return out + struct.pack("!I", report_time)


packets = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 0x1FFD), st.sampled_from(list(Ecn)))), max_size=60
)
reports = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF), packets), max_size=5)


@given(reports, st.integers(0, 2**32 - 1))
@example([(1, 0xFFFE, [(0, Ecn.CE), None, (0x1FFD, Ecn.ECT_1)])], 0)
def test_reads_what_was_written(sources, report_time):
    said = ccfb.parse(encode(sources, report_time))
    assert [(one.ssrc, one.begin_seq) for one in said.sources] == [one[:2] for one in sources]
    for found, (_, _, wanted) in zip(said.sources, sources, strict=True):
        assert len(found.arrivals_us) == len(found.fields) == len(wanted)
        for arrival_us, ecn, packet in zip(found.arrivals_us, found.fields, wanted, strict=True):
            if packet is None:
                assert (arrival_us, ecn) == (None, 0)
            else:
                at_us = report_time * 1e6 / 65536 - packet[0] * 1e6 / 1024
                assert arrival_us == pytest.approx(at_us, abs=2)
                assert ecn == packet[1]


def test_times_and_marks_of_each_source():
    first, second = ccfb.parse(REPORT).sources
    assert (first.ssrc, first.begin_seq, second.ssrc, second.begin_seq) == (23, 0x7FFF, 42, 0xFFFF)
    assert first.arrivals_us == [1_500_000 - 34179, 1_500_000 - 30273, None, 1_500_000 - 28320]
    assert [*first.fields, *second.fields] == [Ecn.ECT_1, Ecn.CE, 0, Ecn.ECT_1, Ecn.ECT_1]


def test_an_offset_that_is_too_large_or_not_known_is_an_arrival_all_the_same():
    (source,) = ccfb.parse(encode([(1, 0, [(0x1FFE, 0), (0x1FFF, 0)])], 10 << 16)).sources
    assert source.arrivals_us == [10_000_000 - 0x1FFE * 1_000_000 // 1024, 10_000_000]


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data):
    try:
        said = ccfb.parse(data)
    except ValueError:
        return
    assert sum(len(one.arrivals_us) for one in said.sources) * 2 <= len(data)


@pytest.mark.parametrize(
    ("fci", "words"),
    [
        (b"", "cut short"),
        (bytes(6), "cut short"),
        (bytes(4 + 4), "source's report is cut short"),
        (struct.pack("!IHH", 1, 0, 3) + bytes(4 + 4), "fewer packets"),
        (struct.pack("!IHH", 1, 0, 16385) + bytes(40_000), "more than 16384"),
        (encode([(1, 0, [None] * 9000), (2, 0, [None] * 9000)], 0), "more than 16384"),
    ],
)
def test_what_is_refused(fci, words):
    with pytest.raises(ValueError, match=words):
        ccfb.parse(fci)


def test_it_is_found_in_a_compound_packet_beside_others():
    body = struct.pack("!I", 1) + REPORT
    report = struct.pack("!BBH", 0x80 | ccfb.FORMAT, rtcp.RTPFB, len(body) // 4) + body
    pli = struct.pack("!BBHII", 0x81, rtcp.PSFB, 2, 1, 23)
    found, request = rtcp.parse(report + pli)
    assert found == ccfb.parse(REPORT)
    assert request == rtcp.KeyframeRequest()
