"""Sound beside the picture: one lane, one count of packets, senders of their own."""

import asyncio
import contextlib

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtcpPacket, RtpPacket

from agent.model.media import RtpFrame
from agent.model.pacing import Media
from agent.rtc import rtcp
from agent.rtc.alarm import Alarm
from agent.rtc.codecs import MID, TRANSPORT_CC, RtpMedia
from agent.rtc.lane import MAX_SOUNDS, Lane
from agent.rtc.sender import RtpSender
from agent.rtc.sound import Sound
from agent.rtc.twcc import TransportNumbers

IDS = {TRANSPORT_CC: 4, MID: 9}
VIDEO = RtpMedia("video", "0", "sendonly", 96, "H264/90000", "", (), IDS, 97)
AUDIO = RtpMedia("audio", "1", "sendonly", 111, "opus/48000/2", "", (), IDS)
S = 1_000_000_000


class Plain:
    """No SRTP."""

    def __init__(self):
        self.buffer = bytearray(1500)

    def seal(self, written):
        return [bytes(self.buffer[:size]) for size in written]


class Control:
    """Lets every frame leave when it comes, and notes what it is told."""

    is_waiting, playout_ms, route_s = False, 0, 0.1

    def __init__(self):
        self.due, self.sent, self.resends = [], [], []

    def push(self, frame, _now_ns):
        self.due.append(Media(frame, 0, len(frame.payloads), None))

    def take(self, _now_ns):
        due, self.due = self.due, []
        return due

    def next_ns(self, now_ns):
        return now_ns + S

    def resend(self, seq, _size_bytes, _now_ns):
        self.resends.append(seq)
        return len(self.resends) < 8

    def on_sent(self, transport_seq, sizes_bytes, _now_ns, probe):
        self.sent.append((transport_seq, len(sizes_bytes), probe))


class Viewer:
    """A lane with picture and sound, and the packets that came of it."""

    def __init__(self):
        numbers, protection = TransportNumbers(), Plain()
        self.video = RtpSender(VIDEO, protection, numbers, "cn")
        self.audio = RtpSender(AUDIO, protection, numbers, "cn")
        self.control, self.bursts, self.is_stalled = Control(), [], False
        self.lane = Lane(self.control, self.video, self.route, Alarm(), self.audio)
        self.extensions = HeaderExtensionsMap()
        told = [RTCRtpHeaderExtensionParameters(id=number, uri=uri) for uri, number in IDS.items()]
        self.extensions.configure(RTCRtpParameters(headerExtensions=told))

    def route(self):
        return None if self.is_stalled else self.bursts.append

    @property
    def packets(self):
        return [RtpPacket.parse(data, self.extensions) for burst in self.bursts for data in burst]


def picture(count=3):
    return RtpFrame((b"p",) * count, 90_000, is_keyframe=True, size_bytes=count)


def sound(at=0):
    return RtpFrame((b"s%d" % at,), 48_000 + at * 960, is_keyframe=True, size_bytes=2)


@pytest.fixture
async def viewer():
    one = Viewer()
    running = asyncio.create_task(one.lane.run())
    await asyncio.sleep(0)
    yield one
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_sound_and_picture_are_numbered_as_one(viewer):
    viewer.lane.push_sound(sound(0))
    viewer.lane.push(picture())
    viewer.lane.push_sound(sound(1))
    told = [(p.payload_type, p.extensions.transport_sequence_number, p.marker) for p in viewer.packets]
    assert told == [(111, 1, 0), (96, 2, 0), (96, 3, 0), (96, 4, 1), (111, 5, 0)]
    assert viewer.control.sent == [(1, 1, None), (2, 3, None), (5, 1, None)], "reports settle each of them"
    assert [p.extensions.mid for p in viewer.packets] == ["1", "0", "0", "0", "1"]
    first, last = viewer.packets[0], viewer.packets[-1]
    assert ((last.timestamp - first.timestamp) % 2**32, first.ssrc) == (960, viewer.audio.ssrc)


async def test_what_is_lost_of_the_sound_costs_no_packet_of_the_picture(viewer):
    viewer.lane.push(picture())
    seqs = tuple(p.sequence_number for p in viewer.packets)
    viewer.lane.on_feedback(rtcp.Nack(viewer.audio.ssrc, seqs), 0, 0)
    assert viewer.control.resends == []
    viewer.lane.on_feedback(rtcp.Nack(viewer.video.ssrc, seqs), 0, 0)
    assert viewer.control.resends == list(seqs)


async def test_a_request_that_repeats_itself_is_read_once_and_no_further_than_the_budget(viewer):
    viewer.lane.push(RtpFrame((b"x",) * 20, 0, is_keyframe=True, size_bytes=20))
    seqs = tuple(p.sequence_number for p in viewer.packets)
    viewer.lane.on_feedback(rtcp.Nack(viewer.video.ssrc, 6 * seqs), 0, 0)
    assert viewer.control.resends == list(seqs[:8])


async def test_while_the_path_is_out_the_oldest_sound_goes(viewer):
    viewer.is_stalled = True
    for at in range(MAX_SOUNDS + 5):
        viewer.lane.push_sound(sound(at))
    viewer.is_stalled = False
    viewer.lane.push(picture(1))
    assert [p.payload for p in viewer.packets] == [b"s%d" % at for at in range(5, MAX_SOUNDS + 5)] + [b"p"]


def test_sound_before_the_lane_runs_is_not_kept():
    viewer = Viewer()
    viewer.lane.push_sound(sound())
    assert not viewer.lane._sounds


def test_a_report_about_sound_counts_in_its_own_clock():
    sender = Viewer().audio
    sender.send(sound(), 0, 1, lambda _: None, S)
    reports = [RtcpPacket.parse(sender.sender_report(at, at))[0].sender_info for at in (S, 2 * S)]
    assert reports[1].rtp_timestamp - reports[0].rtp_timestamp == 48_000


@pytest.mark.parametrize(
    ("reading", "receiving", "direction"),
    [(print, print, "sendrecv"), (print, None, "sendonly"), (None, print, "recvonly")],
)
def test_a_device_says_what_it_has(reading, receiving, direction):
    assert Sound(reading, receiving).direction == direction
