"""Stills: one picture as JPEG, and the commands that ask for it."""

import base64
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, with_config

from agent.model.ids import Id
from agent.model.signal import STRICT, UnixTime

StillSize = Literal["icon", "thumbnail", "small", "full"]

MAX_SMALL_BYTES, MAX_THUMBNAIL_BYTES, MAX_ICON_BYTES = 40_000, 20_000, 6_000
"""In base64 a small one leaves a message of 64 KiB 10 KiB for what else is in it."""
SMALL_WIDTH_PX, THUMBNAIL_WIDTH_PX, ICON_WIDTH_PX = 640, 320, 160

Jpeg = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=54_000)]
"""Base64 of at most `MAX_SMALL_BYTES`."""
Pixels = Annotated[int, Field(ge=1, le=16384)]


@dataclass(frozen=True, slots=True)
class Still:
    """One picture of a camera."""

    jpeg: bytes
    taken_at: float
    """Unix time, by the device's clock."""
    width_px: int
    height_px: int


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Snapshot:
    """How large a still."""

    size: Literal["small"] = "small"
    """At most 640 pixels wide and 40 kB."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Picture:
    """A still as the result of a command."""

    jpeg: Jpeg
    taken_at: UnixTime
    width_px: Pixels
    height_px: Pixels


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ThumbnailOf:
    """Which event's picture."""

    event: Id


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The picture of an event, or of a preset."""

    jpeg: Jpeg
    taken_at: UnixTime


def encode_jpeg_text(jpeg: bytes) -> str:
    """As a message carries it."""
    return base64.b64encode(jpeg).decode()
