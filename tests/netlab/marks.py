"""CE on an Ethernet frame, as a router sets it (RFC 3168 section 5)."""

import struct

_IPV4, _IPV6 = 0x0800, 0x86DD
_IP = 14
"""Where the IP header begins."""
_CHECKSUM = _IP + 10
ECT_1, CE = 1, 3


def set_ce(frame: bytes) -> bytes | None:
    """The frame with CE; None where it does not carry ECT(1)."""
    if len(frame) < _IP + 20:
        return None
    (kind,) = struct.unpack_from("!H", frame, 12)
    marked = bytearray(frame)
    if kind == _IPV4 and frame[_IP + 1] & 3 == ECT_1:
        marked[_IP + 1] |= CE
        (checksum,) = struct.unpack_from("!H", frame, _CHECKSUM)
        # RFC 1624: of the complement, what the word gains.
        total = (~checksum & 0xFFFF) + (CE - ECT_1)
        struct.pack_into("!H", marked, _CHECKSUM, ~(total + (total >> 16)) & 0xFFFF)
        return bytes(marked)
    if kind == _IPV6 and frame[_IP + 1] >> 4 & 3 == ECT_1:
        marked[_IP + 1] |= CE << 4
        return bytes(marked)
    return None
