"""Forward error correction as Chromium takes it: flexible FEC, version 03 of its draft (now RFC 8627). Pure.

draft-ietf-payload-flexible-fec-scheme-03 section 4.2: an XOR over some of the media's packets, as they were
before encryption, in a stream with an SSRC of its own. Media packets stay as they are, so a viewer that
cannot use it loses nothing.
"""

import struct
from collections.abc import Sequence

MAX_SPAN = 109
"""The mask's bits: packets after the first one that one repair packet may protect."""

_SSRC_COUNT_ONE = 1 << 24
_PARTS = (15, 31, 63)  # bits of mask in 16, 32 and 64 bits, each led by K: no more follow


def encode(packets: Sequence[bytes], first_seq: int, ssrc: int, part: int, parts: int) -> bytes:
    """The payload that repairs any one of each `parts`-th of these RTP packets, from number `part` on.

    `packets` are consecutive, at most 109, the first with the sequence number `first_seq`.
    """
    chosen = range(part, len(packets), parts)
    head = length = stamps = body = 0
    longest = max(len(packets[index]) for index in chosen) - 12
    for index in chosen:
        packet = packets[index]
        head ^= int.from_bytes(packet[:2], "big")
        length ^= len(packet) - 12
        stamps ^= int.from_bytes(packet[4:8], "big")
        body ^= int.from_bytes(packet[12:].ljust(longest, b"\0"), "big")
    # R and F are 0: no retransmission, and a mask that says which packets; they stand where the version was.
    fixed = struct.pack("!HHIIIH", head & 0x3FFF, length, stamps, _SSRC_COUNT_ONE, ssrc, first_seq)
    return fixed + _mask(chosen) + body.to_bytes(longest, "big")


def _mask(chosen: Sequence[int]) -> bytes:
    """Section 4.2.2: 2, 6 or 14 bytes, bit 0 for the first packet."""
    encoded, start, last = b"", 0, chosen[-1]
    for bits in _PARTS:
        value = sum(1 << (bits - 1 - (index - start)) for index in chosen if start <= index < start + bits)
        is_end = last < start + bits
        encoded += (value | is_end << bits).to_bytes((bits + 1) // 8, "big")
        if is_end:
            break
        start += bits
    return encoded
