"""SCTP (RFC 9260) for the data channel, on aiortc's transport, made safe against the viewer.

The channel carries small questions and answers. What goes far beyond that is dropped before aiortc sees it,
whose parser runs for ever on a parameter without a length, and keeps and walks whatever a peer names.
"""

import struct
from collections.abc import Iterator
from typing import cast

from aiortc.rtcdatachannel import RTCDataChannel
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpTransport

from agent.rtc import seams as _seams  # noqa: F401  checks, at import, every private name used below
from agent.rtc.edge import Refusals

MAX_STREAMS = 64
"""Browsers use one."""
MAX_WAITING_CHUNKS = 128
"""Parts of messages that are not complete; a browser's largest question is one chunk."""
MAX_TSN_AHEAD = 1024
"""How far a TSN may be from the last one in order, in both directions of the association."""
MAX_QUEUED_ANSWERS, MAX_QUEUED_BYTES = 64, 256 * 1024
MAX_PACKET_BYTES = 16 * 1024

DATA, INIT, INIT_ACK, SACK, FORWARD_TSN = 0, 1, 2, 3, 192
_HEADER_BYTES = 12
_PARAMETERS_AT = {INIT: 20, INIT_ACK: 20, 4: 4, 5: 4, 6: 4, 9: 4, 130: 4}
"""Chunk types that hold parameters (RFC 9260 section 3.2.1), and where those begin."""


def check(packet: bytes, last_tsn: int | None = None) -> None:
    """Raise ValueError where aiortc's parser must not see this packet.

    `last_tsn` is the last one that came in order, None before the association knows one.
    """
    if len(packet) > MAX_PACKET_BYTES:
        raise ValueError("SCTP packet is too large")
    for chunk in _chunks(packet):
        kind = chunk[0]
        if kind in _PARAMETERS_AT:
            _check_parameters(chunk, _PARAMETERS_AT[kind])
        elif kind == DATA:
            _check_data(chunk, last_tsn)
        elif kind == SACK:
            _check_gaps(chunk)
        elif kind == FORWARD_TSN:
            _check_streams(chunk)


class DataTransport(RTCSctpTransport):
    """One viewer's data channels."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        super().__init__(transport)
        self._inbound_streams_max = MAX_STREAMS
        self._refusals = Refusals("data channel's packet")

    async def _handle_data(self, data: bytes) -> None:
        with self._refusals.guarded():
            check(data, self._last_received_tsn)
            waiting = sum(len(stream.reassembly) for stream in self._inbound_streams.values())
            if waiting > MAX_WAITING_CHUNKS:
                raise ValueError("too many parts of messages wait for the rest")
            await super()._handle_data(data)

    def _data_channel_send(self, channel: RTCDataChannel, data: bytes | str) -> None:
        # A viewer that asks and never takes the answers gets no more of them.
        queued_bytes = sum(len(item[2]) for item in self._data_channel_queue)
        if len(self._data_channel_queue) < MAX_QUEUED_ANSWERS and queued_bytes < MAX_QUEUED_BYTES:
            super()._data_channel_send(channel, data)


def _chunks(packet: bytes) -> Iterator[bytes]:
    """Type, flags, length and value of each chunk (RFC 9260 section 3.2), without padding."""
    at = _HEADER_BYTES
    while at + 4 <= len(packet):
        (length,) = struct.unpack_from("!H", packet, at + 2)
        if length < 4 or at + length > len(packet):
            raise ValueError(f"SCTP chunk of {length} bytes")
        yield packet[at : at + length]
        at += length + -length % 4


def _check_parameters(chunk: bytes, at: int) -> None:
    while at + 4 <= len(chunk):
        (length,) = struct.unpack_from("!H", chunk, at + 2)
        if length < 4 or at + length > len(chunk):
            raise ValueError(f"SCTP parameter of {length} bytes")
        at += length + -length % 4


def _check_data(chunk: bytes, last_tsn: int | None) -> None:
    if len(chunk) <= 16:
        raise ValueError("SCTP DATA without data")
    tsn, stream = cast("tuple[int, int]", struct.unpack_from("!IH", chunk, 4))
    if stream >= MAX_STREAMS:
        raise ValueError(f"SCTP stream {stream}")
    if last_tsn is None:
        raise ValueError("SCTP DATA before the association")
    ahead = tsn - last_tsn & 0xFFFFFFFF
    if MAX_TSN_AHEAD < ahead < 0xFFFFFFFF - MAX_TSN_AHEAD:
        raise ValueError(f"SCTP TSN is {ahead} ahead")


def _check_gaps(chunk: bytes) -> None:
    """Gap blocks ascend (RFC 9260 section 3.3.4), and cannot tell of more than we send."""
    if len(chunk) < 16:
        raise ValueError("SCTP SACK is cut short")
    gaps, duplicates = struct.unpack_from("!HH", chunk, 12)
    if 16 + 4 * (gaps + duplicates) > len(chunk):
        raise ValueError("SCTP SACK is cut short")
    last = 0
    for start, end in struct.iter_unpack("!HH", chunk[16 : 16 + 4 * gaps]):
        if not last < start <= end <= MAX_TSN_AHEAD:
            raise ValueError("SCTP SACK's gaps are out of order or too far")
        last = end


def _check_streams(chunk: bytes) -> None:
    if len(chunk) < 8 or len(chunk) % 4:
        raise ValueError("SCTP FORWARD TSN is cut short")
    if any(stream >= MAX_STREAMS for stream, _ in struct.iter_unpack("!HH", chunk[8:])):
        raise ValueError("SCTP FORWARD TSN of a stream that there is not")
