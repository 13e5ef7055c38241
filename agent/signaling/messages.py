"""Signaling messages as bytes (UTF-8 JSON, RFC 8259) and back. Pure; every refusal is a `MessageError`.

Codes: `too-large`, `malformed` (no JSON object), `unknown-version`, `unknown-type`, `invalid`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from agent.errors import MessageError
from agent.model.event import Confirm, Events
from agent.model.health import Health
from agent.model.keys import KeySet
from agent.model.sections import MAX_SECTIONS_BYTES, SectionsMessage
from agent.model.signal import (
    MAX_MESSAGE_BYTES,
    VERSION,
    Answer,
    BareEvent,
    Bye,
    Candidate,
    Command,
    FromDevice,
    Look,
    Offer,
    Reject,
    Renew,
    Restart,
    Result,
    State,
    ToDevice,
)

Message = (
    ToDevice | FromDevice | State | SectionsMessage | BareEvent | Events | Confirm | Health | KeySet | Look
)
MESSAGE_TYPES: tuple[type[Message], ...] = (
    Offer,
    Answer,
    Candidate,
    Reject,
    Restart,
    Renew,
    Bye,
    Command,
    Result,
    State,
    SectionsMessage,
    BareEvent,
    Events,
    Confirm,
    Health,
    KeySet,
    Look,
)
_M = TypeVar("_M")


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What is looked at first: another version's other keys are none of our business."""

    v: Any = None
    type: Any = None


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _of(message: type[_M]) -> TypeAdapter[_M]:
    """Made at its first use, for no program needs all of them; what a viewer waits for is made below."""
    if message not in _adapters:
        _adapters[message] = TypeAdapter(message)
    return _adapters[message]


@cache
def _from_device() -> TypeAdapter[FromDevice]:
    return TypeAdapter(Annotated[FromDevice, Field(discriminator="type")])


_ENVELOPE = TypeAdapter(_Envelope)
_TO_DEVICE: TypeAdapter[ToDevice] = TypeAdapter(Annotated[ToDevice, Field(discriminator="type")])
for _message in (Answer, Candidate):
    _of(_message)


def encode(message: Message) -> bytes:
    """The message as it goes on the wire.

    Raises MessageError (`invalid`, `too-large`) for what the other end would refuse, so that a fault shows
    where it was made.
    """
    adapter: TypeAdapter[Any] = _of(type(message))
    try:
        payload = adapter.dump_json(message)
        is_small = isinstance(message, SectionsMessage)
        _check_size(payload, MAX_SECTIONS_BYTES if is_small else MAX_MESSAGE_BYTES)
        adapter.validate_json(payload)
    except ValidationError as exc:
        raise MessageError("invalid", _words(exc)) from exc
    except (PydanticSerializationError, UnicodeEncodeError) as exc:
        raise MessageError("invalid", "not text that UTF-8 can carry") from exc
    return payload


def parse_to_device(payload: bytes) -> ToDevice:
    """Read what came in on `signal/<session>/in`. Raises MessageError."""
    return _parse(_TO_DEVICE, payload, ("offer", "candidate", "renew", "bye", "command"))


def parse_from_device(payload: bytes) -> FromDevice:
    """Read what came in on `signal/<session>/out`. Raises MessageError."""
    return _parse(_from_device(), payload, ("answer", "candidate", "reject", "restart", "bye", "result"))


def parse_state(payload: bytes) -> State:
    """Read what came in on `state`. Raises MessageError."""
    return _parse(_of(State), payload, ("state",))


def parse_sections(payload: bytes) -> SectionsMessage:
    """Read what came in on `sections`; at most 8 KiB. Raises MessageError."""
    _check_size(payload, MAX_SECTIONS_BYTES)
    return _parse(_of(SectionsMessage), payload, ("sections",))


def parse_bare_event(payload: bytes) -> BareEvent:
    """Read what came in on `event/<kind>`. Raises MessageError."""
    return _parse(_of(BareEvent), payload, ("event",))


def parse_events(payload: bytes) -> Events:
    """Read what came in on `signal/events/out`. Raises MessageError."""
    return _parse(_of(Events), payload, ("events",))


def parse_confirm(payload: bytes) -> Confirm:
    """Read what came in on `signal/events/in`. Raises MessageError."""
    return _parse(_of(Confirm), payload, ("confirm",))


def parse_health(payload: bytes) -> Health:
    """Read what came in on `health`. Raises MessageError."""
    return _parse(_of(Health), payload, ("health",))


def parse_keys(payload: bytes) -> KeySet:
    """Read what came in on `keys/<kid>`. Raises MessageError."""
    return _parse(_of(KeySet), payload, ("keys",))


def parse_look(payload: bytes) -> Look:
    """Read what came in on `command/look/in`. Raises MessageError."""
    return _parse(_of(Look), payload, ("look",))


def _parse(adapter: TypeAdapter[_M], payload: bytes, types: tuple[str, ...]) -> _M:
    _check_size(payload)
    try:
        envelope = _ENVELOPE.validate_json(payload)
    except ValidationError as exc:
        raise MessageError("malformed", "not a JSON object") from exc
    if type(envelope.v) is not int or envelope.v != VERSION:  # True == 1 in Python, not on the wire
        raise MessageError("unknown-version", f"v must be {VERSION}")
    if envelope.type not in types:
        raise MessageError("unknown-type", f"type must be one of: {', '.join(types)}")
    try:
        return adapter.validate_json(payload)
    except ValidationError as exc:
        raise MessageError("invalid", _words(exc)) from exc


def _check_size(payload: bytes, most_bytes: int = MAX_MESSAGE_BYTES) -> None:
    if len(payload) > most_bytes:
        raise MessageError("too-large", f"{len(payload)} bytes; at most {most_bytes} are read")


def _words(error: ValidationError) -> str:
    """The first faults as key and rule; keys come from outside, so they are shown in ASCII only."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{ascii('.'.join(map(str, fault['loc'])))[:80]}: {fault['msg'][:120]}" for fault in faults[:2]]
    return "; ".join(shown) + (f"; and {len(faults) - 2} more" if len(faults) > 2 else "")
