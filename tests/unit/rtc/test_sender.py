"""A viewer's RTP packets, read back by aiortc's parser."""

import hashlib
import random
import weakref

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unwrap_rtx

from agent.model.media import RtpFrame
from agent.rtc.ccfb import CongestionFeedback, Ecn, SourceReport
from agent.rtc.codecs import ABS_SEND_TIME, MID, PLAYOUT_DELAY, TRANSPORT_CC, RtpMedia
from agent.rtc.flexfec import MAX_SPAN
from agent.rtc.ledger import Ledger
from agent.rtc.sender import HISTORY_PACKETS, IP_UDP_BYTES, RtpSender
from agent.rtc.twcc import TransportNumbers

SECOND_NS = 1_000_000_000
EXTENSIONS = {ABS_SEND_TIME: 2, TRANSPORT_CC: 4, PLAYOUT_DELAY: 5, MID: 9}


def frame(count, *, seq=0, key=False, size=100):
    payloads = tuple(bytes([i % 256]) * size for i in range(count))
    return RtpFrame(payloads, 90_000 + seq * 3000, is_keyframe=key, size_bytes=size * count)


class Receiver:
    def __init__(self):
        self.packets = []
        self.raw = []
        self._map = HeaderExtensionsMap()
        self._map.configure(
            RTCRtpParameters(
                headerExtensions=[RTCRtpHeaderExtensionParameters(id=i, uri=u) for u, i in EXTENSIONS.items()]
            )
        )

    def __call__(self, run):
        for data in run:
            self.raw.append(data)
            self.packets.append(RtpPacket.parse(data, self._map))


@pytest.fixture
def receiver():
    return Receiver()


class Plain:
    """No SRTP."""

    def __init__(self):
        self.buffer = bytearray(1500)

    def seal(self, written):
        return [bytes(self.buffer[:size]) for size in written]


def make_sender(*, rtx=97, fec=None, extensions=EXTENSIONS):
    video = RtpMedia("video", "0", "sendonly", 96, "H264/90000", "", (), extensions, rtx, fec)
    return RtpSender(video, Plain(), TransportNumbers(), "cn")


def send(sender, of, receiver, now_ns):
    """A whole frame at once."""
    return sender.send(of, 0, len(of.payloads), receiver, now_ns)


def test_a_frame_is_one_timestamp_consecutive_numbers_and_one_marker(receiver):
    sender = make_sender()
    send(sender, frame(20, key=True), receiver, SECOND_NS)
    send(sender, frame(1, seq=1), receiver, SECOND_NS)
    packets = receiver.packets
    assert len(packets) == 21
    numbers = [p.sequence_number for p in packets]
    assert numbers == list(range(numbers[0], numbers[0] + 21))
    assert [p.marker for p in packets] == [0] * 19 + [1, 1]
    assert len({p.timestamp for p in packets[:20]}) == 1
    assert (packets[20].timestamp - packets[0].timestamp) % 2**32 == 3000
    assert {(p.payload_type, p.ssrc) for p in packets} == {(96, sender.ssrc)}
    assert [p.payload for p in packets[:20]] == list(frame(20).payloads)
    assert (sender.counters.frames, sender.counters.packets) == (2, 21)


@pytest.mark.parametrize("key", [True, False])
def test_a_frame_leaves_alike_at_once_and_in_parts(key):
    whole, parts = Receiver(), Receiver()
    at_once, in_parts = make_sender(fec=49), make_sender(fec=49)
    send(at_once, frame(6, key=key), whole, SECOND_NS)
    for first, count in ((0, 1), (1, 3), (4, 2)):
        in_parts.send(frame(6, key=key), first, count, parts, SECOND_NS)
    told = [
        [(p.marker, p.payload, p.extensions, len(raw)) for p, raw in zip(r.packets, r.raw, strict=True)]
        for r in (whole, parts)
    ]
    assert told[0] == told[1]
    numbers = [p.sequence_number for p in parts.packets]
    for seq, index in zip(numbers, range(6), strict=True):
        in_parts.resend(seq, parts, 2 * SECOND_NS)
        assert parts.packets[-1].payload[2:] == frame(6).payloads[index]


def test_numbers_start_over_within_a_run(receiver):
    sender = make_sender()
    for seq in range(0, 80_000, 1000):
        sent = send(sender, frame(1000, seq=seq, size=1), lambda _: None, SECOND_NS)
    send(sender, frame(2), receiver, SECOND_NS)
    assert sent.transport_seq == (79_000 + 1) % 65536
    assert receiver.packets[0].extensions.transport_sequence_number == (80_000 + 1) % 65536
    assert sender.wanted_bytes((receiver.packets[0].sequence_number - 1) % 65536, 0.0, SECOND_NS) == 1


@pytest.mark.parametrize("before", range(1, 5))
def test_numbers_start_over_anywhere_in_a_picture(receiver, before):
    sender = make_sender()
    sender._seq = 65536 - before
    send(sender, frame(4), receiver, SECOND_NS)
    numbers = [p.sequence_number for p in receiver.packets]
    assert numbers == [(65536 - before + index) % 65536 for index in range(4)]
    assert sender.wanted_bytes(numbers[3], 0.0, SECOND_NS) == 100


def test_extensions_are_readable_and_count_every_packet(receiver):
    sender = make_sender()
    first_sent = send(sender, frame(2, key=True), receiver, 10 * SECOND_NS)
    third_sent = send(sender, frame(1, seq=1), receiver, 10 * SECOND_NS + SECOND_NS // 2)
    first, second, third = (p.extensions for p in receiver.packets)
    assert first.mid == "0"
    assert third.mid is None, "constant extensions travel with keyframes alone"
    assert [e.transport_sequence_number for e in (first, second, third)] == [1, 2, 3]
    assert (first_sent.transport_seq, third_sent.transport_seq) == (1, 3)
    assert third_sent.sizes_bytes == [len(receiver.raw[2]) + IP_UDP_BYTES]
    assert third.abs_send_time - first.abs_send_time == 1 << 17  # half a second in 6.18 fixed point


def test_a_viewer_without_extensions_gets_none(receiver):
    sent = send(make_sender(extensions={}), frame(1, key=True), receiver, SECOND_NS)
    assert receiver.packets[0].payload == bytes(100)
    assert sent.transport_seq is None


def test_a_viewer_that_reports_by_source_is_told_no_number_and_we_know_it(receiver):
    video = RtpMedia("video", "0", "sendonly", 96, "H264/90000", "", ("ack ccfb",), {MID: 9}, 97, 98)
    sender = RtpSender(video, Plain(), ledger := Ledger(), "cn")
    sent = [send(sender, frame(3, key=True), receiver, SECOND_NS)]
    seq = receiver.packets[1].sequence_number
    sent.append(sender.resend(seq, receiver, SECOND_NS))
    sent.append(sender.repair(3, 0, 1, receiver, SECOND_NS))
    assert [one.transport_seq for one in sent] == [1, 4, 5]
    assert all(p.extensions.transport_sequence_number is None for p in receiver.packets)
    assert {raw[16:19] for raw in receiver.raw} == {bytes(3)}, "no element without a number of its own"
    sources = [
        SourceReport(p.ssrc, p.sequence_number, [at], [Ecn.ECT_1]) for at, p in enumerate(receiver.packets)
    ]
    found = ledger.settle(CongestionFeedback(tuple(sources)))
    assert (found.base_seq, list(found.arrivals_us)) == (1, [0, 1, 2, 3, 4])


def test_a_lost_packet_is_resent_as_it_was(receiver):
    sender = make_sender()
    send(sender, frame(4), receiver, SECOND_NS)
    lost = receiver.packets[2]
    receiver.packets.clear()
    sent = sender.resend(lost.sequence_number, receiver, 2 * SECOND_NS)
    (resent,) = receiver.packets
    assert (resent.payload_type, resent.ssrc) == (97, sender.rtx_ssrc)
    restored = unwrap_rtx(resent, payload_type=96, ssrc=sender.ssrc)
    assert (restored.sequence_number, restored.timestamp, restored.payload) == (
        lost.sequence_number,
        lost.timestamp,
        lost.payload,
    )
    assert sent.transport_seq == 5
    assert sender.counters.resent_packets == 1


def test_a_packet_is_worth_a_resend_most_of_a_round_trip_after_it_was_sent_again(receiver):
    sender = make_sender()
    send(sender, frame(1), receiver, SECOND_NS)
    seq = receiver.packets[0].sequence_number
    assert [sender.wanted_bytes(seq, 0.3, SECOND_NS + ms) for ms in (1, 2)] == [100, 100], "none was sent yet"
    sender.resend(seq, receiver, 2 * SECOND_NS)
    asked = [sender.wanted_bytes(seq, 0.4, 2 * SECOND_NS + ms * 1_000_000) for ms in (0, 100, 299, 301)]
    assert asked == [None, None, None, 100]


def test_what_is_no_longer_in_the_history_is_not_resent(receiver):
    sender = make_sender()
    send(sender, frame(1), receiver, SECOND_NS)
    old = receiver.packets[0].sequence_number
    for seq in range(HISTORY_PACKETS):
        send(sender, frame(1, seq=seq), receiver, SECOND_NS)
    receiver.packets.clear()
    for seq in (old, (old - 5) % 65536):
        assert sender.wanted_bytes(seq, 0.0, 2 * SECOND_NS) is None
        assert sender.resend(seq, receiver, 2 * SECOND_NS) is None
    assert receiver.packets == []


def test_a_viewer_without_rtx_gets_no_retransmission_and_padding_of_its_own(receiver):
    sender = make_sender(rtx=None)
    send(sender, frame(1), receiver, SECOND_NS)
    seq = receiver.packets[0].sequence_number
    assert sender.wanted_bytes(seq, 0.0, 2 * SECOND_NS) is None
    assert sender.resend(seq, receiver, SECOND_NS) is None
    assert len(receiver.packets) == 1
    sent = sender.pad(receiver, SECOND_NS)
    assert sent.transport_seq == 2, "it is reported like any other packet"
    send(sender, frame(1, seq=1), receiver, SECOND_NS)
    pad = receiver.packets[1]
    assert (pad.payload, pad.padding_size, pad.marker) == (b"", 255, 0)
    assert (pad.ssrc, pad.timestamp) == (sender.ssrc, receiver.packets[0].timestamp)
    numbers = [packet.sequence_number for packet in receiver.packets]
    assert numbers == [seq, seq + 1, seq + 2], "SRTP takes each number once"


def test_parity_covers_nothing_from_before_padding_alone(receiver):
    sender = make_sender(rtx=None, fec=49)
    assert sender.pad(receiver, SECOND_NS) is None, "nothing was sent yet"
    send(sender, frame(3), receiver, SECOND_NS)
    sender.pad(receiver, SECOND_NS)
    send(sender, frame(2, seq=1), receiver, SECOND_NS)
    first = receiver.packets[4].sequence_number
    sender.repair(5, 0, 1, receiver, SECOND_NS)
    parity = receiver.packets[-1].payload
    assert int.from_bytes(parity[16:18], "big") == first
    assert parity[18:20] == (0x8000 | 0b11 << 13).to_bytes(2, "big"), "the two after it"
    for number in range(2, 2 + 2 * MAX_SPAN):
        send(sender, frame(1, seq=number), receiver, SECOND_NS)
    assert sender.repair(MAX_SPAN, 0, 1, receiver, SECOND_NS)


def test_padding_is_the_largest_of_the_newest_packets_again(receiver):
    sender = make_sender()
    assert sender.pad(receiver, SECOND_NS) is None, "nothing was sent yet"
    send(sender, frame(2, size=900), receiver, SECOND_NS)
    send(sender, frame(1, seq=1, size=50), receiver, SECOND_NS)
    sender.pad(receiver, SECOND_NS)
    assert len(receiver.packets[-1].payload) == 902


def test_a_report_before_any_packet_would_be_empty():
    assert make_sender().sender_report(SECOND_NS, 0) is None


def test_parity_has_a_stream_of_its_own_and_covers_the_last_packets(receiver):
    sender = make_sender(fec=49)
    send(sender, frame(4, key=True), receiver, SECOND_NS)
    send(sender, frame(3, seq=1), receiver, SECOND_NS)
    first = receiver.packets[4].sequence_number
    sent = sender.repair(3, 0, 1, receiver, 2 * SECOND_NS)
    parity = receiver.packets[-1]
    assert (parity.payload_type, parity.ssrc) == (49, sender.fec_ssrc)
    assert int.from_bytes(parity.payload[16:18], "big") == first
    assert sent.transport_seq == 8, "the estimate counts it like any other packet"
    assert parity.payload[20 + 12 :] != bytes(88)


@pytest.mark.parametrize("size", [1, 40, 109, 150])
def test_parity_covers_as_much_as_its_mask_however_the_media_left(receiver, size):
    sender = make_sender(fec=49)
    for number in range(300 // size + 1):
        send(sender, frame(size, seq=number), receiver, SECOND_NS)
    first = receiver.packets[-MAX_SPAN].sequence_number
    sender.repair(1000, 0, 1, receiver, 2 * SECOND_NS)
    assert int.from_bytes(receiver.packets[-1].payload[16:18], "big") == first


def test_parity_holds_no_more_pictures_in_memory_than_resends_do():
    def kept(sender):
        alive = []
        for number in range(100):
            payloads = tuple(memoryview(bytes(100)) for _ in range(40))  # bytes tell nobody of their end
            of = RtpFrame(payloads, number * 3000, is_keyframe=False, size_bytes=4000)
            send(sender, of, list, SECOND_NS)
            alive += map(weakref.ref, payloads)
        del payloads, of
        return sum(one() is not None for one in alive)

    assert kept(make_sender(fec=49)) == kept(make_sender()) >= HISTORY_PACKETS


def test_a_viewer_that_takes_no_parity_gets_none(receiver):
    sender = make_sender()
    send(sender, frame(3), receiver, SECOND_NS)
    receiver.packets.clear()
    assert sender.repair(3, 0, 1, receiver, SECOND_NS) is None
    assert receiver.packets == []


def test_the_playout_delay_travels_with_the_first_packets_after_it_changed():
    """A viewer keeps it, and packets of one length leave at once."""
    sender, raw = make_sender(extensions={PLAYOUT_DELAY: 5}), []
    for number in range(200):
        sender.playout_ms = 40 if number < 100 else 80
        send(sender, frame(2, seq=number), raw.extend, SECOND_NS)
    told = [packet[19:23] for packet in raw if len(packet) > len(raw[1])]
    assert told == 60 * [bytes((5 << 4 | 2, 0, 0x40, 4))] + 60 * [bytes((5 << 4 | 2, 0, 0x80, 8))]
    assert {len(packet) for packet in raw[120:200] + raw[320:]} == {len(raw[1])}


def test_each_keyframe_tells_the_playout_delay_anew():
    sender, raw = make_sender(extensions={PLAYOUT_DELAY: 5}), []
    for number in range(100):
        send(sender, frame(2, seq=number, key=number == 99), raw.extend, SECOND_NS)
    assert len(raw[-3]) + 4 == len(raw[-2]) == len(raw[-1])


def test_a_keyframe_brings_the_pictures_after_it_the_playout_delay_too():
    """A viewer may have forgotten it with the pictures that it could not show."""
    sender, raw = make_sender(extensions={PLAYOUT_DELAY: 5}), []
    sender.playout_ms = 40
    for number in range(200):
        send(sender, frame(2, seq=number, key=number == 100), raw.extend, SECOND_NS)
    told = [number for number in range(200) if len(raw[2 * number]) > len(raw[1])]
    assert told == [*range(60), *range(100, 160)]


def test_the_same_input_is_the_same_on_the_wire(monkeypatch):
    """To the byte, whatever is made faster: runs, the end of the 16-bit numbers, resends, padding, parity."""
    chance, digest = random.Random(1), hashlib.sha256()
    monkeypatch.setattr("agent.rtc.sender.secrets.randbits", chance.getrandbits)
    monkeypatch.setattr("agent.rtc.sender.secrets.randbelow", chance.randrange)
    packets = 0

    def take(run):
        nonlocal packets
        for packet in run:
            packets += 1
            digest.update(len(packet).to_bytes(2, "big") + packet)

    def note(sent):
        if sent is not None:
            digest.update(repr((sent.transport_seq, list(sent.sizes_bytes))).encode())

    for extensions in (EXTENSIONS, {TRANSPORT_CC: 4}, {ABS_SEND_TIME: 2, MID: 9}, {}):
        sender = make_sender(fec=98, extensions=extensions)
        sender._seq = 65_000
        for number in range(60):
            count = chance.randrange(1, 60)
            payloads = tuple(bytes([number % 256]) * chance.randrange(20, 1200) for _ in range(count))
            of = RtpFrame(payloads, number * 3000, is_keyframe=number % 20 == 0, size_bytes=0)
            now_ns, first = number * 33_000_000, 0
            while first < count:
                run = min(count - first, chance.randrange(1, 40))
                note(sender.send(of, first, run, take, now_ns))
                first += run
            if number % 7 == 0:
                seq = sender._seq - chance.randrange(1, 900) & 0xFFFF
                wanted = sender.wanted_bytes(seq, 0.05, now_ns)
                digest.update(repr(wanted).encode())
                note(sender.resend(seq, take, now_ns))
                note(sender.pad(take, now_ns))
                note(sender.repair(count, 0, 2, take, now_ns))
        digest.update(sender.sender_report(now_ns, 10**18))
    assert packets > 4000
    assert digest.hexdigest() == "286e6f153b4ad3cea2b327568ef43be8a0c66e9a1bca5828cfb385aac4429a62"
