"""What we need of V4L2's ioctls: which devices capture, in which formats, and an encoder's controls.

Structures and numbers are those of `linux/videodev2.h` and `linux/v4l2-controls.h`; parsing is pure.
"""

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

VIDIOC_QUERYCAP = 0x80685600
VIDIOC_ENUM_FMT = 0xC0405602
VIDIOC_G_CTRL = 0xC008561B
VIDIOC_S_CTRL = 0xC008561C
VIDIOC_QUERYCTRL = 0xC0445624

CID_BITRATE = 0x009909CF
"""V4L2_CID_MPEG_VIDEO_BITRATE, bits a second."""
CID_FORCE_KEY_FRAME = 0x009909E5
"""V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, a button."""
CID_WIDE_DYNAMIC_RANGE = 0x009A0915
"""V4L2_CID_WIDE_DYNAMIC_RANGE, of a sensor."""

_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FMTDESC = struct.Struct("=III32s4sI12x")
_QUERYCTRL = struct.Struct("=II32siiiiI8x")
_CONTROL = struct.Struct("=Ii")

_CAP_VIDEO_CAPTURE = 0x00000001
_CAP_STREAMING = 0x04000000
_CAP_DEVICE_CAPS = 0x80000000
_CTRL_DISABLED = 0x0001
_BUF_TYPE_VIDEO_CAPTURE = 1
MAX_FORMATS = 64
"""A driver that never ends its list must not hang us."""


@dataclass(frozen=True, slots=True)
class Device:
    """A video device as its driver describes it."""

    path: str
    card: str
    bus: str
    captures: bool
    """It delivers pictures by streaming, in one plane."""
    formats: tuple[str, ...] = ()
    """FourCCs, the driver's first choice first."""
    controls: frozenset[int] = frozenset()
    """Of `CID_BITRATE` and `CID_FORCE_KEY_FRAME`, those that the device has."""

    @property
    def is_usb(self) -> bool:
        return self.bus.startswith("usb-")


def parse_capability(path: str, data: bytes) -> Device:
    """`struct v4l2_capability` (104 bytes)."""
    _driver, card, bus, _version, capabilities, device_caps = _CAPABILITY.unpack(data)
    own = device_caps if capabilities & _CAP_DEVICE_CAPS else capabilities
    needed = _CAP_VIDEO_CAPTURE | _CAP_STREAMING
    return Device(path, _text(card), _text(bus), own & needed == needed)


def parse_fourcc(data: bytes) -> str:
    """The pixel format in a `struct v4l2_fmtdesc` (64 bytes)."""
    return _text(_FMTDESC.unpack(data)[4])


def parse_control_enabled(data: bytes) -> bool:
    """Whether a `struct v4l2_queryctrl` (68 bytes) describes a control that can be set."""
    return not _QUERYCTRL.unpack(data)[7] & _CTRL_DISABLED


def probe(path: str) -> Device:
    """Ask a device. Raises OSError where it cannot be opened or is no video device."""
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        device = parse_capability(path, _ask(fd, VIDIOC_QUERYCAP, bytes(_CAPABILITY.size)))
        if not device.captures:
            return device
        controls = frozenset(cid for cid in (CID_BITRATE, CID_FORCE_KEY_FRAME) if _has_control(fd, cid))
        return Device(path, device.card, device.bus, captures=True, formats=_formats(fd), controls=controls)
    finally:
        os.close(fd)


def devices(folder: str = "/dev") -> list[Device]:
    """All video devices that can be opened and that capture, in the order of their numbers."""
    found = []
    for path in sorted(Path(folder).glob("video*"), key=lambda path: (len(path.name), path.name)):
        try:
            device = probe(str(path))
        except OSError:
            continue
        if device.captures:
            found.append(device)
    return found


def set_control(node: IO[bytes] | int, control_id: int, value: int) -> None:
    """VIDIOC_S_CTRL. Raises OSError."""
    fcntl.ioctl(node, VIDIOC_S_CTRL, _CONTROL.pack(control_id, value))


def get_control(node: IO[bytes], control_id: int) -> int | None:
    """VIDIOC_G_CTRL; None where there is no such control. Raises OSError."""
    if not _has_control(node.fileno(), control_id):
        return None
    return int(_CONTROL.unpack(_ask(node.fileno(), VIDIOC_G_CTRL, _CONTROL.pack(control_id, 0)))[1])


def _formats(fd: int) -> tuple[str, ...]:
    found = []
    for index in range(MAX_FORMATS):
        request = _FMTDESC.pack(index, _BUF_TYPE_VIDEO_CAPTURE, 0, b"", b"", 0)
        try:
            found.append(parse_fourcc(_ask(fd, VIDIOC_ENUM_FMT, request)))
        except OSError:  # EINVAL: the list is at its end
            break
    return tuple(found)


def _has_control(fd: int, control_id: int) -> bool:
    request = _QUERYCTRL.pack(control_id, 0, b"", 0, 0, 0, 0, 0)
    try:
        return parse_control_enabled(_ask(fd, VIDIOC_QUERYCTRL, request))
    except OSError:
        return False


def _ask(fd: int, request: int, argument: bytes) -> bytes:
    answer = bytearray(argument)
    fcntl.ioctl(fd, request, answer)
    return bytes(answer)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("ascii", "replace").strip()
