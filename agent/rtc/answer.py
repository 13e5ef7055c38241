"""Offer and answer (RFC 9429, RFC 8829): the browser offers to receive, the device answers. Pure."""

import re
import secrets
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters

from agent.errors import NegotiationError
from agent.model.media import Medium
from agent.rtc import ccfb
from agent.rtc.codecs import (
    Directions,
    RtpMedia,
    answered,
    choose_audio,
    choose_video,
    offers_ccfb,
    with_ccfb,
)
from agent.rtc.sdp import Description, Media

VIDEO_ALONE: Directions = {"video": "sendonly"}
_TRACKS: Mapping[Medium, str] = {"video": "main", "audio": "sound"}
"""Their names within the one stream that a viewer gets (RFC 8830)."""
_MAX_SECTIONS = 8
_MAX_CANDIDATES = 64
_FINGERPRINT = re.compile(r"(sha-256|sha-384|sha-512) ([0-9A-F]{2}(?::[0-9A-F]{2}){31,63})", re.IGNORECASE)
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+")  # RFC 8839 section 5.4


@dataclass(frozen=True, slots=True)
class DataSection:
    """The data channel's section (RFC 8841)."""

    mid: str
    sctp_port: int
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class Section:
    """One m-line of the offer, in order; the answer must repeat them all (RFC 3264 section 6)."""

    kind: str
    protocol: str
    first_format: str
    mid: str
    rtpmap: str
    """Of the first format, as in `opus/48000/2`; empty where it has none."""
    accepted: RtpMedia | DataSection | None
    """None of the carrier too, where it holds the bundle's transport and nothing else of interest."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the browser asked for, as far as we serve it."""

    sections: tuple[Section, ...]
    carrier: str
    """The mid of the section whose transport is the whole bundle's (RFC 9143 section 9)."""
    ice_ufrag: str
    ice_pwd: str
    ice_lite: bool
    dtls: RTCDtlsParameters
    is_dtls_client: bool
    """Our role: the client sends the first flight."""
    candidates: tuple[str, ...]

    @property
    def media(self) -> tuple[RtpMedia, ...]:
        """What goes by RTP, at most one section of each medium; one of them is the video."""
        return tuple(s.accepted for s in self.sections if isinstance(s.accepted, RtpMedia))

    @property
    def video(self) -> RtpMedia:
        """How to send the picture."""
        return next(media for media in self.media if media.medium == "video")

    @property
    def data(self) -> DataSection | None:
        """The data channel."""
        return next((s.accepted for s in self.sections if isinstance(s.accepted, DataSection)), None)


@dataclass(frozen=True, slots=True)
class Ssrcs:
    """Under which sources we send a medium."""

    media: int
    rtx: int
    fec: int


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of the answer."""

    ice_ufrag: str
    ice_pwd: str
    fingerprint: str
    """SHA-256 of our certificate, as in `AB:CD:…`."""
    candidates: tuple[str, ...]
    ssrcs: Mapping[Medium, Ssrcs]
    """Of each medium that is sent."""
    cname: str
    """Of all of them: that is what keeps sound and picture together (RFC 3550 section 6.5.1)."""


def parse_offer(text: str, ours: Directions = VIDEO_ALONE, *, l4s: bool = False) -> Offer:
    """What of the offer is served by a device that does this with each medium.

    `l4s`: reports by source (RFC 8888), where the viewer has them, instead of transport-wide feedback. Raises
    NegotiationError: `malformed-sdp`, `no-video`, `no-h264`, `no-bundle` or `no-dtls`.
    """
    description = Description.parse(text)
    media = description.media
    if not 0 < len(media) <= _MAX_SECTIONS:
        raise NegotiationError("malformed-sdp", f"the offer has {len(media)} media sections, not 1 to 8")
    mids = [one.mid for one in media if one.mid]
    if len(set(mids)) < len(mids):
        raise NegotiationError("malformed-sdp", "two media sections have the same mid (RFC 5888 section 4)")
    chosen = _receiving(description)
    video = choose_video(chosen)
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
    accepted: dict[int, RtpMedia | DataSection] = {id(chosen): video, **_audio(bundled, ours)}
    if data is not None:
        accepted[id(data)] = _data_section(data)
    if l4s:
        accepted |= _reported_by_source(bundled, accepted)
    ufrag, pwd = _ice_credentials(carrier)
    fingerprints, setup = _dtls_parameters(carrier)
    return Offer(
        sections=tuple(_section(m, accepted.get(id(m))) for m in media),
        carrier=carrier.mid,
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
    served = [s.mid for s in offer.sections if s.accepted or s.mid == offer.carrier]
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(served),
        "a=msid-semantic: WMS pinhole",
        # Ours; unknown attributes are ignored (RFC 8866 section 5.13). With restarts, several answers may be
        # under way, and the browser could not tell the newest offer's from the others.
        f"a=x-answers:{offer.ice_ufrag}",
    ]
    for section in offer.sections:
        match section.accepted:
            case RtpMedia() as media:
                lines += _rtp_lines(section, media, local)
            case DataSection() as data:
                lines += _data_lines(data)
            case None if section.mid == offer.carrier:
                lines += _carrier_lines(section)
            case None:
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


def _audio(bundled: Iterable[Media], ours: Directions) -> dict[int, RtpMedia]:
    """The section for sound, by its identity: the first in which some can flow, if the device has any."""
    for media in bundled:
        if media.kind != "audio" or "audio" not in ours:
            continue
        direction = answered(media.direction, ours["audio"])
        if direction and (chosen := choose_audio(media, direction)):
            return {id(media): chosen}
    return {}


def _reported_by_source(
    bundled: Iterable[Media], accepted: Mapping[int, RtpMedia | DataSection]
) -> dict[int, RtpMedia]:
    """The media that are accepted, with such reports: for all of them, or for none."""
    found = [(media, one) for media in bundled if isinstance(one := accepted.get(id(media)), RtpMedia)]
    if not all(offers_ccfb(media, one.payload_type) for media, one in found):
        return {}
    return {id(media): with_ccfb(one) for media, one in found}


def _section(media: Media, accepted: RtpMedia | DataSection | None) -> Section:
    first = media.formats[0]
    rtpmap = media.rtpmaps().get(first, "")
    return Section(media.kind, media.protocol, first, media.mid, rtpmap, accepted)


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


def _rtp_lines(section: Section, media: RtpMedia, local: Local) -> list[str]:
    pt, rtx, fec = media.payload_type, media.rtx_payload_type, media.fec_payload_type
    payload_types = " ".join(str(one) for one in (pt, rtx, fec) if one is not None)
    lines = [
        f"m={section.kind} 9 {section.protocol} {payload_types}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{media.mid}",
        f"a={media.direction}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
    ]
    if media.medium == "video":
        lines.append("a=rtcp-xr:rcvr-rtt=all")  # Chromium sends RRTR and learns the round trip from our DLRR
    if media.is_sent:
        lines.append(f"a=msid:pinhole {_TRACKS[media.medium]}")
    lines.append(f"a=rtpmap:{pt} {media.codec}")
    if media.parameters:
        lines.append(f"a=fmtp:{pt} {media.parameters}")
    lines += [f"a=extmap:{number} {uri}" for uri, number in media.extensions.items()]
    # RFC 8888 section 6: for all payload types; libwebrtc hears nothing else.
    kinds = [("*" if feedback == ccfb.FEEDBACK else pt, feedback) for feedback in media.feedback]
    lines += [f"a=rtcp-fb:{number} {feedback}" for number, feedback in kinds]
    return lines + (_source_lines(media, local) if media.is_sent else [])


def _source_lines(media: RtpMedia, local: Local) -> list[str]:
    """What else a medium that we send comes with, and from which sources."""
    pt, rtx, fec = media.payload_type, media.rtx_payload_type, media.fec_payload_type
    ours = local.ssrcs[media.medium]
    # The first a=ssrc line must be the media's: Chromium takes the first for the stream.
    sources, lines = [ours.media], []
    if rtx is not None:
        sources.append(ours.rtx)
        lines += [
            f"a=rtpmap:{rtx} rtx/90000",
            f"a=fmtp:{rtx} apt={pt}",
            f"a=ssrc-group:FID {ours.media} {ours.rtx}",
        ]
    if fec is not None:
        sources.append(ours.fec)
        lines += [
            f"a=rtpmap:{fec} flexfec-03/90000",
            f"a=fmtp:{fec} repair-window=10000000",
            f"a=ssrc-group:FEC-FR {ours.media} {ours.fec}",  # RFC 5956 section 4.3
        ]
    return lines + [f"a=ssrc:{source} cname:{local.cname}" for source in sources]


def _data_lines(data: DataSection) -> list[str]:
    return [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{data.mid}",
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
