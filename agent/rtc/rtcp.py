"""RTCP (RFC 3550, 4585, 5104, 3611) as pure functions: bytes in, typed feedback out, and the reports we send.

aiortc's own parser drops a whole compound packet where a transport-wide feedback packet carries padding,
which Chromium sends all the time.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from agent.rtc import ccfb, twcc
from agent.rtc.ccfb import CongestionFeedback
from agent.rtc.twcc import TransportFeedback

SR, RR, SDES, BYE, APP, RTPFB, PSFB, XR = 200, 201, 202, 203, 204, 205, 206, 207
MAX_REMB_BPS = 1_000_000_000
"""An exponent of 63 is valid, and means nothing."""
_MAX_TRAILER_BYTES = 20  # SRTCP's index and tag (RFC 3711 section 3.4, RFC 7714 section 9.1)
_NTP_EPOCH_S = 2_208_988_800  # 1970 in seconds since 1900


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK (RFC 4585 section 6.2.1): sequence numbers of a source that did not arrive."""

    ssrc: int
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1)."""


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """One report block (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: float
    """Since the last report, 0 to 1."""
    last_sr: int
    """Middle 32 bits of the NTP time of the last SR that arrived, or 0."""
    delay_since_last_sr: int
    """In 1/65536 s."""


@dataclass(frozen=True, slots=True)
class ReferenceTime:
    """RRTR (RFC 3611 section 4.4): the receiver wants to learn the round trip."""

    ssrc: int
    ntp_middle: int


@dataclass(frozen=True, slots=True)
class Remb:
    """Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03)."""

    bps: int


Feedback = (
    Nack | KeyframeRequest | ReceiverReport | ReferenceTime | Remb | TransportFeedback | CongestionFeedback
)


def is_transport_report(packet: bytes) -> bool:
    """Whether this SRTCP packet, by its head, which is never encrypted, tells of arrivals alone."""
    if len(packet) < 4 or packet[1] != RTPFB or packet[0] & 0x1F not in (twcc.FORMAT, ccfb.FORMAT):
        return False
    return len(packet) <= 4 + 4 * int.from_bytes(packet[2:4], "big") + _MAX_TRAILER_BYTES


def parse(data: bytes) -> Iterator[Feedback]:
    """What a compound or reduced-size packet says to a sender; the rest is passed over.

    Raises ValueError where the framing is broken; what stood before that has been yielded. A report on
    arrivals that cannot be read is skipped alone: its ValueError comes at the end, after all that can.
    """
    position = 0
    unread: ValueError | None = None
    while position < len(data):
        if len(data) - position < 4:
            raise ValueError("RTCP header is cut short")
        first, kind, words = struct.unpack_from("!BBH", data, position)
        end = position + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            raise ValueError("RTCP version or length is wrong")
        body = data[position + 4 : end]
        if first & 0x20:  # padding: its length stands in the last byte (RFC 3550 section 6.4.1)
            padding = body[-1] if body else 0
            if not 0 < padding <= len(body):
                raise ValueError("RTCP padding is wrong")
            body = body[:-padding]
        try:
            yield from _parse_one(kind, first & 0x1F, body)
        except ValueError as exc:
            unread = exc
        position = end
    if unread is not None:
        raise unread


def _parse_one(kind: int, count: int, body: bytes) -> Iterator[Feedback]:
    if kind == RTPFB and count == 1 and len(body) >= 8:
        yield Nack(int.from_bytes(body[4:8], "big"), tuple(_nack_seqs(body[8:])))
    elif kind == RTPFB and count == twcc.FORMAT and len(body) >= 8:
        yield twcc.parse(body[8:])
    elif kind == RTPFB and count == ccfb.FORMAT and len(body) >= 4:
        yield ccfb.parse(body[4:])
    elif kind == PSFB and count in (1, 4) and len(body) >= 8:
        yield KeyframeRequest()
    elif kind == PSFB and count == 15 and body[8:12] == b"REMB" and len(body) >= 16:
        exponent, mantissa = body[13] >> 2, int.from_bytes(body[13:16], "big") & 0x3FFFF
        yield Remb(min(mantissa << exponent, MAX_REMB_BPS))
    elif kind in (RR, SR):
        blocks = body[4 if kind == RR else 24 :]
        for offset in range(0, min(count * 24, len(blocks) - 23), 24):
            yield _report_block(blocks, offset)
    elif kind == XR and len(body) >= 4:
        yield from _extended_reports(body)


def _nack_seqs(fci: bytes) -> Iterator[int]:
    for offset in range(0, len(fci) - 3, 4):
        first, bitmask = struct.unpack_from("!HH", fci, offset)
        yield first
        for bit in range(16):
            if bitmask >> bit & 1:
                yield first + bit + 1 & 0xFFFF


def _report_block(blocks: bytes, offset: int) -> ReceiverReport:
    ssrc, lost, _highest, _jitter, last_sr, delay = struct.unpack_from("!IIIIII", blocks, offset)
    return ReceiverReport(ssrc, (lost >> 24) / 256, last_sr, delay)


def _extended_reports(body: bytes) -> Iterator[Feedback]:
    (ssrc,) = struct.unpack_from("!I", body)
    offset = 4
    while offset + 4 <= len(body):
        block, _, words = struct.unpack_from("!BBH", body, offset)
        if block == 4 and words == 2 and offset + 12 <= len(body):
            (ntp,) = struct.unpack_from("!Q", body, offset + 4)
            yield ReferenceTime(ssrc, ntp >> 16 & 0xFFFFFFFF)
        offset += 4 + 4 * words


def ntp_time(unix_ns: int) -> int:
    """64-bit NTP time (RFC 3550 section 4)."""
    seconds, rest_ns = divmod(unix_ns, 1_000_000_000)
    return (seconds + _NTP_EPOCH_S & 0xFFFFFFFF) << 32 | (rest_ns << 32) // 1_000_000_000


def round_trip_s(report: ReceiverReport, unix_ns: int) -> float | None:
    """Round trip from a report that answers one of our SRs (RFC 3550 section 6.4.1)."""
    if not report.last_sr:
        return None
    now = ntp_time(unix_ns) >> 16 & 0xFFFFFFFF
    units = now - report.last_sr - report.delay_since_last_sr & 0xFFFFFFFF
    return None if units >= 1 << 31 else units / 65536


def encode_sender_report(
    ssrc: int, unix_ns: int, rtp_time: int, packets: int, payload_bytes: int, cname: str
) -> bytes:
    """SR and SDES CNAME in one compound packet (RFC 3550 sections 6.4.1 and 6.5)."""
    report = struct.pack(
        "!BBHIQIII",
        0x80, SR, 6, ssrc, ntp_time(unix_ns),
        rtp_time & 0xFFFFFFFF, packets & 0xFFFFFFFF, payload_bytes & 0xFFFFFFFF,
    )  # fmt: skip
    name = cname.encode()
    chunk = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\0"
    chunk += bytes(-len(chunk) % 4)
    return report + struct.pack("!BBH", 0x81, SDES, len(chunk) // 4) + chunk


def encode_dlrr(ssrc: int, reference: ReferenceTime, waited_ns: int) -> bytes:
    """DLRR (RFC 3611 section 4.5): the answer to a receiver's reference time, which has waited so long here.

    What it is not told of the wait, a viewer takes for the round trip, and asks for lost packets less often.
    """
    return struct.pack(
        "!BBHIBBHIII",
        0x80, XR, 5, ssrc, 5, 0, 3, reference.ssrc, reference.ntp_middle,
        waited_ns * 65536 // 1_000_000_000 & 0xFFFFFFFF,
    )  # fmt: skip


def encode_bye(ssrc: int) -> bytes:
    """BYE (RFC 3550 section 6.6)."""
    return struct.pack("!BBHI", 0x81, BYE, 1, ssrc)
