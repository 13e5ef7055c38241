"""Media as it flows from the camera to the viewers, and the demand that flows back."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, get_args

StreamName = Literal["main", "preview"]
STREAMS: tuple[StreamName, ...] = get_args(StreamName)
"""The full picture, and a small one for grids and for links that cannot carry the full one."""


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """One stream of a camera from a start to its stop, and what its encoder can do meanwhile."""

    width_px: int
    height_px: int
    fps: float
    min_bitrate_bps: int = 100_000
    """The least that the encoder may be set to, at its full frame rate."""
    can_skip: bool = True
    """Whether pictures can be left out before the encoder."""
    can_rescale: bool = True
    """Whether the size changes while it runs."""


Medium = Literal["video", "audio"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What flows: one encoded picture, or one packet of sound."""

    data: bytes
    """A picture is an access unit in H.264 Annex B; SPS and PPS stand before each IDR."""
    capture_us: int
    """By `clock.now_us`, when it was taken."""
    epoch: int
    """Counts up by one for each start of the encoder; references never cross it."""
    is_keyframe: bool
    """Whether it needs none of those before it; sound never does."""
    medium: Medium = "video"


@dataclass(frozen=True, slots=True)
class RtpFrame:
    """One unit cut into RTP payloads, the same for all viewers."""

    payloads: tuple[bytes, ...]
    """Of at most 1200 bytes: of a picture as in RFC 6184, of sound one Opus packet (RFC 7587)."""
    rtp_time: int
    """90 kHz for pictures, 48 kHz for sound; unwrapped, without a viewer's random offset."""
    is_keyframe: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """What a viewer sent, and SRTP found to be its own; nothing else is known of it."""

    seq: int
    """Modulo 2**16."""
    rtp_time: int
    """Modulo 2**32."""
    payload: bytes


class Need(Enum):
    """Why a keyframe is asked for. The camera limits how many it forces, by this."""

    START = auto()
    """Somebody has no picture yet, or the camera itself lost some."""
    REPAIR = auto()
    """Somebody lost a picture and cannot go on; asked again until a keyframe comes."""
    SLOW_REPAIR = auto()
    """The same of those alone whose link cannot carry the stream: each keyframe costs all the others."""


@dataclass(frozen=True, slots=True)
class EncoderDemand:
    """What the viewers of one stream together want from its encoder."""

    bitrate_bps: int
    """Of what comes out, whatever the two shares below."""
    keyframe: bool = False
    """True asks once, for the next picture to be an IDR."""
    fps_share: float = 1.0
    """Of the stream's full frame rate."""
    scale: float = 1.0
    """Of each side of the stream's full picture."""
    is_active: bool = True
    """False: nobody watches, and nothing is encoded."""
    is_held: bool = False
    """True: the next pictures are left out, for the last one has not left yet."""
