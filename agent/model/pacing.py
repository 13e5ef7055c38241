"""What leaves to one viewer next: decided by the pacer, sent by the viewer's lane."""

from dataclasses import dataclass

from agent.model.media import RtpFrame


@dataclass(frozen=True, slots=True)
class Room:
    """What a viewer's link has room for."""

    carries_bps: int
    """Of a stream, beside headers and resends."""
    queue_ms: int
    """What waits to leave, at that rate."""
    is_stalled: bool
    wants_keyframe: bool
    """The viewer cannot go on without one."""


@dataclass(frozen=True, slots=True)
class Media:
    """Send `count` payloads of a frame, from number `first` on."""

    frame: RtpFrame
    first: int
    count: int
    probe: int | None
    """The probe that they are part of."""


@dataclass(frozen=True, slots=True)
class Resend:
    """Send the packet with this RTP sequence number again."""

    seq: int
    probe: int | None


KEEPALIVE_ID = 0
"""The probe of a packet that is to show whether the path is back; no other has this number."""


@dataclass(frozen=True, slots=True)
class Padding:
    """Send this much that means nothing, or again what was sent last."""

    size_bytes: int
    probe: int | None


@dataclass(frozen=True, slots=True)
class Repair:
    """Send parity over the last `count` packets of media: number `part` of `parts`."""

    count: int
    part: int
    parts: int
    probe: int | None


Departure = Media | Resend | Repair | Padding
