"""Media as it flows from the camera to the viewers, and the demand that flows back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What a camera delivers from one start to its stop."""

    width_px: int
    height_px: int
    fps: float
    profile_level_id: str = "42e01f"
    """H.264 profile-level-id as in RFC 6184 section 8.1, six lower-case hex digits."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded picture."""

    data: bytes
    """H.264 Annex B; SPS and PPS stand before each IDR."""
    capture_us: int
    """`time.monotonic_ns() // 1000` when the picture was taken."""
    seq: int
    """Counts up by one for each picture of an epoch; a gap is a picture that was lost."""
    epoch: int
    """Counts up by one for each start of the encoder; references never cross it."""
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class RtpFrame:
    """One picture cut into RTP payloads, the same for all viewers."""

    payloads: tuple[bytes, ...]
    """RFC 6184 payloads of at most 1200 bytes; the last one carries the marker."""
    rtp_time: int
    """90 kHz, unwrapped, without a viewer's random offset."""
    seq: int
    epoch: int
    is_keyframe: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EncoderDemand:
    """What the viewers together want from the encoder."""

    bitrate_bps: int
    keyframe: bool = False
    """True asks once, for the next picture to be an IDR."""
