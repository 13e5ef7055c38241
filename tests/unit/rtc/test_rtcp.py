"""RTCP against aiortc's own encoder and hand-made packets from the RFCs."""

import contextlib
import struct

import pytest
from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from agent.rtc import ccfb, rtcp, twcc

UNIX_NS = 1_800_000_000_250_000_000


@given(st.binary(max_size=200))
def test_hostile_bytes_give_feedback_or_a_value_error(data):
    with contextlib.suppress(ValueError):  # any other error fails the test
        list(rtcp.parse(data))


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=40, unique=True))
def test_every_lost_sequence_number_is_found(lost):
    packet = RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=sorted(lost))
    (nack,) = rtcp.parse(bytes(packet))
    assert (nack.ssrc, sorted(nack.seqs)) == (2, sorted(lost))


@pytest.mark.parametrize("fmt", [1, 4])
def test_pli_and_fir_ask_for_a_keyframe(fmt):
    assert list(rtcp.parse(bytes(RtcpPsfbPacket(fmt=fmt, ssrc=1, media_ssrc=2)))) == [rtcp.KeyframeRequest()]


def test_a_padded_transport_feedback_does_not_hide_what_follows():
    # Chromium pads its transport-wide feedback; aiortc's parser drops the compound for it.
    one_packet = struct.pack("!HHI", 7, 1, 5 << 8) + b"\x20\x01" + b"\x04"
    body = struct.pack("!II", 1, 2) + one_packet + b"\x01"
    padded = struct.pack("!BBH", 0x80 | 0x20 | 15, 205, len(body) // 4) + body
    pli = bytes(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=2))
    feedback, request = rtcp.parse(padded + pli)
    assert (feedback.base_seq, feedback.arrivals_us) == (7, [5 * 64_000 + 4 * 250])
    assert request == rtcp.KeyframeRequest()


@pytest.mark.parametrize("fmt", [twcc.FORMAT, ccfb.FORMAT])
def test_a_report_that_cannot_be_read_is_skipped_alone(fmt):
    report = struct.pack("!BBHIIHHI", 0x80 | fmt, 205, 4, 1, 2, 7, 0xFFFF, 0)
    nack = bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=[5]))
    pli = bytes(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=2))
    parsed = rtcp.parse(nack + report + nack + report + pli)
    assert [next(parsed), next(parsed), next(parsed)] == [*[rtcp.Nack(2, (5,))] * 2, rtcp.KeyframeRequest()]
    with pytest.raises(ValueError, match="covers"):
        next(parsed)


def test_remb_is_read_and_bounded():
    def remb(exponent, mantissa):
        fci = b"REMB\x01" + ((exponent << 18) | mantissa).to_bytes(3, "big") + struct.pack("!I", 2)
        body = struct.pack("!II", 1, 0) + fci
        return struct.pack("!BBH", 0x8F, 206, len(body) // 4) + body

    assert list(rtcp.parse(remb(3, 125_000))) == [rtcp.Remb(1_000_000)]
    assert list(rtcp.parse(remb(63, 0x3FFFF))) == [rtcp.Remb(rtcp.MAX_REMB_BPS)]


def test_report_blocks_give_loss_and_round_trip():
    sent = rtcp.encode_sender_report(7, UNIX_NS, 90_000, 10, 1000, "name")
    sender_info = RtcpPacket.parse(sent)[0].sender_info
    report = RtcpReceiverInfo(
        ssrc=7, fraction_lost=64, packets_lost=-3, highest_sequence=1, jitter=5,
        lsr=sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF, dlsr=int(0.25 * 65536),
    )  # fmt: skip
    (parsed,) = rtcp.parse(bytes(RtcpRrPacket(ssrc=1, reports=[report])))
    assert (parsed.ssrc, parsed.fraction_lost) == (7, 0.25)
    assert rtcp.round_trip_s(parsed, UNIX_NS + 400_000_000) == pytest.approx(0.15, abs=0.001)


def test_a_viewer_that_saw_no_sender_report_has_no_round_trip():
    report = rtcp.ReceiverReport(1, 0.0, last_sr=0, delay_since_last_sr=0)
    assert rtcp.round_trip_s(report, UNIX_NS) is None


def test_sender_report_is_understood_by_aiortc():
    sr, sdes = RtcpPacket.parse(rtcp.encode_sender_report(7, UNIX_NS, 90_000, 10, 1000, "name"))
    assert isinstance(sr, RtcpSrPacket)
    assert isinstance(sdes, RtcpSdesPacket)
    info = sr.sender_info
    assert (sr.ssrc, info.rtp_timestamp, info.packet_count, info.octet_count) == (7, 90_000, 10, 1000)
    assert info.ntp_timestamp / 2**32 == pytest.approx(1_800_000_000.25 + 2_208_988_800, abs=1e-3)
    assert sdes.chunks[0].items[0] == (1, b"name")


def test_reference_time_is_answered_with_dlrr():
    rrtr = struct.pack("!BBHIBBHQ", 0x80, 207, 4, 99, 4, 0, 2, 0x1122334455667788)
    (reference,) = rtcp.parse(rrtr)
    assert reference == rtcp.ReferenceTime(99, 0x33445566)
    dlrr = rtcp.encode_dlrr(7, reference, 750_000_000)
    assert struct.unpack("!BBHIBBHIII", dlrr) == (0x80, 207, 5, 7, 5, 0, 3, 99, 0x33445566, 0xC000)


def test_bye_names_the_source():
    assert RtcpPacket.parse(rtcp.encode_bye(7))[0].sources == [7]
