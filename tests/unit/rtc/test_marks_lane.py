"""A lane whose viewer reports by source: what the control hears of it."""

import struct

import pytest

from agent.model.media import RtpFrame
from agent.model.pacing import KEEPALIVE_ID, Padding
from agent.rtc import rtcp
from agent.rtc.alarm import Alarm
from agent.rtc.ccfb import FORMAT
from agent.rtc.codecs import TRANSPORT_CC, RtpMedia
from agent.rtc.ecn import Marking, Path
from agent.rtc.lane import Lane
from agent.rtc.ledger import Ledger
from agent.rtc.sender import RtpSender
from agent.rtc.twcc import TransportNumbers

MS = 1_000_000
VIDEO = RtpMedia("video", "0", "sendonly", 96, "H264/90000", "", ("ack ccfb",), {})
BY_NUMBERS = rtcp.TransportFeedback(1, [1, 2])


class Plain:
    def __init__(self):
        self.buffer = bytearray(1500)

    def seal(self, written):
        return [bytes(self.buffer[:size]) for size in written]


class Control:
    playout_ms, is_waiting, route_s, is_shared = 0, False, 0.1, False

    def __init__(self):
        self.heard = []

    def on_feedback(self, base_seq, arrivals_us, now_ns):
        self.heard.append(("arrivals", base_seq, list(arrivals_us), now_ns))

    def on_marks(self, received, marked, now_ns):
        self.heard.append(("marks", received, marked, now_ns))

    def forget_marks(self):
        self.heard.append("forget")


def report(ssrc, seq, words, time):
    """As Chromium writes it, read by our parser."""
    body = struct.pack(f"!IIHH{len(words)}HI", 1, ssrc, seq, len(words), *words, time)
    return next(rtcp.parse(struct.pack("!BBH", 0x80 | FORMAT, rtcp.RTPFB, len(body) // 4) + body))


def make():
    marking = Marking()
    marking.follow("path", 0)
    sender = RtpSender(VIDEO, Plain(), marking.ledger, "cn")
    sender._seq = 0
    control = Control()
    lane = Lane(control, sender, lambda: None, Alarm(), marking=marking)
    sender.send(RtpFrame((b"x",) * 4, 0, is_keyframe=True, size_bytes=4), 0, 4, lambda _: None, 0)
    return lane, sender.ssrc, control.heard, marking


def test_a_report_by_source_is_told_as_arrivals_and_marks_on_a_clock_that_goes_on():
    lane, ssrc, heard, marking = make()
    lane.on_feedback(report(ssrc, 0, [0xA000, 0xE000], 0xFFFFFFFF), 5 * MS, 0)
    assert heard.pop(0) == "forget", "of what was before the path, and before its first marks"
    lane.on_feedback(report(ssrc, 2, [0, 0xA000], 0x0000FFFF), 9 * MS, 0)
    first_us = 0xFFFFFFFF * 1_000_000 >> 16
    assert heard == [
        ("marks", 2, 1, 5 * MS),
        ("arrivals", 1, [first_us, first_us], 5 * MS),
        ("marks", 1, 0, 9 * MS),
        ("arrivals", 3, [None, first_us + 1_000_000], 9 * MS),
    ]
    assert marking.state is Path.MARKING


def test_what_was_marked_on_one_path_says_nothing_of_another():
    lane, ssrc, heard, marking = make()
    lane.on_feedback(report(ssrc, 0, [0xA000, 0xE000], 1), 5 * MS, 0)
    heard.clear()
    marking.follow("another", 6 * MS)
    lane.on_feedback(report(ssrc, 2, [0xE000, 0xE000], 2), 7 * MS, 0)
    assert heard[:2] == ["forget", ("marks", 0, 0, 7 * MS)], "they left on the old one"


def test_where_others_fill_the_queue_nothing_is_marked_any_more():
    lane, ssrc, heard, marking = make()
    lane.control.is_shared = True
    lane.on_feedback(report(ssrc, 0, [0xA000, 0xE000], 1), 5 * MS, 0)
    assert (marking.state, heard[0]) == (Path.BARE, "forget")
    assert not [one for one in heard if one[0] == "marks"], "those that are still told of say nothing of us"


def test_the_other_kind_of_feedback_than_was_agreed_on_is_passed_over():
    lane, _, heard, _ = make()
    lane.on_feedback(BY_NUMBERS, MS, 0)
    assert heard == []
    without, control = RtpSender(VIDEO, Plain(), Ledger(), "cn"), Control()
    Lane(control, without, lambda: None, Alarm()).on_feedback(report(without.ssrc, 0, [0xA000, 0], 1), MS, 0)
    assert control.heard == []


@pytest.mark.parametrize(("rtx", "probe", "count"), [(97, 5, 1), (None, 5, 0), (None, KEEPALIVE_ID, 1)])
def test_padding_alone_keeps_a_path_alive_and_fills_no_probe(rtx, probe, count):
    media = RtpMedia("video", "0", "sendonly", 96, "H264/90000", "", (), {TRANSPORT_CC: 3}, rtx)
    sender = RtpSender(media, Plain(), TransportNumbers(), "cn")
    picture = RtpFrame((b"x" * 500,), 0, is_keyframe=True, size_bytes=500)
    sender.send(picture, 0, 1, lambda _: None, 0)
    control, left = Control(), []
    control.take = lambda _: [Padding(200, probe)]
    control.on_sent, control.next_ns = lambda *_: None, lambda _: 0
    lane = Lane(control, sender, lambda: left.extend, Alarm())
    lane._send_due(0)
    assert len(left) == count
