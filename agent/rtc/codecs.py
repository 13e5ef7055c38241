"""How each medium of an offer is sent and taken: direction, codec, header extensions. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

from agent.errors import NegotiationError
from agent.model.media import Medium
from agent.rtc import ccfb
from agent.rtc.sdp import Codec, Media

ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_EXTENSIONS: Mapping[Medium, tuple[str, ...]] = {
    "video": (ABS_SEND_TIME, TRANSPORT_CC, PLAYOUT_DELAY, MID),
    "audio": (ABS_SEND_TIME, TRANSPORT_CC, MID),
}
_MAX_ONE_BYTE_ID = 14  # RFC 8285 section 4.2
_MAX_MID_BYTES = 16  # RFC 8285 section 4.2; a longer mid is legal, and goes without the extension
_EXTMAP = re.compile(r"(?P<id>\d{1,5})(/(recvonly|sendrecv))? +(?P<uri>\S+)( .*)?", re.ASCII)
"""RFC 8285 section 8: with other directions it is not for what we send."""

_FEEDBACK: Mapping[Medium, tuple[str, ...]] = {
    "video": ("ccm fir", "nack", "nack pli", "transport-cc"),
    "audio": ("transport-cc",),
}
_OTHER_VIDEO = ("vp8", "vp9", "av1", "h265")
_OPUS = "opus/48000/2"  # RFC 7587 section 7: whatever the sound is, always this

# Decoders that take constrained baseline, the best fit first: main and high contain it.
_PROFILE_RANK = {
    H264Profile.PROFILE_CONSTRAINED_BASELINE: 0,
    H264Profile.PROFILE_BASELINE: 1,
    H264Profile.PROFILE_MAIN: 2,
    H264Profile.PROFILE_CONSTRAINED_HIGH: 3,
    H264Profile.PROFILE_HIGH: 4,
}

Direction = Literal["sendonly", "recvonly", "sendrecv"]
Directions = Mapping[Medium, Direction]
"""What the device does with each medium that it serves."""


@dataclass(frozen=True, slots=True)
class RtpMedia:
    """One section's RTP, as both ends have it."""

    medium: Medium
    mid: str
    direction: Direction
    """Ours."""
    payload_type: int
    codec: str
    """As in `H264/90000`."""
    parameters: str
    """Of `a=fmtp`; empty where there are none."""
    feedback: tuple[str, ...]
    extensions: dict[str, int]
    """Header extension URI to id (RFC 8285), only those that we write."""
    rtx_payload_type: int | None = None
    fec_payload_type: int | None = None
    """Of flexfec-03."""

    @property
    def has_ccfb(self) -> bool:
        """Whether the viewer reports by source (RFC 8888), and not by transport-wide numbers."""
        return ccfb.FEEDBACK in self.feedback

    @property
    def clock_hz(self) -> int:
        """Of RTP times."""
        return int(self.codec.split("/")[1])

    @property
    def is_sent(self) -> bool:
        """By us."""
        return self.direction != "recvonly"

    @property
    def is_taken(self) -> bool:
        """By us."""
        return self.direction != "sendonly"


def answered(offered: str, ours: Direction) -> Direction | None:
    """Our direction where the offer says this one (RFC 3264 section 6.1); None where nothing would flow."""
    is_sent = ours != "recvonly" and offered in ("recvonly", "sendrecv")
    is_taken = ours != "sendonly" and offered in ("sendonly", "sendrecv")
    if is_sent and is_taken:
        return "sendrecv"
    return "sendonly" if is_sent else "recvonly" if is_taken else None


def with_ccfb(media: RtpMedia) -> RtpMedia:
    """The same with reports by source: one transport has one kind of feedback (RFC 8888 section 6).

    Transport-wide numbers then stay with us, as libwebrtc's own answer has it.
    """
    feedback = tuple(one for one in media.feedback if one != "transport-cc")
    extensions = {uri: number for uri, number in media.extensions.items() if uri != TRANSPORT_CC}
    return replace(media, feedback=(*feedback, ccfb.FEEDBACK), extensions=extensions)


def offers_ccfb(media: Media, payload_type: int) -> bool:
    """Whether the viewer offers to report by source on this codec."""
    codecs = media.codecs()
    return any(codec.payload_type == payload_type and ccfb.FEEDBACK in codec.feedback for codec in codecs)


def choose_video(media: Media) -> RtpMedia:
    """H.264, which is only sent. Raises NegotiationError: `no-h264`."""
    codecs = media.codecs()
    ranked = sorted((rank, at) for at, codec in enumerate(codecs) if (rank := _h264_rank(codec)) is not None)
    if not ranked:
        h264 = any(codec.name == "h264" for codec in codecs)
        names = sorted({codec.name.upper() for codec in codecs if codec.name in _OTHER_VIDEO})
        what = "H.264 with packetization-mode 1 and a profile" if h264 else "H.264"
        besides = f" but {', '.join(names)}" if names and not h264 else ""
        raise NegotiationError(
            "no-h264", f"the viewer offers no {what}{besides}: use a browser that plays H.264"
        )
    codec = codecs[ranked[0][1]]
    number, profile = codec.payload_type, codec.parameters["profile-level-id"].lower()
    rtx = (c.payload_type for c in codecs if c.name == "rtx" and c.parameters.get("apt") == str(number))
    fec = (c.payload_type for c in codecs if c.name == "flexfec-03")
    return RtpMedia(
        medium="video",
        mid=media.mid,
        direction="sendonly",
        payload_type=number,
        codec="H264/90000",
        parameters=f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}",
        feedback=_feedback("video", codec),
        extensions=_extensions("video", media),
        rtx_payload_type=next(rtx, None),
        fec_payload_type=next(fec, None),
    )


def choose_audio(media: Media, direction: Direction) -> RtpMedia | None:
    """Opus; None where the section has none."""
    numbers = [int(number) for number, codec in media.rtpmaps().items() if codec.lower() == _OPUS]
    codec = next((codec for codec in media.codecs() if codec.payload_type in numbers), None)
    if codec is None:
        return None
    return RtpMedia(
        medium="audio",
        mid=media.mid,
        direction=direction,
        payload_type=codec.payload_type,
        codec=_OPUS,
        parameters="",
        feedback=_feedback("audio", codec),
        extensions=_extensions("audio", media),
    )


def _h264_rank(codec: Codec) -> int | None:
    if codec.name != "h264" or codec.parameters.get("packetization-mode") != "1":
        return None
    try:
        # Without the parameter the profile is baseline (RFC 6184 section 8.1), which we need stated.
        profile, _ = parse_h264_profile_level_id(codec.parameters.get("profile-level-id", ""))
    except ValueError:
        return None
    return _PROFILE_RANK.get(profile)


def _feedback(medium: Medium, codec: Codec) -> tuple[str, ...]:
    return tuple(one for one in _FEEDBACK[medium] if one in codec.feedback)


def _extensions(medium: Medium, media: Media) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in media.inherited("extmap"):
        said = _EXTMAP.fullmatch(value)
        if said is None or said["uri"] not in _EXTENSIONS[medium]:
            continue
        if not 1 <= int(said["id"]) <= _MAX_ONE_BYTE_ID:
            continue
        if said["uri"] != MID or len(media.mid) <= _MAX_MID_BYTES:
            found[said["uri"]] = int(said["id"])
    return found
