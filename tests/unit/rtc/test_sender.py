"""A viewer's RTP packets, read back by aiortc's parser."""

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unwrap_rtx

from agent.model.media import RtpFrame
from agent.rtc.answer import ABS_SEND_TIME, MID, PLAYOUT_DELAY, TRANSPORT_CC, Video
from agent.rtc.sender import HISTORY_PACKETS, RTX_BURST_BYTES, RtpSender

SECOND_NS = 1_000_000_000
EXTENSIONS = {ABS_SEND_TIME: 2, TRANSPORT_CC: 4, PLAYOUT_DELAY: 5, MID: 9}


def frame(count, *, seq=0, key=False, size=100):
    payloads = tuple(bytes([i % 256]) * size for i in range(count))
    return RtpFrame(payloads, 90_000 + seq * 3000, seq, 0, is_keyframe=key, size_bytes=size * count)


class Receiver:
    def __init__(self):
        self.packets = []
        self._map = HeaderExtensionsMap()
        self._map.configure(
            RTCRtpParameters(
                headerExtensions=[RTCRtpHeaderExtensionParameters(id=i, uri=u) for u, i in EXTENSIONS.items()]
            )
        )

    def __call__(self, data):
        self.packets.append(RtpPacket.parse(data, self._map))


@pytest.fixture
def receiver():
    return Receiver()


def make_sender(*, rtx=97, extensions=EXTENSIONS):
    video = Video("0", 96, rtx, "42e01f", (), extensions)
    return RtpSender(video, protect=lambda packet: packet)


def test_a_frame_is_one_timestamp_consecutive_numbers_and_one_marker(receiver):
    sender = make_sender()
    sender.send(frame(20, key=True), 0, 16, receiver, SECOND_NS)
    sender.send(frame(20, key=True), 16, 32, receiver, SECOND_NS)
    sender.send(frame(1, seq=1), 0, 16, receiver, SECOND_NS)
    packets = receiver.packets
    assert len(packets) == 21
    numbers = [p.sequence_number for p in packets]
    assert numbers == list(range(numbers[0], numbers[0] + 21))
    assert [p.marker for p in packets] == [0] * 19 + [1, 1]
    assert len({p.timestamp for p in packets[:20]}) == 1
    assert (packets[20].timestamp - packets[0].timestamp) % 2**32 == 3000
    assert {(p.payload_type, p.ssrc) for p in packets} == {(96, sender.ssrc)}
    assert [p.payload for p in packets[:20]] == list(frame(20).payloads)


def test_extensions_are_readable_and_count_every_packet(receiver):
    sender = make_sender()
    sender.send(frame(2, key=True), 0, 16, receiver, 10 * SECOND_NS)
    sender.send(frame(1, seq=1), 0, 16, receiver, 10 * SECOND_NS + SECOND_NS // 2)
    first, second, third = (p.extensions for p in receiver.packets)
    assert first.mid == "0"
    assert third.mid is None, "constant extensions travel with keyframes alone"
    assert [e.transport_sequence_number for e in (first, second, third)] == [1, 2, 3]
    assert third.abs_send_time - first.abs_send_time == 1 << 17  # half a second in 6.18 fixed point


def test_a_viewer_without_extensions_gets_none(receiver):
    make_sender(extensions={}).send(frame(1, key=True), 0, 16, receiver, SECOND_NS)
    assert receiver.packets[0].payload == bytes(100)


def test_a_lost_packet_is_resent_once_a_round_trip(receiver):
    sender = make_sender()
    sender.send(frame(4), 0, 16, receiver, SECOND_NS)
    lost = receiver.packets[2]
    receiver.packets.clear()
    for at_ms, expected in ((0, 1), (100, 1), (299, 1), (301, 2)):
        sender.resend([lost.sequence_number], 0.3, receiver, 2 * SECOND_NS + at_ms * 1_000_000)
        assert len(receiver.packets) == expected
    resent = receiver.packets[0]
    assert (resent.payload_type, resent.ssrc) == (97, sender.rtx_ssrc)
    restored = unwrap_rtx(resent, payload_type=96, ssrc=sender.ssrc)
    assert (restored.sequence_number, restored.timestamp, restored.payload) == (
        lost.sequence_number,
        lost.timestamp,
        lost.payload,
    )
    assert sender.counters.refused_resends == 2


def test_retransmissions_stay_within_their_budget(receiver):
    sender = make_sender()
    big = frame(200, size=1200)
    sender.send(big, 0, 200, receiver, SECOND_NS)
    numbers = [p.sequence_number for p in receiver.packets]
    receiver.packets.clear()
    sender.resend(numbers, 0.0, receiver, 2 * SECOND_NS)
    assert len(receiver.packets) == RTX_BURST_BYTES // 1200
    sender.send(frame(40, seq=1, size=1200), 0, 40, receiver, 2 * SECOND_NS)
    receiver.packets.clear()
    sender.resend(numbers, 0.0, receiver, 3 * SECOND_NS)
    assert len(receiver.packets) == 10, "a quarter of what was sent since"


def test_what_is_no_longer_in_the_history_is_not_resent(receiver):
    sender = make_sender()
    sender.send(frame(1), 0, 1, receiver, SECOND_NS)
    old = receiver.packets[0].sequence_number
    for seq in range(HISTORY_PACKETS):
        sender.send(frame(1, seq=seq), 0, 1, receiver, SECOND_NS)
    receiver.packets.clear()
    sender.resend([old, (old - 5) % 65536], 0.0, receiver, 2 * SECOND_NS)
    assert receiver.packets == []


def test_a_viewer_without_rtx_gets_no_retransmission(receiver):
    sender = make_sender(rtx=None)
    sender.send(frame(1), 0, 1, receiver, SECOND_NS)
    sender.resend([receiver.packets[0].sequence_number], 0.0, receiver, 2 * SECOND_NS)
    assert len(receiver.packets) == 1


def test_a_report_before_any_packet_would_be_empty():
    assert make_sender().sender_report(SECOND_NS, 0) is None
