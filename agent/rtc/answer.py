"""Offer and answer (RFC 9429, RFC 8829): the browser offers to receive, the device answers. Pure."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from agent.errors import NegotiationError

ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_OUR_EXTENSIONS = (ABS_SEND_TIME, TRANSPORT_CC, PLAYOUT_DELAY, MID)
_MAX_ONE_BYTE_ID = 14  # RFC 8285 section 4.2

_OUR_FEEDBACK = ("ccm fir", "nack", "nack pli", "transport-cc")
_MAX_SECTIONS = 8
_MAX_CANDIDATES = 64
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,16}")  # RFC 8866 token; 16 fit a one-byte extension
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+")  # RFC 8839 section 5.4

# Decoders that take constrained baseline, the best fit first: main and high contain it.
_PROFILE_RANK = {
    sdp.H264Profile.PROFILE_CONSTRAINED_BASELINE: 0,
    sdp.H264Profile.PROFILE_BASELINE: 1,
    sdp.H264Profile.PROFILE_MAIN: 2,
    sdp.H264Profile.PROFILE_CONSTRAINED_HIGH: 3,
    sdp.H264Profile.PROFILE_HIGH: 4,
}


@dataclass(frozen=True, slots=True)
class Section:
    """One m-line of the offer, in order; the answer must repeat them all (RFC 3264 section 6)."""

    kind: str
    protocol: str
    first_format: str
    mid: str


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
    try:
        description = sdp.SessionDescription.parse(text)
    except Exception as exc:  # the parser meets hostile text with any error at all
        raise NegotiationError("malformed-sdp", f"the offer is not valid SDP ({exc!r:.100})") from exc
    media = description.media
    if not 0 < len(media) <= _MAX_SECTIONS:
        raise NegotiationError("malformed-sdp", f"the offer has {len(media)} media sections, not 1 to 8")
    for section in media:
        if not _TOKEN.fullmatch(section.rtp.muxId or "") or not section.fmt:
            raise NegotiationError("malformed-sdp", "a media section has no valid mid, or no format")
    bundled = {mid for group in description.group if group.semantic == "BUNDLE" for mid in group.items}

    receiving = [m for m in media if m.kind == "video" and m.port and m.direction in ("recvonly", "sendrecv")]
    if not receiving:
        raise NegotiationError("no-video", "the offer asks for no video")
    chosen = receiving[0]
    video = _choose_video(chosen)
    if chosen.rtp.muxId not in bundled:
        raise NegotiationError("no-bundle", "the offer does not bundle its media (RFC 9143)")
    data = next((m for m in media if m.kind == "application" and m.rtp.muxId in bundled and m.port), None)
    ufrag, pwd, is_lite = _ice_parameters(chosen)
    fingerprints, peer_role = _dtls_parameters(chosen)
    return Offer(
        sections=tuple(Section(m.kind, m.profile, str(m.fmt[0]), m.rtp.muxId) for m in media),
        video=video,
        data=_data_section(data) if data else None,
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        ice_lite=is_lite,
        dtls=fingerprints,
        # DTLS is done half a round trip earlier for its server, and it is we who have something to send.
        is_dtls_client=peer_role == "server",
        candidates=_candidate_lines(media),
    )


def encode_answer(offer: Offer, local: Local) -> str:
    """The answer's SDP."""
    accepted = [s.mid for s in offer.sections if _is_accepted(s, offer)]
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
        if not _is_accepted(section, offer):
            lines += _rejected(section)
            continue
        lines += _video_section(offer.video, local) if section.mid == offer.video.mid else _data_lines(offer)
        lines += _transport(offer, local)
        if section.mid == accepted[0]:  # a bundle has one transport: the first section carries its candidates
            lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
    return "\r\n".join(lines) + "\r\n"


def _choose_video(media: sdp.MediaDescription) -> Video:
    ranked = sorted(
        (rank, index)
        for index, codec in enumerate(media.rtp.codecs)
        if (rank := _h264_rank(codec)) is not None
    )
    if not ranked:
        raise NegotiationError(
            "no-h264", "the viewer offers no H.264 with packetization-mode 1: use a browser that plays H.264"
        )
    codec = media.rtp.codecs[ranked[0][1]]
    assert codec.payloadType is not None  # the parser sets it from rtpmap
    offered_feedback = {f"{f.type} {f.parameter}" if f.parameter else f.type for f in codec.rtcpFeedback}
    rtx = (
        c.payloadType
        for c in media.rtp.codecs
        if c.mimeType.lower() == "video/rtx" and c.parameters.get("apt") == codec.payloadType
    )
    fec = (c.payloadType for c in media.rtp.codecs if c.mimeType.lower() == "video/flexfec-03")
    return Video(
        mid=media.rtp.muxId,
        payload_type=codec.payloadType,
        rtx_payload_type=next(rtx, None),
        fec_payload_type=next(fec, None),
        profile_level_id=str(codec.parameters["profile-level-id"]).lower(),
        feedback=tuple(f for f in _OUR_FEEDBACK if f in offered_feedback),
        extensions={
            e.uri: e.id
            for e in media.rtp.headerExtensions
            if e.uri in _OUR_EXTENSIONS and 1 <= e.id <= _MAX_ONE_BYTE_ID
        },
    )


def _h264_rank(codec: RTCRtpCodecParameters) -> int | None:
    if codec.mimeType.lower() != "video/h264" or not 0 <= (codec.payloadType or 0) <= 127:
        return None
    if str(codec.parameters.get("packetization-mode", 0)) != "1":
        return None
    try:
        # Without the parameter the profile is baseline (RFC 6184 section 8.1), which we need stated.
        profile, _ = sdp.parse_h264_profile_level_id(str(codec.parameters.get("profile-level-id")))
    except ValueError:
        return None
    return _PROFILE_RANK.get(profile)


def _ice_parameters(media: sdp.MediaDescription) -> tuple[str, str, bool]:
    ufrag, pwd = (media.ice.usernameFragment or "", media.ice.password or "") if media.ice else ("", "")
    valid = _ICE_CHARS.fullmatch(ufrag) and _ICE_CHARS.fullmatch(pwd)
    if not valid or not 4 <= len(ufrag) <= 256 or not 22 <= len(pwd) <= 256:
        raise NegotiationError("malformed-sdp", "ice-ufrag or ice-pwd breaks RFC 8839 section 5.4")
    return ufrag, pwd, bool(media.ice and media.ice.iceLite)


def _dtls_parameters(media: sdp.MediaDescription) -> tuple[RTCDtlsParameters, str]:
    sha256 = [f for f in media.dtls.fingerprints if f.algorithm.lower() == "sha-256"] if media.dtls else []
    if media.dtls is None or not sha256:
        raise NegotiationError("no-dtls", "the offer has no sha-256 fingerprint or no setup attribute")
    fingerprints = [RTCDtlsFingerprint("sha-256", f.value) for f in sha256]
    return RTCDtlsParameters(fingerprints=fingerprints), media.dtls.role


def _data_section(media: sdp.MediaDescription) -> DataSection:
    limit = media.sctpCapabilities.maxMessageSize if media.sctpCapabilities else 65536
    port = media.sctp_port or 5000
    if not 0 < port < 65536 or limit < 0:
        raise NegotiationError("malformed-sdp", "sctp-port or max-message-size breaks RFC 8841")
    return DataSection(media.rtp.muxId, port, limit)


def _candidate_lines(media: Iterable[sdp.MediaDescription]) -> tuple[str, ...]:
    lines = [f"candidate:{sdp.candidate_to_sdp(c)}" for m in media for c in m.ice_candidates]
    return tuple(lines[:_MAX_CANDIDATES])


def _is_accepted(section: Section, offer: Offer) -> bool:
    return section.mid == offer.video.mid or (offer.data is not None and section.mid == offer.data.mid)


def _rejected(section: Section) -> list[str]:
    return [
        f"m={section.kind} 0 {section.protocol} {section.first_format}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
        f"a=mid:{section.mid}",
    ]


def _video_section(video: Video, local: Local) -> list[str]:
    pt, rtx, fec = video.payload_type, video.rtx_payload_type, video.fec_payload_type
    payload_types = " ".join(str(one) for one in (pt, rtx, fec) if one is not None)
    parameters = f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={video.profile_level_id}"
    lines = [
        f"m=video 9 UDP/TLS/RTP/SAVPF {payload_types}",
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


def _data_lines(offer: Offer) -> list[str]:
    assert offer.data is not None
    return [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{offer.data.mid}",
        "a=sctp-port:5000",
        "a=max-message-size:65536",
    ]


def _transport(offer: Offer, local: Local) -> list[str]:
    return [
        f"a=ice-ufrag:{local.ice_ufrag}",
        f"a=ice-pwd:{local.ice_pwd}",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{'active' if offer.is_dtls_client else 'passive'}",
    ]
