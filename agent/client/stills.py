"""`pinhole snapshot`: one picture of a camera, as a file."""

import base64
import binascii
from datetime import datetime
from pathlib import Path

from agent.client.commands import Told
from agent.errors import PinholeError

SUFFIX = ".jpg"
JPEG_MARK = b"\xff\xd8"


def has_picture(told: Told) -> bool:
    """Whether a command was answered with one."""
    return bool(told.ok and told.value and isinstance(told.value.get("jpeg"), str))


def file_name(device: str, told: Told) -> Path:
    """Named by camera and time, in the folder where one is."""
    taken_at = (told.value or {}).get("taken_at")
    at = datetime.now().astimezone()
    if isinstance(taken_at, int | float) and 0 <= taken_at < 2**33:
        at = datetime.fromtimestamp(taken_at).astimezone()
    return Path(f"{device}-{at:%Y%m%d-%H%M%S}{SUFFIX}")


def save(told: Told, file: Path) -> str:
    """Write it, and say what it is. Raises PinholeError where there is none, or it cannot be written."""
    value = told.value or {}
    text = value.get("jpeg")
    try:
        jpeg = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise PinholeError("the camera's answer holds no picture") from exc
    if not jpeg.startswith(JPEG_MARK):
        raise PinholeError("the camera's answer holds no picture")
    try:
        file.write_bytes(jpeg)
    except OSError as exc:
        raise PinholeError(f"{file}: {exc.strerror}") from exc
    size = f", {value['width_px']}x{value['height_px']}" if "width_px" in value else ""
    return f"{file}: {len(jpeg) / 1000:.0f} kB{size}, taken {_time(value.get('taken_at'))}"


def _time(unix_s: object) -> str:
    if not isinstance(unix_s, int | float) or not 0 <= unix_s < 2**33:
        return "at an unknown time"
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
