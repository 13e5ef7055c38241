"""SCTP packets inside DTLS: a viewer who is let in, and means harm."""

import asyncio
import hmac
import struct

from aiortc.rtcsctptransport import (
    CookieEchoChunk,
    DataChunk,
    ForwardTsnChunk,
    HeartbeatChunk,
    InitChunk,
    ReconfigChunk,
    RTCSctpCapabilities,
    SackChunk,
    ShutdownChunk,
)
from fuzz.loop import run
from fuzz.target import Target, join, steps
from google_crc32c import value as crc32c

from agent.rtc.sctp import MAX_STREAMS, MAX_WAITING_CHUNKS, DataTransport

MAX_STEPS = 48


class _Dtls:
    """What an SCTP transport needs of DTLS."""

    _role = "server"
    state = "connected"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def _register_data_receiver(self, _receiver: object) -> None: ...
    def _unregister_data_receiver(self, _receiver: object) -> None: ...

    async def _send_data(self, data: bytes) -> None:
        self.sent.append(data)


def check(data: bytes) -> None:
    """Nothing is raised, at once or by a timer; what is kept and what is answered has a bound."""
    run(_check(data))


async def _check(data: bytes) -> None:
    dtls = _Dtls()
    transport = DataTransport(dtls)  # type: ignore[arg-type]
    channels: list[object] = []

    def on_channel(channel: object) -> None:
        channels.append(channel)
        channel.on("message", lambda message: channel.send(message[:100]))  # type: ignore[attr-defined]

    transport.on("datachannel", on_channel)
    await transport.start(RTCSctpCapabilities(65536), 5000)
    try:
        for number, step in enumerate(steps(data)):
            if number == MAX_STEPS:
                break
            kind, chunks = step[:1] or b"\0", step[1:]
            before = len(dtls.sent)
            await transport._handle_data(_packet(transport, kind[0], chunks))
            assert len(dtls.sent) - before <= len(chunks) // 4 + 4, "one packet sets off a flood"
            await asyncio.sleep(0)
        assert len(channels) <= MAX_STREAMS
        assert len(transport._inbound_streams) <= MAX_STREAMS
        waiting = sum(len(stream.reassembly) for stream in transport._inbound_streams.values())
        assert waiting <= MAX_WAITING_CHUNKS + 80, "a packet holds 80 chunks at most"
        assert len(transport._data_channel_queue) <= 2 * MAX_STREAMS
    finally:
        await transport.stop()


def _packet(transport: DataTransport, kind: int, chunks: bytes) -> bytes:
    """Header, tag and checksum as they must be; odd kinds keep the bytes as they are.

    The cookie that we made ourselves stands in for `COOKIE`, and TSNs count from where they must.
    """
    if kind & 1:
        return chunks
    tag = 0 if chunks[:1] == b"\1" else transport._local_verification_tag
    if chunks[:1] == b"\x0a":
        cookie = CookieEchoChunk(body=_cookie(transport))
        chunks = bytes(cookie)
    head = struct.pack("!HHI", 5000, 5000, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunks)) + chunks


def _cookie(transport: DataTransport) -> bytes:
    stamp = struct.pack("!I", transport._get_timestamp())
    return stamp + hmac.new(transport._hmac_key, stamp, "sha1").digest()


def _data(tsn: int, stream: int, protocol: int, body: bytes, flags: int = 3, seq: int = 0) -> bytes:
    chunk = DataChunk(flags)
    chunk.tsn, chunk.stream_id, chunk.stream_seq, chunk.protocol, chunk.user_data = (
        tsn,
        stream,
        seq,
        protocol,
        body,
    )
    return bytes(chunk)


def seeds() -> list[bytes]:
    """An association with a channel and a message; and each kind of chunk."""
    init = InitChunk()
    init.initiate_tag, init.advertised_rwnd, init.initial_tsn = 7, 131072, 1
    init.outbound_streams = init.inbound_streams = 1024
    init.params = [(0xC000, b""), (0x8008, b"\xc0\x82")]
    begin = (b"\0" + bytes(init), b"\0\x0a\0\0\4")
    opening = struct.pack("!BBHIHH", 3, 0, 0, 0, 7, 0) + b"control"
    opened = b"\0" + _data(1, 0, 50, opening)
    asked = b"\0" + _data(2, 0, 51, b'{"type":"ping","id":1}', seq=1)
    sack = SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd, sack.gaps, sack.duplicates = 1, 1000, [(2, 3)], [1]
    forward, shutdown, beat, reset = ForwardTsnChunk(), ShutdownChunk(), HeartbeatChunk(), ReconfigChunk()
    forward.cumulative_tsn, forward.streams = 9, [(0, 1)]
    beat.params = [(1, b"abcd")]
    reset.params = [(13, struct.pack("!IIIH", 1, 1, 2, 0))]
    others = [b"\0" + bytes(chunk) for chunk in (sack, forward, beat, reset, shutdown)]
    part = [b"\0" + _data(2 + n, 0, 51, b"x", flags=2 if n == 0 else 0) for n in range(20)]
    hang = b"\0" + b"\4\0\0\x0c" + bytes(8)
    return [
        join(*begin, opened, asked),
        join(*begin, opened, asked, *others),
        join(*begin, *others),
        join(*begin, opened, *part),
        join(*begin, hang, b"\1" + bytes(16)),
    ]


TARGET = Target("sctp", "SCTP inside DTLS: a viewer who was let in.", check, seeds, max_bytes=8192)
