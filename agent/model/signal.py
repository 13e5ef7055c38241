"""Signaling, version 1: the messages between the portal and a device.

`agent/signaling/messages.py` turns them into bytes and back; `agent/signaling/schema.py` makes their JSON
Schemas from these types. On the wire every message names its version `v` and its `type`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints, with_config

from agent.model.ids import Id
from agent.model.media import StreamName

VERSION: Literal[1] = 1
MAX_MESSAGE_BYTES = 64 * 1024
OFFER_LIFETIME_S = 30.0
MAX_LEASE_S = 3600.0
"""The longest that a session may be promised at once."""
MAX_COMMAND_S = 3600.0
"""The longest that a command may wait for a device that is away."""

Sdp = Annotated[str, StringConstraints(min_length=1, max_length=48 * 1024)]
CandidateLine = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line: a line break would smuggle lines into the SDP it is joined with."""
Text = Annotated[str, StringConstraints(max_length=512)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
Seq = Annotated[int, Field(ge=0, le=2**31 - 1)]
UnixTime = Annotated[float, Field(ge=0, le=2**40)]
IceUrl = Annotated[str, StringConstraints(pattern=r"^(stun|stuns|turn|turns):[^\s]{1,250}$")]
Nonce = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,64}$")]
"""At least 128 random bits, base64url."""
Permission = Literal["watch", "control", "recordings", "manage"]
"""What a user may do with one camera: see it; move it; see what it has recorded; change and restart it.

`recordings` is said only to a device that understands it: one that does not takes no message that holds it.
"""


def _all_finite(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if not isfinite(sum(_floats(value))):
        raise ValueError("numbers must be finite")
    return value


def _floats(value: JsonValue) -> Iterator[float]:
    match value:
        case dict():
            yield from chain.from_iterable(map(_floats, value.values()))
        case list():
            yield from chain.from_iterable(map(_floats, value))
        case float():
            yield value * 0  # which is not 0 where it is not finite


JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_all_finite)]
"""Arguments or results, whose own types the table of commands has."""
LeaseS = Annotated[float, Field(gt=0, le=MAX_LEASE_S)]
Version = Literal[1]

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""No key too many, no "1" for 1, no NaN."""
OPEN = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
"""What a newer device says may hold more."""


def _is_none(value: object) -> bool:
    return value is None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class IceServer:
    """One entry of `RTCConfiguration.iceServers` (W3C WebRTC section 4.2.4)."""

    urls: Annotated[tuple[IceUrl, ...], Field(min_length=1, max_length=8)]
    username: Text | None = None
    credential: Text | None = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Offer:
    """Portal to device: start a session. Counts once, for one start of the device, until `expires_at`."""

    seq: Seq
    nonce: Nonce
    """New in each offer; the answer names it."""
    issued_at: UnixTime
    expires_at: UnixTime
    """At most 30 s after `issued_at`."""
    boot_id: Id
    """Of the device's `state`: an offer from before its start is refused."""
    user: Text
    """Who watches, for the log and the status."""
    permissions: Annotated[tuple[Permission, ...], Field(max_length=4)]
    """What `user` may do with this device."""
    sdp: Sdp
    ice_servers: Annotated[tuple[IceServer, ...], Field(max_length=16)] = ()
    relay_only: bool = False
    """Offer no candidate of ours but those of TURN servers."""
    restart: bool = False
    """An ICE restart of a session that is open, refused where it is not."""
    stream: StreamName = "main"
    """What the viewer wants to see; it may change its mind over the data channel."""
    challenge: Nonce | None = None
    """Of the `reject` that this offer answers: it was signed after that, whatever the device's clock says."""
    lease_s: Annotated[LeaseS | None, Field(exclude_if=_is_none)] = None
    """How long the session lasts unless it is renewed; only for a device that understands `lease`."""
    type: Literal["offer"] = "offer"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Answer:
    """Device to portal: the answer, with the host candidates in it."""

    seq: Seq
    offer: Nonce
    """The `nonce` of the offer that it answers."""
    sdp: Sdp
    type: Literal["answer"] = "answer"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Candidate:
    """Either way: one more candidate; an empty line is end-of-candidates (RFC 8838)."""

    seq: Seq
    candidate: CandidateLine
    """`candidate:…` as in RFC 8839 section 5.1, or empty."""
    type: Literal["candidate"] = "candidate"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Reject:
    """Device to portal: no answer will come."""

    seq: Seq
    code: Code
    message: Text
    retry_after_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    challenge: Nonce | None = None
    """With `expired`: the same offer with this in it counts, within ten seconds."""
    type: Literal["reject"] = "reject"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Restart:
    """Device to portal: our addresses changed, please offer an ICE restart in this session."""

    seq: Seq
    reason: Text = ""
    type: Literal["restart"] = "restart"
    v: Version = VERSION


VIEWER_LEFT = "the viewer has left"
"""The reason of a `Bye` that takes nobody's right away: what the viewer began may go on."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Bye:
    """Either way: the session is over."""

    seq: Seq
    reason: Text = ""
    """For people, but for VIEWER_LEFT."""
    type: Literal["bye"] = "bye"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Look:
    """Portal to device on `command/look/in`: there may be a new release. Carries no command."""

    issued_at: UnixTime
    """Counts once: only where it is above that of the one before."""
    boot_id: Id
    """Of the device's `state`: one from before its start is refused."""
    type: Literal["look"] = "look"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Renew:
    """Portal to device: the session's user may still watch. Only to a device that understands `lease`."""

    seq: Seq
    issued_at: UnixTime
    """By the portal's clock: what was under way for long extends nothing beyond what it says."""
    lease_s: LeaseS
    """How long the session lasts from `issued_at` on."""
    user: Text
    """As in the session's offer, and so the permissions."""
    permissions: Annotated[tuple[Permission, ...], Field(max_length=4)]
    type: Literal["renew"] = "renew"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Command:
    """Portal to device, on the `in` of a session of its own, whose name is the command's id.

    It is done once, for one start of the device, until `expires_at`; said again, it is answered again. Only
    to a device that understands `command`.
    """

    issued_at: UnixTime
    expires_at: UnixTime
    """At most an hour after `issued_at`."""
    boot_id: Id
    """Of the device's `state`: one for another start is refused, and the portal says it anew for the next."""
    user: Text
    permissions: Annotated[tuple[Permission, ...], Field(max_length=4)]
    """What `user` may do with this device."""
    name: Code
    """As in `agent/model/command.py`."""
    arguments: JsonObject = field(default_factory=dict)
    challenge: Nonce | None = None
    """As in an offer."""
    type: Literal["command"] = "command"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Result:
    """Device to portal: what became of a command.

    To one that came by MQTT, on the `out` of its own session; of one that came over a viewer's data channel,
    the portal hears on the `out` of the viewer's session, for the audit log.
    """

    seq: Seq
    id: Id
    name: Code
    ok: bool
    code: Code
    """`done`, or why not."""
    message: Text = ""
    value: JsonObject = field(default_factory=dict)
    """Of the type that the table of commands gives."""
    type: Literal["result"] = "result"
    v: Version = VERSION


ToDevice = Offer | Candidate | Bye | Renew | Command
FromDevice = Answer | Candidate | Reject | Restart | Bye | Result


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What one stream of a device looks like."""

    name: Id
    width_px: Annotated[int, Field(ge=1, le=16384)]
    height_px: Annotated[int, Field(ge=1, le=16384)]
    fps: Annotated[float, Field(gt=0, le=1000)]
    bitrate_bps: Annotated[int, Field(ge=0, le=10**10)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Release:
    """How a device's releases fare."""

    on_trial: bool = False
    """The version that runs has yet to prove itself."""
    since: UnixTime = 0.0
    """When the device turned to the version that runs; 0 where nobody knows."""
    given_back: Text = ""
    """The version that was last rolled back, and why; empty where none was."""
    reason: Text = ""
    given_back_at: UnixTime = 0.0


CameraState = Literal["idle", "starting", "live", "failed"]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class State:
    """Device to portal, retained; with `online` false also the last will."""

    boot_id: Id
    """New at each start of the agent, so that a late will cannot overwrite a newer birth."""
    online: bool
    since: UnixTime
    """When `online` last changed, by the device's clock; in a will, when it was born."""
    name: Text = ""
    version: Text = ""
    camera: CameraState = "idle"
    camera_kind: Text = ""
    """`picamera`, `v4l2`, `replay` or `synthetic`."""
    problem: Text = ""
    """Why `camera` is `failed`, and what to do."""
    streams: Annotated[tuple[StreamInfo, ...], Field(max_length=8)] = ()
    viewers: Annotated[int, Field(ge=0, le=10**6)] = 0
    has_stamp: bool = False
    """The picture carries a time stamp as in `agent/model/stamp.py`."""
    release: Release | None = None
    """None where releases are not managed on the device."""
    understands: Annotated[tuple[Code, ...], Field(max_length=16)] = ()
    """What may be said to this device beyond what the first of version 1 knew: `lease`, `command`,
    `recordings`."""
    type: Literal["state"] = "state"
    v: Version = VERSION


DetailName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Detail = Text | bool | Annotated[int, Field(ge=-(2**53), le=2**53)] | float
"""What every JSON reader keeps exactly (RFC 8259 section 6)."""
BareEventKind = Literal["camera-failed", "camera-recovered", "data-cap-near", "data-cap-reached"]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class BareEvent:
    """Device to portal on `event/<kind>`: what agents said, once, before they had a journal of events."""

    kind: BareEventKind
    at: UnixTime
    message: Text
    details: Annotated[dict[DetailName, Detail], Field(max_length=16)] = field(default_factory=dict)
    type: Literal["event"] = "event"
    v: Version = VERSION
