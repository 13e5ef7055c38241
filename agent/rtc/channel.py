"""The data channel `control`: small JSON questions of the viewer, answered at once. Pure."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from agent.model.media import StreamName
from agent.model.signal import Code, JsonObject, Result

MAX_REQUEST_BYTES = 4096
"""A command with many arguments."""
MAX_ERROR_CHARS = 200


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for the device's clock."""

    id: Annotated[int, Field(ge=0, le=2**53)]
    type: Literal["ping"]


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """Asks for the sender's side of the statistics."""

    type: Literal["stats"]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """Asks for an IDR picture, as the command of this name does, and is not answered."""

    type: Literal["keyframe"]


@dataclass(frozen=True, slots=True)
class StreamWish:
    """Asks for another stream, from its next keyframe on."""

    name: StreamName
    type: Literal["stream"]


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """One of the table of commands (`agent/model/command.py`); an id that was answered is answered again."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    name: Code
    type: Literal["command"]
    arguments: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stats:
    """What the device knows of one viewer's stream."""

    stream: StreamName
    """What the viewer gets now, ..."""
    wanted: StreamName
    """... and what it asked for: its link may not carry that."""
    path: str | None
    """`host`, `srflx`, `prflx` or `relay`: our end of the pair in use."""
    relay: str | None
    """URL of our TURN server where the path is a relay."""
    bitrate_bps: int
    """Media that left in the last second, without retransmissions."""
    sent_bps: int
    """All that left in the last second, with retransmissions, padding and headers."""
    target_bps: int | None
    """What the link is believed to carry."""
    queue_ms: int | None
    """What waits to leave, at the target."""
    rtt_ms: float | None
    loss: float | None
    """Share lost of the last second's packets, 0 to 1, by the viewer's report."""
    sent_frames: int
    dropped_frames: int
    resent_packets: int
    viewers: int
    encoder_bps: int
    camera_kind: str
    uptime_s: float
    playback: JsonObject | None
    """What is shown in the place of the live picture; None while that is shown."""


Request = Ping | StatsRequest | KeyframeRequest | StreamWish | CommandRequest
RunCommand = Callable[[str, str, JsonObject, Callable[[Result], None]], Result | None]
"""`run(id, name, arguments, later)` does it, or says why not; None where `later` will get the result."""
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])


def reply(
    message: str | bytes,
    *,
    unix_ms: float,
    stats: Callable[[], Stats],
    request_keyframe: Callable[[], None],
    want_stream: Callable[[StreamName], None],
    command: RunCommand,
    later: Callable[[str], None],
) -> str | None:
    """The answer to one message, or None where it needs none, or where `later` will get it."""
    if len(message) > MAX_REQUEST_BYTES:
        return _error("too-large", f"a request has at most {MAX_REQUEST_BYTES} bytes")
    try:
        request = _REQUEST.validate_json(message, strict=True)
    except ValidationError as exc:
        return _error("invalid", exc.errors(include_url=False, include_input=False)[0]["msg"])
    match request:
        case Ping():
            return json.dumps({"type": "pong", "id": request.id, "unix_ms": unix_ms})
        case StatsRequest():
            return json.dumps({"type": "stats", **asdict(stats())})
        case KeyframeRequest():
            request_keyframe()
        case StreamWish():
            want_stream(request.name)
        case CommandRequest():
            result = command(
                request.id, request.name, request.arguments, lambda result: later(_encode(result))
            )
            return _encode(result) if result else None
    return None


def _encode(result: Result) -> str:
    told = {"type": "result", "id": result.id, "ok": result.ok, "code": result.code}
    return json.dumps({**told, "message": result.message, "value": result.value})


def _error(code: str, message: str) -> str:
    # The words may quote the request, and grow by being quoted.
    return json.dumps({"type": "error", "code": code, "message": message[:MAX_ERROR_CHARS]})
