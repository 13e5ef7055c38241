"""Pelco-D and Pelco-P: frames of seven and eight bytes, which most heads never answer. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor

from agent.serial.ptz.motion import Velocity, step

SYNC = 0xFF
STX, ETX = 0xA0, 0xAF
D_BYTES, P_BYTES = 7, 8
D_BAUD, P_BAUD = 2400, 4800
"""Where nobody says otherwise."""
RIGHT, LEFT, UP, DOWN, TELE, WIDE = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
SET_PRESET, CLEAR_PRESET, GO_PRESET = 0x03, 0x05, 0x07
PAN_TO, TILT_TO = 0x4B, 0x4D
ASK_PAN, ASK_TILT = 0x51, 0x53
PAN_IS, TILT_IS = 0x59, 0x5B
MAX_SPEED = 0x3F
"""0x40 is turbo, of some heads and of pan alone."""
MAX_PRESET = 255
TURN_HUNDREDTHS = 36000

Encode = Callable[[int, "Words"], bytes]
"""`encode(address, words)`."""


@dataclass(frozen=True, slots=True)
class Words:
    """The four bytes that both protocols have, between address and check."""

    command_1: int = 0
    command_2: int = 0
    data_1: int = 0
    data_2: int = 0


STOP = Words()


def drive(velocity: Velocity) -> Words:
    """All axes move by one frame."""
    bits = (RIGHT if velocity.pan > 0 else LEFT) if velocity.pan else 0
    bits |= (UP if velocity.tilt > 0 else DOWN) if velocity.tilt else 0
    bits |= (TELE if velocity.zoom > 0 else WIDE) if velocity.zoom else 0
    return Words(0, bits, step(velocity.pan, MAX_SPEED), step(velocity.tilt, MAX_SPEED))


def preset(command: int, number: int) -> Words:
    """One of SET_PRESET, CLEAR_PRESET, GO_PRESET."""
    return Words(0, command, 0, number)


def turn_to(command: int, angle_deg: float) -> Words:
    """PAN_TO or TILT_TO an angle, which is counted in hundredths, clockwise and below the horizon."""
    value = round(angle_deg * 100) % TURN_HUNDREDTHS
    return Words(0, command, value >> 8, value & 0xFF)


def encode_d(address: int, words: Words) -> bytes:
    """Pelco-D; `address` is 1 to 255."""
    body = bytes((address, words.command_1, words.command_2, words.data_1, words.data_2))
    return bytes((SYNC, *body, sum(body) & 0xFF))


def encode_p(address: int, words: Words) -> bytes:
    """Pelco-P; `address` is 1 to 32, and counts from 0 on the wire."""
    data = (words.command_1, words.command_2, words.data_1, words.data_2)
    body = bytes((STX, address - 1, *data, ETX))
    return bytes((*body, reduce(xor, body)))


class Decoder:
    """Pelco-D out of a noisy stream: frames whose sum is right, of one address. Keeps six bytes at most."""

    def __init__(self, address: int) -> None:
        self._address = address
        self._kept = b""
        self.skipped = 0
        """Bytes of no frame."""

    def feed(self, data: bytes) -> list[Words]:
        """The frames that are whole by now, commands too: an adapter may hear itself."""
        self._kept += data
        at, found = 0, []
        while len(self._kept) - at >= D_BYTES:
            frame = self._kept[at : at + D_BYTES]
            is_frame = frame[0] == SYNC and frame[1] == self._address and sum(frame[1:6]) & 0xFF == frame[6]
            if is_frame:
                found.append(Words(*frame[2:6]))
            else:
                self.skipped += 1
            at += D_BYTES if is_frame else 1
        self._kept = self._kept[at:]
        return found


def angle_deg(words: Words) -> float:
    """Of a PAN_IS or TILT_IS: -180 to 180, by the wire's direction."""
    angle = (words.data_1 << 8 | words.data_2) % TURN_HUNDREDTHS / 100
    return angle - 360 if angle > 180 else angle
