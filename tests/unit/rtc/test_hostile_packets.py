"""Packets that once ended a session, stopped the event loop or filled the memory."""

import asyncio
import struct
import sys

import pytest
from aioice import stun
from aiortc.rtcdtlstransport import RTCCertificate
from fuzz.sockets import STRANGER, VIEWER, Wire, connection_on
from google_crc32c import value as crc32c
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from agent.control.lane import LaneControl
from agent.model.media import MediaPacket
from agent.rtc import ccfb, rtcp, sctp, twcc
from agent.rtc.alarm import Alarm
from agent.rtc.ecn import Marking
from agent.rtc.ice import MAX_REMOTE_CANDIDATES, MAX_WAITING_DATAGRAMS
from agent.rtc.lane import Lane
from agent.rtc.relay import TcpClient, UdpClient
from agent.rtc.sound import read_packet
from agent.rtc.transport import MAX_SOURCES, DtlsTransport

SERVER = ("192.0.2.99", 3478)
COOKIE = stun.COOKIE
SHORT_PRIORITY = struct.pack("!HHI12sHHB3x", 1, 8, COOKIE, b"t" * 12, 0x24, 1, 0)
"""A binding request whose PRIORITY has one byte: aioice's parser raises struct.error."""


def packet(*chunks, tag=0):
    body = b"".join(chunk + bytes(-len(chunk) % 4) for chunk in chunks)
    head = struct.pack("!HHI", 5000, 5000, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + body)) + body


def chunk(kind, value, flags=0):
    return struct.pack("!BBH", kind, flags, 4 + len(value)) + value


def data_chunk(tsn, stream=0, text=b"x"):
    return chunk(sctp.DATA, struct.pack("!IHHI", tsn, stream, 0, 51) + text, 3)


@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        (chunk(4, struct.pack("!HH", 1, 0) + bytes(4)), "parameter of 0"),  # for ever, and 100 MB/s
        (chunk(sctp.INIT, bytes(16) + struct.pack("!HH", 1, 0)), "parameter of 0"),
        (chunk(sctp.SACK, struct.pack("!IIHHHH", 1, 1, 1, 0, 1, 65535)), "too far"),  # 65535 steps a block
        (chunk(sctp.SACK, struct.pack("!IIHHHHHH", 1, 1, 2, 0, 5, 6, 1, 2)), "out of order"),
        (chunk(sctp.SACK, struct.pack("!IIHH", 1, 1, 9, 0)), "cut short"),
        (data_chunk(2**31), "ahead"),  # kept until the gap closes, and it never does
        (data_chunk(2, stream=65535), "stream 65535"),
        (chunk(sctp.FORWARD_TSN, struct.pack("!IHH", 9, 60000, 1)), "stream that there is not"),
        (struct.pack("!BBH", 6, 0, 2), "chunk of 2"),
    ],
)
def test_sctp_that_would_hurt_is_refused_before_it_is_parsed(hostile, words):
    with pytest.raises(ValueError, match=words):
        sctp.check(packet(hostile), last_tsn=1)


@pytest.mark.parametrize(
    "harmless",
    [
        data_chunk(2),
        data_chunk(1),
        chunk(4, struct.pack("!HH", 1, 8) + bytes(4)),
        chunk(11, b""),
        chunk(99, b"?"),
    ],
)
def test_sctp_of_browsers_passes(harmless):
    sctp.check(packet(harmless), last_tsn=1)


class Dtls:
    _role, state = "server", "connected"

    def __init__(self):
        self.sent = []

    def _register_data_receiver(self, _receiver): ...
    def _unregister_data_receiver(self, _receiver): ...

    async def _send_data(self, data):
        self.sent.append(data)


async def test_an_sctp_parameter_without_a_length_stops_nothing():
    transport = sctp.DataTransport(Dtls())
    hostile = chunk(4, bytes(8))
    await transport._handle_data(packet(hostile, tag=transport._local_verification_tag))
    assert transport._refusals.count == 1


async def test_answers_that_nobody_takes_do_not_pile_up():
    transport = sctp.DataTransport(Dtls())

    class Channel:
        id = 0

        def _addBufferedAmount(self, amount): ...  # noqa: N802

    for _ in range(1000):
        transport._data_channel_send(Channel(), "pong")
    assert len(transport._data_channel_queue) == sctp.MAX_QUEUED_ANSWERS


async def test_a_datagram_that_aioice_cannot_parse_is_dropped_and_counted():
    connection = connection_on(Wire())
    [protocol] = connection._protocols
    for datagram in (b"", SHORT_PRIORITY, b"\x80"):
        protocol.datagram_received(datagram, STRANGER)
    assert protocol._refusals.count == 2
    assert not connection._queue.qsize()


async def test_data_is_taken_from_the_viewer_alone_and_never_without_bound():
    heard = []
    connection = connection_on(Wire(), on_srtp=heard.append)
    [protocol] = connection._protocols
    connection.add_remote(f"candidate:1 1 udp 1 {VIEWER[0]} {VIEWER[1]} typ host")
    await asyncio.gather(*connection._tasks)
    for _ in range(10 * MAX_WAITING_DATAGRAMS):
        protocol.datagram_received(b"\x16 DTLS", STRANGER)
        protocol.datagram_received(b"\x80 media", STRANGER)
    assert not connection._queue.qsize()
    assert not heard
    for _ in range(10 * MAX_WAITING_DATAGRAMS):
        protocol.datagram_received(b"\x16 DTLS", VIEWER)
    assert connection._queue.qsize() == MAX_WAITING_DATAGRAMS
    protocol.datagram_received(b"\x80 media", VIEWER)
    assert heard == [b"\x80 media"], "what is not queued has no bound to keep"


async def test_a_viewer_is_not_checked_at_any_number_of_addresses():
    connection = connection_on(Wire())
    [protocol] = connection._protocols
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"PRIORITY": 1})
    for port in range(1024, 1024 + 4 * MAX_REMOTE_CANDIDATES):
        connection.check_incoming(request, (VIEWER[0], port), protocol)
    connection.check_incoming(stun.Message(stun.Method.BINDING, stun.Class.REQUEST), VIEWER, protocol)
    assert len(connection._remote_candidates) == MAX_REMOTE_CANDIDATES
    for pair in connection._check_list:
        pair.task.cancel()


@pytest.mark.parametrize("kind", [UdpClient, TcpClient])
async def test_what_a_turn_server_garbles_is_dropped(kind):
    client = kind(SERVER, "user", "secret", 600, 500)
    client.connection_made(Wire())
    garbled = struct.pack("!HHI12sHHB3x", 0x103, 8, COOKIE, b"t" * 12, 0x0D, 1, 0)
    client.data_received(garbled) if kind is TcpClient else client.datagram_received(garbled, SERVER)
    assert client.refusals.count == 1


async def test_a_burst_of_small_turn_messages_is_cut_apart_wherever_the_stream_is_cut():
    connection = connection_on(Wire())
    [receiver] = connection._protocols
    connection.add_remote(f"candidate:1 1 udp 1 {VIEWER[0]} {VIEWER[1]} typ host")
    await asyncio.gather(*connection._tasks)
    client = TcpClient(SERVER, "user", "secret", 600, 500)
    client.connection_made(Wire())
    client.receiver, client.channel_to_peer[0x4000] = receiver, VIEWER
    stream = b"".join(struct.pack("!HHB3x", 0x4000, 1, 20 + n) for n in range(100))
    for at in range(0, len(stream), 7):
        client.data_received(stream[at : at + 7])
    heard = [connection._queue.get_nowait()[0] for _ in range(100)]
    assert heard == [bytes([20 + n]) for n in range(100)]
    assert not client.waiting


class Ice:
    role = "controlled"

    def __init__(self, *incoming):
        self._incoming = list(incoming)

    async def _recv(self):
        if not self._incoming:
            raise ConnectionError
        return self._incoming.pop(0)

    async def _send(self, data): ...


class Ssl:
    """OpenSSL with two records of one datagram."""

    def __init__(self):
        self.records = [b"one", b"two"]

    def DTLSv1_get_timeout(self):  # noqa: N802
        return None

    def bio_write(self, data): ...

    def bio_read(self, _size):
        return b""

    def recv(self, _size):
        if not self.records:
            raise SSL.WantReadError
        return self.records.pop(0)


class Receiver:
    def __init__(self):
        self.heard = []

    async def _handle_data(self, data):
        self.heard.append(data)


async def test_all_records_of_a_datagram_are_read():
    """What stays in OpenSSL stays for ever: a viewer could fill our memory with it."""
    dtls = DtlsTransport(
        Ice(b"\x17 two records"), RTCCertificate.generateCertificate(), is_client=False, on_rtcp=print
    )
    dtls._ssl, dtls.encrypted, dtls._data_receiver = Ssl(), True, Receiver()
    await dtls._recv_next()
    assert dtls._data_receiver.heard == [b"one", b"two"]


async def test_no_packet_but_the_end_of_the_connection_ends_a_session():
    async def fail(_data):
        raise struct.error("as aiortc's parsers do")

    dtls = DtlsTransport(
        Ice(b"\x17", b""), RTCCertificate.generateCertificate(), is_client=False, on_rtcp=print
    )
    dtls._ssl, dtls.encrypted, dtls._data_receiver = Ssl(), True, Receiver()
    dtls._data_receiver._handle_data = fail
    await dtls._recv_next()
    await dtls._recv_next()
    with pytest.raises(ConnectionError):
        await dtls._recv_next()


def test_a_packet_under_srtp_that_nobody_can_read_costs_itself_alone():
    heard = []

    def on_rtcp(packet):
        heard.append(packet)
        raise ValueError("cut short")

    dtls = DtlsTransport(Ice(), RTCCertificate.generateCertificate(), is_client=False, on_rtcp=on_rtcp)
    report = b"\x80\xc9\0\1\0\0\0\1"
    dtls.take_srtp(report)  # before there are keys
    key = bytes(range(30))
    dtls._rx_srtp = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND))
    theirs = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    for stray in (b"\x80", b"\x80\xc9", report, b"\x80\xc9" + bytes(1400), b"\x80\x60" + bytes(50)):
        dtls.take_srtp(stray)
    assert heard == []
    dtls.take_srtp(theirs.protect_rtcp(report))
    assert heard == [report]


KEY = bytes(range(30))


def keyed(**options):
    """A transport whose handshake is over."""
    certificate = RTCCertificate.generateCertificate()
    dtls = DtlsTransport(Ice(), certificate, is_client=False, **{"on_rtcp": print} | options)
    dtls._rx_srtp = Session(Policy(key=KEY, ssrc_type=Policy.SSRC_ANY_INBOUND))
    return dtls


def protect(packet):
    """As a viewer does under its keys."""
    session = Session(Policy(key=KEY, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    return session.protect_rtcp(packet) if packet[1] == 201 else session.protect(packet)


def rtp(ssrc, payload=b"sound"):
    return struct.pack("!BBHII", 0x80, 111, 7, 960, ssrc) + payload


def test_what_a_viewer_sends_reaches_who_takes_it_and_nobody_else():
    heard, deaf = [], keyed()
    listening = keyed(on_rtp=lambda packet: heard.append(read_packet(packet)))
    deaf.take_srtp(protect(rtp(1)))
    assert deaf._rx_srtp.unprotect(protect(rtp(1))) == rtp(1), "it was not decrypted: no replay"
    for packet in (rtp(1), protect(rtp(1)), protect(rtp(1))):  # in the clear, once, and again
        listening.take_srtp(packet)
    assert heard == [(111, MediaPacket(7, 960, b"sound"))]


def test_a_viewer_of_many_names_costs_what_one_of_a_few_does():
    """Each source of a valid packet is kept under SRTP, and each packet is looked up among all."""
    heard = []
    dtls = keyed(on_rtcp=heard.append, on_rtp=heard.append)
    for ssrc in range(1000):
        dtls.take_srtp(protect(rtp(ssrc)))
        dtls.take_srtp(protect(struct.pack("!BBHI", 0x80, 201, 1, 5000 + ssrc)))
    assert len(heard) == MAX_SOURCES
    before = len(heard)
    dtls.take_srtp(protect(rtp(0)[:2] + b"\0\x08" + rtp(0)[4:]))
    assert len(heard) == before + 1, "those that are known are heard"


def test_a_source_counts_once_its_packet_is_found_to_be_the_viewers():
    heard = []
    dtls = keyed(on_rtp=heard.append)
    for ssrc in range(1000):
        dtls.take_srtp(rtp(ssrc) + bytes(10))
    dtls.take_srtp(protect(rtp(1)))
    assert heard == [rtp(1)]


DATAGRAM_BYTES = 1392
SSRC, SENT = 5, 1000


def compound(fmt, *words):
    """As many of this report as a datagram holds; `words` are bytes after the reporter's name."""
    body = struct.pack("!I", 1) + b"".join(words)
    report = struct.pack("!BBH", 0x80 | fmt, rtcp.RTPFB, len(body) // 4) + body
    return report * (DATAGRAM_BYTES // len(report))


NACKS = compound(1, struct.pack("!IHH", SSRC, 0, 0))


class Sender:
    """One that keeps nothing of what it sent."""

    ssrc, takes_repairs, playout_ms = SSRC, False, 0

    def wanted_bytes(self, *_):
        return None


def lines_for(data, marking=None, runs=0):
    """How many lines of ours are run to read a datagram, with so many bursts of packets in flight."""
    control = LaneControl(1_000_000, 50_000, 4_000_000)
    lane = Lane(control, Sender(), lambda: None, Alarm(), marking=marking)
    for run in range(runs):
        control.on_sent(1 + run, [1000], 1 + run, None)
    lines = 0

    def trace(_frame, event, _argument):
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for feedback in rtcp.parse(data):
            lane.on_feedback(feedback, 10**9, 0)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    ("base_seq", "count", "chunks"),
    [
        (0, 8192, struct.pack("!HH", 8191, 1)),  # a report of 24 bytes about 8192 packets
        (500, 8192, struct.pack("!HH", 8191, 1)),
        (SENT + 1, 1, struct.pack("!Hxx", 1)),  # about the next one that will leave
    ],
)
def test_a_report_of_what_never_left_costs_about_what_a_request_does(base_seq, count, chunks):
    reports = compound(twcc.FORMAT, struct.pack("!IHHI", SSRC, base_seq, count, 0), chunks)
    assert len(reports) == DATAGRAM_BYTES
    assert lines_for(reports) < 2 * lines_for(NACKS)
    assert lines_for(reports, runs=SENT) < 2 * lines_for(NACKS) + 40 * SENT, "each in flight is settled once"


def test_a_report_by_source_costs_what_it_names_and_not_what_lies_between():
    marking = Marking()
    marking.ledger.take(SSRC, 0, SENT)
    ends = (struct.pack("!IHHHxx", SSRC, seq, 1, 0x8000) for seq in (0, SENT - 1))
    reports = compound(ccfb.FORMAT, *ends, bytes(4))
    assert lines_for(reports, marking) < 2 * lines_for(NACKS)
