"""Offer and answer (RFC 9429, RFC 8829): the browser offers to receive, the device answers. Pure."""

import re
import secrets
from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.sdp import H264Profile, parse_h264_profile_level_id

from agent.errors import NegotiationError
from agent.rtc.sdp import Codec, Description, Media

ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_OUR_EXTENSIONS = (ABS_SEND_TIME, TRANSPORT_CC, PLAYOUT_DELAY, MID)
_MAX_ONE_BYTE_ID = 14  # RFC 8285 section 4.2

_OUR_FEEDBACK = ("ccm fir", "nack", "nack pli", "transport-cc")
_OTHER_VIDEO = ("vp8", "vp9", "av1", "h265")
_MAX_SECTIONS = 8
_MAX_CANDIDATES = 64
_MAX_MID_BYTES = 16  # RFC 8285 section 4.2; a longer mid is legal, and goes without the extension
_EXTMAP = re.compile(r"(?P<id>\d{1,5})(/(recvonly|sendrecv))? +(?P<uri>\S+)( .*)?", re.ASCII)
"""RFC 8285 section 8: with other directions it is not for what we send."""
_FINGERPRINT = re.compile(r"(sha-256|sha-384|sha-512) ([0-9A-F]{2}(?::[0-9A-F]{2}){31,63})", re.IGNORECASE)
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+")  # RFC 8839 section 5.4

# Decoders that take constrained baseline, the best fit first: main and high contain it.
_PROFILE_RANK = {
    H264Profile.PROFILE_CONSTRAINED_BASELINE: 0,
    H264Profile.PROFILE_BASELINE: 1,
    H264Profile.PROFILE_MAIN: 2,
    H264Profile.PROFILE_CONSTRAINED_HIGH: 3,
    H264Profile.PROFILE_HIGH: 4,
}


Use = Literal["video", "data", "carrier", "rejected"]


@dataclass(frozen=True, slots=True)
class Section:
    """One m-line of the offer, in order; the answer must repeat them all (RFC 3264 section 6)."""

    kind: str
    protocol: str
    first_format: str
    mid: str
    use: Use
    """`carrier` holds the bundle's transport and nothing else of interest."""
    rtpmap: str = ""
    """Of the first format, as in `opus/48000/2`."""


@dataclass(frozen=True, slots=True)
class Video:
    """How to send the picture."""

    mid: str
    payload_type: int
    rtx_payload_type: int | None
    fec_payload_type: int | None
    """Of flexfec-03."""
    profile_level_id: str
    feedback: tuple[str, ...]
    extensions: dict[str, int]
    """Header extension URI to id (RFC 8285), only those that we write."""


@dataclass(frozen=True, slots=True)
class DataSection:
    """The data channel's section (RFC 8841)."""

    mid: str
    sctp_port: int
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What the browser asked for, as far as we serve it."""

    sections: tuple[Section, ...]
    carrier: str
    """The mid of the section whose transport is the whole bundle's (RFC 9143 section 9)."""
    video: Video
    data: DataSection | None
    ice_ufrag: str
    ice_pwd: str
    ice_lite: bool
    dtls: RTCDtlsParameters
    is_dtls_client: bool
    """Our role: the client sends the first flight."""
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of the answer."""

    ice_ufrag: str
    ice_pwd: str
    fingerprint: str
    """SHA-256 of our certificate, as in `AB:CD:…`."""
    candidates: tuple[str, ...]
    ssrc: int
    rtx_ssrc: int
    fec_ssrc: int
    cname: str


def parse_offer(text: str) -> Offer:
    """Raises NegotiationError: `malformed-sdp`, `no-video`, `no-h264`, `no-bundle` or `no-dtls`."""
    description = Description.parse(text)
    media = description.media
    if not 0 < len(media) <= _MAX_SECTIONS:
        raise NegotiationError("malformed-sdp", f"the offer has {len(media)} media sections, not 1 to 8")
    mids = [one.mid for one in media if one.mid]
    if len(set(mids)) < len(mids):
        raise NegotiationError("malformed-sdp", "two media sections have the same mid (RFC 5888 section 4)")
    chosen = _receiving(description)
    video = _choose_video(chosen)
    bundle = next((mids for mids in description.bundles if chosen.mid in mids), None)
    if bundle is None:
        raise NegotiationError("no-bundle", "the offer does not bundle its media (RFC 9143)")
    bundled = [m for mid in bundle for m in media if m.mid == mid and _is_alive(m, bundle)]
    # The first one's transport is everybody's, and to reject it would leave the others with none (RFC 9143
    # section 7.3.3): Chromium refuses such an answer.
    carrier = next((m for m in bundled if _can_carry(m)), None)
    if carrier is None:
        raise NegotiationError("malformed-sdp", "no section of the bundle has a port and ICE credentials")
    data = next((m for m in bundled if m.is_data), None)
    uses: dict[int, Use] = {id(carrier): "carrier", id(data): "data", id(chosen): "video"}
    ufrag, pwd = _ice_credentials(carrier)
    fingerprints, setup = _dtls_parameters(carrier)
    return Offer(
        sections=tuple(_section(m, uses.get(id(m), "rejected")) for m in media),
        carrier=carrier.mid,
        video=video,
        data=_data_section(data) if data else None,
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        ice_lite=any(name == "ice-lite" for name, _ in carrier.session),
        dtls=fingerprints,
        # DTLS is done half a round trip earlier for its server, and it is we who have something to send.
        is_dtls_client=setup == "passive",
        candidates=tuple(f"candidate:{line}" for line in carrier.values("candidate")[:_MAX_CANDIDATES]),
    )


def encode_answer(offer: Offer, local: Local) -> str:
    """The answer's SDP."""
    accepted = [section.mid for section in offer.sections if section.use != "rejected"]
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(accepted),
        "a=msid-semantic: WMS pinhole",
        # Ours; unknown attributes are ignored (RFC 8866 section 5.13). With restarts, several answers may be
        # under way, and the browser could not tell the newest offer's from the others.
        f"a=x-answers:{offer.ice_ufrag}",
    ]
    for section in offer.sections:
        match section.use:
            case "video":
                lines += _video_lines(section, offer.video, local)
            case "data":
                lines += _data_lines(section)
            case "carrier":
                lines += _carrier_lines(section)
            case "rejected":
                lines += _rejected_lines(section)
                continue
        lines += _transport_lines(offer, local)
        if section.mid == offer.carrier:  # a bundle has one transport, and its candidates stand there once
            lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
    return "\r\n".join(lines) + "\r\n"


def _receiving(description: Description) -> Media:
    """The section to send the picture to: the first that wants one."""
    bundled = {mid for mids in description.bundles for mid in mids}
    videos = [m for m in description.media if m.kind == "video" and _is_alive(m, bundled)]
    chosen = next((m for m in videos if m.direction in ("recvonly", "sendrecv")), None)
    if chosen is None:
        why = f", its video is {videos[0].direction}: offer to receive (a=recvonly)" if videos else ""
        raise NegotiationError("no-video", f"the offer asks for no video{why}")
    if not chosen.mid:
        raise NegotiationError("malformed-sdp", "the video section has no valid mid")
    return chosen


def _is_alive(media: Media, bundled: Container[str]) -> bool:
    """Port 0 means rejected, but for a section that exists in its bundle alone (RFC 9143 section 6)."""
    return media.port != 0 or (media.has("bundle-only") and media.mid in bundled)


def _can_carry(media: Media) -> bool:
    is_known = media.is_data or media.kind in ("audio", "video")
    return is_known and media.port != 0 and bool(media.inherited("ice-ufrag"))


def _section(media: Media, use: Use) -> Section:
    first = media.formats[0]
    return Section(media.kind, media.protocol, first, media.mid, use, media.rtpmaps().get(first, ""))


def _choose_video(media: Media) -> Video:
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
    number = codec.payload_type
    rtx = (c.payload_type for c in codecs if c.name == "rtx" and c.parameters.get("apt") == str(number))
    fec = (c.payload_type for c in codecs if c.name == "flexfec-03")
    return Video(
        mid=media.mid,
        payload_type=number,
        rtx_payload_type=next(rtx, None),
        fec_payload_type=next(fec, None),
        profile_level_id=codec.parameters["profile-level-id"].lower(),
        feedback=tuple(one for one in _OUR_FEEDBACK if one in codec.feedback),
        extensions=_extensions(media),
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


def _extensions(media: Media) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in media.inherited("extmap"):
        said = _EXTMAP.fullmatch(value)
        if said is None or said["uri"] not in _OUR_EXTENSIONS or not 1 <= int(said["id"]) <= _MAX_ONE_BYTE_ID:
            continue
        if said["uri"] != MID or len(media.mid) <= _MAX_MID_BYTES:
            found[said["uri"]] = int(said["id"])
    return found


def _ice_credentials(media: Media) -> tuple[str, str]:
    ufrag, pwd = (next(iter(media.inherited(name)), "") for name in ("ice-ufrag", "ice-pwd"))
    valid = _ICE_CHARS.fullmatch(ufrag) and _ICE_CHARS.fullmatch(pwd)
    if not valid or not 4 <= len(ufrag) <= 256 or not 22 <= len(pwd) <= 256:
        raise NegotiationError(
            "malformed-sdp", f"ice-ufrag {ufrag!r:.40} or its ice-pwd breaks RFC 8839 section 5.4"
        )
    return ufrag, pwd


def _dtls_parameters(media: Media) -> tuple[RTCDtlsParameters, str]:
    said = media.inherited("fingerprint")
    fingerprints = [found for value in said if (found := _FINGERPRINT.fullmatch(value))]
    if not fingerprints:
        what = f"one by {said[0].partition(' ')[0]!r:.20}" if said else "none"
        raise NegotiationError("no-dtls", f"the offer needs a sha-256 fingerprint, and has {what}")
    setup = next(iter(media.inherited("setup")), "")
    if setup not in ("actpass", "active", "passive"):
        raise NegotiationError("no-dtls", "the offer needs a=setup:actpass (RFC 8842 section 5.2)")
    return RTCDtlsParameters([RTCDtlsFingerprint(one[1].lower(), one[2]) for one in fingerprints]), setup


def _data_section(media: Media) -> DataSection:
    # The draft's form names the port as the format: `DTLS/SCTP 5000`.
    ports = media.values("sctp-port") or [first for first in media.formats[:1] if first.isdecimal()]
    port, limit = _number(ports, 5000), _number(media.values("max-message-size"), 65536)
    if port is None or not 0 < port < 65536 or limit is None:
        raise NegotiationError("malformed-sdp", "sctp-port or max-message-size breaks RFC 8841")
    return DataSection(media.mid, port, limit)


def _number(values: list[str], default: int) -> int | None:
    """The first value; None where it is no whole number of ten digits at most."""
    value = next(iter(values), str(default))
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= 10 else None


def _rejected_lines(section: Section) -> list[str]:
    mid = [f"a=mid:{section.mid}"] if section.mid else []
    head = f"m={section.kind} 0 {section.protocol} {section.first_format}"
    return [head, "c=IN IP4 0.0.0.0", "a=inactive", *mid]


def _carrier_lines(section: Section) -> list[str]:
    """Accepted for its transport alone."""
    return [
        f"m={section.kind} 9 {section.protocol} {section.first_format}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        "a=inactive",
        "a=rtcp-mux",
        *([f"a=rtpmap:{section.first_format} {section.rtpmap}"] if section.rtpmap else []),
    ]


def _video_lines(section: Section, video: Video, local: Local) -> list[str]:
    pt, rtx, fec = video.payload_type, video.rtx_payload_type, video.fec_payload_type
    payload_types = " ".join(str(one) for one in (pt, rtx, fec) if one is not None)
    parameters = f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={video.profile_level_id}"
    lines = [
        f"m=video 9 {section.protocol} {payload_types}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{video.mid}",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtcp-xr:rcvr-rtt=all",  # Chromium then sends RRTR and learns the round trip from our DLRR
        "a=msid:pinhole main",
        f"a=rtpmap:{pt} H264/90000",
        f"a=fmtp:{pt} {parameters}",
    ]
    lines += [f"a=extmap:{number} {uri}" for uri, number in video.extensions.items()]
    lines += [f"a=rtcp-fb:{pt} {feedback}" for feedback in video.feedback]
    if rtx is not None:
        lines += [
            f"a=rtpmap:{rtx} rtx/90000",
            f"a=fmtp:{rtx} apt={pt}",
            f"a=ssrc-group:FID {local.ssrc} {local.rtx_ssrc}",
        ]
    if fec is not None:
        lines += [
            f"a=rtpmap:{fec} flexfec-03/90000",
            f"a=fmtp:{fec} repair-window=10000000",
            f"a=ssrc-group:FEC-FR {local.ssrc} {local.fec_ssrc}",  # RFC 5956 section 4.3
        ]
    # The first a=ssrc line must be the media's: Chromium takes the first for the stream.
    lines.append(f"a=ssrc:{local.ssrc} cname:{local.cname}")
    if rtx is not None:
        lines.append(f"a=ssrc:{local.rtx_ssrc} cname:{local.cname}")
    if fec is not None:
        lines.append(f"a=ssrc:{local.fec_ssrc} cname:{local.cname}")
    return lines


def _data_lines(section: Section) -> list[str]:
    return [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        "a=sctp-port:5000",
        "a=max-message-size:65536",
    ]


def _transport_lines(offer: Offer, local: Local) -> list[str]:
    return [
        f"a=ice-ufrag:{local.ice_ufrag}",
        f"a=ice-pwd:{local.ice_pwd}",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{'active' if offer.is_dtls_client else 'passive'}",
    ]
