"""VISCA over IP: each frame in a UDP datagram, behind eight bytes of type, length and number. Pure."""

import struct
from dataclasses import dataclass

PORT = 52381
COMMAND, INQUIRY, REPLY, CONTROL, CONTROL_REPLY = 0x0100, 0x0110, 0x0111, 0x0200, 0x0201
RESET = b"\x01"
"""As a control: numbers begin anew. As the answer to one: it is done."""
OUT_OF_ORDER = b"\x0f\x01"
"""As a control reply: the number was not the next."""
MAX_PAYLOAD_BYTES = 16
UNHEARD = 8
"""So many frames without a word of the camera's: it may have lost count, as after a power cut."""
_HEADER = struct.Struct("!HHI")


@dataclass(frozen=True, slots=True)
class Datagram:
    """One of either way."""

    kind: int
    number: int
    payload: bytes


def encode(datagram: Datagram) -> bytes:
    """As it goes on the wire."""
    return _HEADER.pack(datagram.kind, len(datagram.payload), datagram.number) + datagram.payload


def parse(data: bytes) -> Datagram | None:
    """One datagram; None where it is none of the protocol."""
    if len(data) < _HEADER.size:
        return None
    kind, length, number = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    is_known = kind in (COMMAND, INQUIRY, REPLY, CONTROL, CONTROL_REPLY)
    if not is_known or length != len(payload) or not 0 < length <= MAX_PAYLOAD_BYTES:
        return None
    return Datagram(kind, number, payload)


class Numbering:
    """Wraps our frames and unwraps the camera's; begins anew whenever the camera has lost count."""

    def __init__(self) -> None:
        self._number = 0
        self._is_reset = False
        self._unheard = 0

    def begin(self) -> None:
        """The next frame goes behind a reset."""
        self._is_reset, self._unheard = False, 0

    def wrap(self, frame: bytes) -> list[bytes]:
        """The datagrams for one frame, in order."""
        made = []
        self._unheard += 1
        if self._unheard > UNHEARD:
            self.begin()
        if not self._is_reset:
            self._is_reset, self._number = True, 0
            made.append(encode(Datagram(CONTROL, 0, RESET)))
        self._number = self._number + 1 & 0xFFFFFFFF
        kind = INQUIRY if frame[1:2] == b"\x09" else COMMAND
        return [*made, encode(Datagram(kind, self._number, frame))]

    def unwrap(self, data: bytes) -> bytes:
        """The frame that a datagram holds; empty for one that holds none."""
        datagram = parse(data)
        if datagram is None:
            return b""
        self._unheard = 0
        if datagram.kind == CONTROL_REPLY and datagram.payload == OUT_OF_ORDER:
            self.begin()
        return datagram.payload if datagram.kind == REPLY else b""
