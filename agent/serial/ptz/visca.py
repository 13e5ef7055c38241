"""VISCA: frames that end with FF, and what a camera answers. Pure."""

from dataclasses import dataclass
from typing import Literal

from agent.serial.ptz.motion import Velocity, step

BAUD = 9600
"""Where nobody says otherwise."""
END = 0xFF
MAX_FRAME_BYTES = 16
"""The longest that VISCA knows, with its end."""
MAX_PAN, MAX_TILT, MAX_ZOOM = 0x18, 0x14, 7
MAX_PRESET = 127
"""Newer ones take more; at 255 a frame would end within."""
MAX_UNITS = 0x7FFF
"""A position is a signed number of 16 bits."""
ZOOM_TELE = 0x4000
"""The lens's way; digital zoom is beyond it."""

ADDRESS_SET = bytes.fromhex("883001FF")
"""Broadcast: the cameras of a chain number themselves."""
IF_CLEAR = bytes.fromhex("88010001FF")
"""Broadcast: they forget what waits in their two sockets."""


@dataclass(frozen=True, slots=True)
class Ack:
    """It is taken, and runs in a socket."""

    socket: int


@dataclass(frozen=True, slots=True)
class Done:
    """What ran in a socket is done."""

    socket: int


@dataclass(frozen=True, slots=True)
class Answer:
    """To an inquiry; which one only the order tells."""

    data: bytes


Fault = Literal["syntax", "full", "cancelled", "no-socket", "not-now", "unknown"]
_FAULTS: dict[int, Fault] = {
    0x02: "syntax", 0x03: "full", 0x04: "cancelled", 0x05: "no-socket", 0x41: "not-now",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """What was sent last is not done, or what ran in a socket no longer is."""

    socket: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Renumber:
    """A camera came to the chain, or left it: addresses are to be set anew."""


Reply = Ack | Done | Answer | Refused | Renumber


def _command(address: int, body: bytes) -> bytes:
    return bytes((0x80 | address, *body, END))


def _nibbles(value: int) -> bytes:
    return bytes(value >> shift & 0xF for shift in (12, 8, 4, 0))


def drive(address: int, velocity: Velocity) -> bytes:
    """Pan and tilt; with none of both it stops them."""
    pan = 3 if not velocity.pan else 1 if velocity.pan < 0 else 2
    tilt = 3 if not velocity.tilt else 1 if velocity.tilt > 0 else 2
    speeds = step(velocity.pan, MAX_PAN), step(velocity.tilt, MAX_TILT)
    # A speed of 0 is no speed that every camera takes, and it says nothing where the axis stands.
    return _command(address, bytes((0x01, 0x06, 0x01, max(1, speeds[0]), max(1, speeds[1]), pan, tilt)))


def zoom(address: int, velocity: Velocity) -> bytes:
    """Zoom; with none it stops."""
    speed = max(0, step(velocity.zoom, MAX_ZOOM + 1) - 1)
    way = 0 if not velocity.zoom else (0x20 if velocity.zoom > 0 else 0x30) | speed
    return _command(address, bytes((0x01, 0x04, 0x07, way)))


def turn_to(address: int, pan_units: int, tilt_units: int) -> bytes:
    """To an absolute position, at full speed, by the camera's own units."""
    pan, tilt = (max(-MAX_UNITS, min(MAX_UNITS, units)) & 0xFFFF for units in (pan_units, tilt_units))
    where = _nibbles(pan) + _nibbles(tilt)
    return _command(address, bytes((0x01, 0x06, 0x02, MAX_PAN, MAX_TILT)) + where)


def zoom_to(address: int, share: float) -> bytes:
    """To a share of the lens's way, 0 to 1."""
    return _command(address, bytes((0x01, 0x04, 0x47)) + _nibbles(round(share * ZOOM_TELE)))


def home(address: int) -> bytes:
    """To the camera's own home."""
    return _command(address, bytes((0x01, 0x06, 0x04)))


def preset(address: int, what: Literal[0, 1, 2], number: int) -> bytes:
    """0 forgets, 1 keeps, 2 goes there."""
    return _command(address, bytes((0x01, 0x04, 0x3F, what, number)))


def cancel(address: int, socket: int) -> bytes:
    """End what runs in a socket."""
    return _command(address, bytes((0x20 | socket,)))


def ask_position(address: int) -> bytes:
    """Where pan and tilt stand."""
    return _command(address, bytes((0x09, 0x06, 0x12)))


def ask_zoom(address: int) -> bytes:
    """Where the lens stands."""
    return _command(address, bytes((0x09, 0x04, 0x47)))


def parse_units(data: bytes) -> tuple[int, ...]:
    """Signed numbers of four nibbles each; empty where it is none."""
    if not data or len(data) % 4 or any(byte > 0xF for byte in data):
        return ()
    values = (
        data[at] << 12 | data[at + 1] << 8 | data[at + 2] << 4 | data[at + 3] for at in range(0, len(data), 4)
    )
    return tuple(value - 0x10000 if value & 0x8000 else value for value in values)


def parse(frame: bytes) -> Reply | None:
    """One frame with its end; None where it is no answer, as what an adapter hears of us is not."""
    if len(frame) < 3 or frame[0] == 0x88 or not 0x90 <= frame[0] <= 0xF0 or frame[-1] != END:
        return None
    kind, socket, rest = frame[1] & 0xF0, frame[1] & 0x0F, frame[2:-1]
    if frame[1] == 0x38 and not rest:
        return Renumber()
    match kind:
        case 0x40 if not rest:
            return Ack(socket)
        case 0x50:
            return Answer(rest) if rest else Done(socket)
        case 0x60 if len(rest) == 1:
            return Refused(socket, _FAULTS.get(rest[0], "unknown"))
    return None


class Decoder:
    """Answers out of a noisy stream. FF stands at the end alone: what is lost costs one frame."""

    def __init__(self) -> None:
        self._kept = b""
        self.skipped = 0
        """Frames of no answer."""

    def feed(self, data: bytes) -> list[Reply]:
        """The answers that are whole by now."""
        *frames, self._kept = (self._kept + data).split(b"\xff")
        self._kept = self._kept[-MAX_FRAME_BYTES:]
        found = []
        for frame in frames:
            reply = parse(frame + b"\xff") if len(frame) < MAX_FRAME_BYTES else None
            if reply is None:
                self.skipped += 1
            else:
                found.append(reply)
        return found
