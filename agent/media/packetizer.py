"""RTP payloads for H.264 (RFC 6184), packetization-mode 1: single NAL units, STAP-A and FU-A."""

import struct
from collections.abc import Iterable

from agent.model.h264 import AUD, FILLER, nal_type, split_nals
from agent.model.media import RtpFrame, Unit

MAX_PAYLOAD_BYTES = 1200
"""Leaves room for RTP header, extensions, SRTP tag, TURN and IPv6 within 1280 bytes."""
CLOCK_RATE_HZ = 90_000

_STAP_A = 24  # RFC 6184 section 5.7.1
_FU_A = 28  # RFC 6184 section 5.8
_FU_START, _FU_END = 0x80, 0x40
_F_NRI = 0xE0
_USELESS = frozenset((AUD, FILLER))  # a receiver needs neither


def packetize(nals: Iterable[bytes], max_bytes: int = MAX_PAYLOAD_BYTES) -> list[bytes]:
    """Payloads of at most `max_bytes` for the NAL units of one access unit, in decoding order."""
    payloads: list[bytes] = []
    small: list[bytes] = []  # NAL units that wait to share one STAP-A
    small_bytes = 1

    def flush() -> None:
        nonlocal small_bytes
        if small:
            payloads.append(small[0] if len(small) == 1 else _aggregate(small))
            small.clear()
            small_bytes = 1

    for nal in nals:
        if small_bytes + 2 + len(nal) > max_bytes:
            flush()
        if len(nal) > max_bytes:
            payloads.extend(_fragment(nal, max_bytes))
        else:
            small.append(nal)
            small_bytes += 2 + len(nal)
    flush()
    return payloads


def to_rtp_frame(unit: Unit) -> RtpFrame | None:
    """Cut one access unit, once for all viewers; None where it holds nothing to send."""
    payloads = tuple(packetize(nal for nal in split_nals(unit.data) if nal_type(nal) not in _USELESS))
    if not payloads:
        return None
    return RtpFrame(
        payloads=payloads,
        rtp_time=unit.capture_us * CLOCK_RATE_HZ // 1_000_000,
        is_keyframe=unit.is_keyframe,
        size_bytes=sum(map(len, payloads)),
    )


def _aggregate(nals: list[bytes]) -> bytes:
    # F is the OR of all F bits and NRI the highest of all (RFC 6184 section 5.7).
    forbidden = max(nal[0] & 0x80 for nal in nals)
    nri = max(nal[0] & 0x60 for nal in nals)
    parts = [bytes((forbidden | nri | _STAP_A,))]
    for nal in nals:
        parts += (struct.pack("!H", len(nal)), nal)
    return b"".join(parts)


def _fragment(nal: bytes, max_bytes: int) -> Iterable[bytes]:
    indicator = nal[0] & _F_NRI | _FU_A
    kind = nal[0] & 0x1F
    step = max_bytes - 2
    count = -(-(len(nal) - 1) // step)
    step = -(-(len(nal) - 1) // count)  # fragments of equal size: no tiny last packet
    for position in range(1, len(nal), step):
        header = kind
        if position == 1:
            header |= _FU_START
        if position + step >= len(nal):
            header |= _FU_END
        yield bytes((indicator, header)) + nal[position : position + step]
