"""Compound RTCP, as a hostile viewer may write it, up to what the pacer and the estimate make of it."""

import secrets
import struct
import time
from collections.abc import Iterable

from data.offers import CHROMIUM
from fuzz.target import Target, join, steps

from agent.control.lane import LaneControl
from agent.model.media import RtpFrame
from agent.rtc import ccfb, rtcp, twcc
from agent.rtc.alarm import Alarm
from agent.rtc.answer import parse_offer
from agent.rtc.codecs import with_ccfb
from agent.rtc.ecn import Marking
from agent.rtc.lane import Lane
from agent.rtc.rtcp import PSFB, RR, RTPFB, XR
from agent.rtc.sender import RtpSender

MAX_STEPS = 16
MIN_BPS, MAX_BPS = 100_000, 4_000_000
MEDIA_SSRC = 2
VIDEO = parse_offer(CHROMIUM).video


class _Plain:
    """No SRTP."""

    def __init__(self) -> None:
        self.buffer = bytearray(1500)

    def seal(self, written: Iterable[int]) -> list[bytes]:
        return [bytes(self.buffer[:size]) for size in written]


class _Stream:
    """A lane that has just sent two frames, to a viewer that reports by source or by our numbers."""

    def __init__(self, marking: Marking | None) -> None:
        self.sent: list[bytes] = []
        video, numbers = VIDEO, twcc.TransportNumbers()
        if marking:
            video, numbers = with_ccfb(VIDEO), marking.ledger
            marking.follow("path", time.monotonic_ns())
        self.sender = RtpSender(video, _Plain(), numbers, "c")
        self.sender.ssrc, self.sender._seq = MEDIA_SSRC, 0
        self.control = LaneControl(1_000_000, MIN_BPS, MAX_BPS)
        self.lane = Lane(self.control, self.sender, lambda: self.sent.extend, Alarm(), marking=marking)
        for seq in range(2):
            self.lane.push(RtpFrame((bytes(100),) * 8, seq * 3000, seq == 0, 800))
        self.drain()

    def drain(self) -> None:
        """Send what is due now, as the lane's task does."""
        now_ns = time.monotonic_ns()
        for departure in self.control.take(now_ns):
            self.lane._send(departure, self.sent.extend, now_ns)


def check(data: bytes) -> None:
    """Typed feedback or ValueError; the stream's figures keep their limits, and no packet is multiplied."""
    for marking in (None, Marking()):
        _check(data, _Stream(marking))


def _check(data: bytes, stream: _Stream) -> None:
    for number, step in enumerate(steps(data)):
        if number == MAX_STEPS:
            break
        wanted = before = len(stream.sent)
        try:
            for feedback in rtcp.parse(step):
                _check_type(feedback)
                if isinstance(feedback, rtcp.Nack):
                    wanted += len(set(feedback.seqs))
                if not isinstance(feedback, rtcp.ReferenceTime):
                    stream.lane.on_feedback(feedback, time.monotonic_ns(), 1_800_000_000_000_000_000)
        except ValueError:
            pass
        stream.drain()
        assert MIN_BPS <= stream.control.target_bps(time.monotonic_ns()) <= MAX_BPS
        assert len(stream.sent) - before <= max(64, wanted - before), "one report sets off a flood"


def _check_type(feedback: rtcp.Feedback) -> None:
    match feedback:
        case rtcp.Nack(_, seqs):
            assert all(0 <= seq <= 0xFFFF for seq in seqs)
        case rtcp.Remb(bps):
            assert 0 <= bps <= rtcp.MAX_REMB_BPS
        case rtcp.ReceiverReport():
            assert 0 <= feedback.fraction_lost <= 1
        case rtcp.ReferenceTime():
            answer = rtcp.encode_dlrr(1, feedback, 0)
            assert list(rtcp.parse(answer)) == []
        case rtcp.CongestionFeedback():
            assert sum(len(one.arrivals_us) for one in feedback.sources) <= ccfb.MAX_PACKETS
            for one in feedback.sources:
                assert len(one.arrivals_us) == len(one.fields)
                assert set(one.fields) <= set(ccfb.Ecn)
        case rtcp.TransportFeedback():
            assert len(feedback.arrivals_us) <= twcc.MAX_PACKETS


def _packet(kind: int, count: int, body: bytes, padding: int = 0) -> bytes:
    body += bytes(max(0, padding - 1)) + (bytes([padding]) if padding else b"")
    return struct.pack("!BBH", 0x80 | (0x20 if padding else 0) | count, kind, len(body) // 4) + body


def seeds() -> list[bytes]:
    """Every report that a browser sends, alone and in a compound with padding."""
    ssrcs = struct.pack("!II", 1, MEDIA_SSRC)
    feedback = ssrcs + struct.pack("!HHIHBBBB", 0, 3, 1 << 8, 1 << 13 | 3, 1, 2, 3, 0)
    nack = _packet(RTPFB, 1, ssrcs + struct.pack("!HHHH", 1, 0xFFFF, 900, 0))
    twcc_report, padded = _packet(RTPFB, 15, feedback), _packet(RTPFB, 15, feedback, padding=4)
    pli, fir = _packet(PSFB, 1, ssrcs), _packet(PSFB, 4, ssrcs + struct.pack("!II", 2, 1 << 24))
    remb = _packet(PSFB, 15, ssrcs + b"REMB" + struct.pack("!BBHI", 1, 18 << 2 | 1, 0xFFFF, 2))
    receiver = _packet(RR, 1, struct.pack("!IIIIIII", 1, 2, 0x20000001, 1000, 5, 0x1234, 100))
    times = _packet(XR, 0, struct.pack("!IBBHQ", 1, 4, 0, 2, secrets.randbits(64)))
    source = struct.pack("!IHHHHHH", MEDIA_SSRC, 0, 3, 0xA010, 0xE00F, 0, 0)
    ccfb_report = _packet(RTPFB, ccfb.FORMAT, struct.pack("!I", 1) + 2 * source + struct.pack("!I", 1 << 16))
    single = [ccfb_report, nack, twcc_report, padded, pli, fir, remb, receiver, times]
    return [join(packet) for packet in single] + [
        join(receiver + times + padded, nack + pli, remb + receiver)
    ]


TARGET = Target("rtcp", "Compound RTCP, up to pacer and estimate: the viewer.", check, seeds)
