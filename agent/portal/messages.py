"""The WebSocket's messages: strict types, and the only code that turns them into JSON and back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from agent.errors import MessageError
from agent.model.flat import flat_device
from agent.model.ids import Id
from agent.model.media import StreamName
from agent.model.sections import Sections
from agent.model.signal import CandidateLine, IceServer, Sdp

MAX_MESSAGE_BYTES = 64 * 1024
MAX_WORDS = 300
"""Characters of a refusal."""

T = TypeVar("T")

SessionId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Made by the browser from 128 random bits."""


class _FromBrowser(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BrowserOffer(_FromBrowser):
    """Open a session, or restart the ICE of one that is open.

    A restart may come over another WebSocket than the session's first offer, and through another portal: who
    knows the session's 128 random bits is the browser that made them.
    """

    type: Literal["offer"]
    session: SessionId
    device: Id
    sdp: Sdp
    relay_only: bool = False
    restart: bool = False
    stream: StreamName = "main"


class BrowserCandidate(_FromBrowser):
    """One more candidate; an empty line is end-of-candidates."""

    type: Literal["candidate"]
    session: SessionId
    candidate: CandidateLine


class BrowserBye(_FromBrowser):
    """End a session."""

    type: Literal["bye"]
    session: SessionId


class BrowserResume(_FromBrowser):
    """A session that plays: it was opened over another WebSocket, maybe through another portal."""

    type: Literal["resume"]
    session: SessionId
    device: Id
    stream: StreamName = "main"


class BrowserPing(_FromBrowser):
    """Ask whether the portal is still there."""

    type: Literal["ping"]


FromBrowser = BrowserOffer | BrowserCandidate | BrowserBye | BrowserResume | BrowserPing


@dataclass(frozen=True, slots=True)
class PortalSection:
    """What the portal itself says of a camera; no camera can say it."""

    name: str
    online: bool
    calls_itself: str = ""
    """Where that is something else than the portal's own `name` for it."""
    own_viewers: int = 0
    """How many of the viewers are the one's who is told this."""
    watching: tuple[str, ...] = ()
    """The other viewers by name, once for each stream; for who may manage the camera."""


@dataclass(frozen=True, slots=True)
class Device:
    """A camera as the dashboard shows it."""

    id: str
    since: float | None
    """Unix time in seconds when it came or went; None where nobody can know."""
    sections: Sections
    """What it says, unread, with `portal` and its doctor's `health` beside."""


FlatDevice = dict[str, Any]
"""The same for a page of before there were sections."""


def flattened(device: Device) -> FlatDevice:
    """What such a page reads of it."""
    since = {} if device.since is None else {"since": device.since}
    return {"id": device.id, **since, **flat_device(device.sections)}


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message; those devices that it does not hold follow one by one."""

    version: str
    user: str
    broker: bool
    ice_servers: tuple[IceServer, ...]
    ice_expires_at: float | None
    devices: tuple[Device | FlatDevice, ...]
    link_ends_at: float | None = None
    """When the share link ends that brought this browser in; Unix time in seconds."""
    type: Literal["hello"] = "hello"


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    """A device is new or differs from before."""

    device: Device | FlatDevice
    type: Literal["device"] = "device"


@dataclass(frozen=True, slots=True)
class DeviceGone:
    """A device that the user may no longer watch."""

    device: str
    type: Literal["gone"] = "gone"


@dataclass(frozen=True, slots=True)
class Ice:
    """New credentials, before the old ones expire."""

    ice_servers: tuple[IceServer, ...]
    ice_expires_at: float | None
    type: Literal["ice"] = "ice"


@dataclass(frozen=True, slots=True)
class BrokerChanged:
    """Whether the portal reaches the broker."""

    connected: bool
    type: Literal["broker"] = "broker"


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something a person may want to know."""

    device: str
    kind: str
    message: str
    at: float
    severity: str
    """`info`, `warning` or `error`, or what a newer camera says."""
    type: Literal["event"] = "event"


@dataclass(frozen=True, slots=True)
class PastEvents:
    """What happened before this browser came, the newest first."""

    events: tuple[DeviceEvent, ...]
    type: Literal["events"] = "events"


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """The device's answer."""

    session: str
    sdp: str
    type: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True)
class SessionCandidate:
    """A candidate of the device's."""

    session: str
    candidate: str
    type: Literal["candidate"] = "candidate"


@dataclass(frozen=True, slots=True)
class SessionReject:
    """No answer will come; the session is over."""

    session: str
    code: str
    message: str
    retry_after_s: float | None = None
    type: Literal["reject"] = "reject"


@dataclass(frozen=True, slots=True)
class SessionRestart:
    """The device's network changed: offer an ICE restart in this session."""

    session: str
    reason: str
    type: Literal["restart"] = "restart"


@dataclass(frozen=True, slots=True)
class SessionBye:
    """The device ended the session."""

    session: str
    reason: str
    type: Literal["bye"] = "bye"


@dataclass(frozen=True, slots=True)
class Pong:
    """The portal is still there."""

    type: Literal["pong"] = "pong"


@dataclass(frozen=True, slots=True)
class Error:
    """The last message from the browser was refused and had no effect."""

    code: str
    message: str
    session: str | None = None
    type: Literal["error"] = "error"


ToBrowser = (
    Hello
    | DeviceChanged
    | DeviceGone
    | Ice
    | BrokerChanged
    | DeviceEvent
    | PastEvents
    | SessionAnswer
    | SessionCandidate
    | SessionReject
    | SessionRestart
    | SessionBye
    | Pong
    | Error
)

_FROM_BROWSER: TypeAdapter[FromBrowser] = TypeAdapter(Annotated[FromBrowser, Field(discriminator="type")])
_TO_BROWSER: TypeAdapter[ToBrowser] = TypeAdapter(Annotated[ToBrowser, Field(discriminator="type")])
_DEVICE: TypeAdapter[Device | FlatDevice] = TypeAdapter(Device | FlatDevice)
_EVENT: TypeAdapter[DeviceEvent] = TypeAdapter(DeviceEvent)


def parse_from_browser(text: str) -> FromBrowser:
    """Parse one message. Raises MessageError with code `too-large`, `unknown-type` or `malformed`."""
    if len(text.encode(errors="replace")) > MAX_MESSAGE_BYTES:
        raise MessageError("too-large", f"a message is larger than {MAX_MESSAGE_BYTES} bytes")
    try:
        return _FROM_BROWSER.validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        unknown = first["type"].startswith("union_tag")
        words = f"{where}: {first['msg']}"[:MAX_WORDS]  # they may quote the message, whatever its length
        raise MessageError("unknown-type" if unknown else "malformed", words) from exc


def encode_to_browser(message: ToBrowser) -> str:
    """JSON without the fields that are None: `RTCIceServer` takes a null user name for the word null."""
    return _TO_BROWSER.dump_json(message, exclude_none=True).decode()


def fitting_devices(
    devices: Iterable[Device | FlatDevice], room_bytes: int
) -> tuple[Device | FlatDevice, ...]:
    """Those from the start whose JSON takes at most `room_bytes` together."""
    return _fitting(devices, lambda device: _DEVICE.dump_json(device, exclude_none=True), room_bytes)


def fitting_events(events: Iterable[DeviceEvent], room_bytes: int) -> tuple[DeviceEvent, ...]:
    """The same for events."""
    return _fitting(events, _EVENT.dump_json, room_bytes)


def _fitting(items: Iterable[T], encode: Callable[[T], bytes], room_bytes: int) -> tuple[T, ...]:
    found: list[T] = []
    for item in items:
        room_bytes -= len(encode(item)) + 1
        if room_bytes < 0:
            break
        found.append(item)
    return tuple(found)
