"""Where each message goes: `<prefix>/v1/<device>/…`. Pure."""

from dataclasses import dataclass
from typing import Literal, get_args

from agent.errors import MessageError
from agent.model.ids import is_id
from agent.model.signal import VERSION, EventKind

Channel = Literal["state", "health", "event", "in", "out", "keys", "look"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ours, taken apart."""

    device: str
    """Empty for `keys`, which is for all."""
    channel: Channel
    name: str = ""
    """The session of `in` and `out`, the kind of `event`, the key's id of `keys`."""


def state_topic(prefix: str, device: str) -> str:
    """Retained, and the last will."""
    return f"{_base(prefix, device)}/state"


def health_topic(prefix: str, device: str) -> str:
    """The doctor's verdict, every 30 s at QoS 0."""
    return f"{_base(prefix, device)}/health"


def event_topic(prefix: str, device: str, kind: str) -> str:
    """What a person may want to know."""
    return f"{_base(prefix, device)}/event/{_level(kind)}"


def signal_topic(prefix: str, device: str, session: str, direction: Literal["in", "out"]) -> str:
    """One session's messages: `in` to the device, `out` from it."""
    return f"{_base(prefix, device)}/signal/{_level(session)}/{direction}"


def keys_topic(prefix: str, kid: str) -> str:
    """Where the portal tells all devices whose offers count, retained; under each of its keys."""
    return f"{prefix}/v{VERSION}/keys/{_level(kid)}"


def look_topic(prefix: str, device: str) -> str:
    """Portal to device: there may be a new release."""
    return f"{_base(prefix, device)}/command/look/in"


def kept_topics(prefix: str, device: str) -> tuple[str, ...]:
    """Where the broker may keep something of a device: its `state`, and elsewhere what a hostile one left."""
    events = (event_topic(prefix, device, kind) for kind in get_args(EventKind))
    return (state_topic(prefix, device), health_topic(prefix, device), *events)


def device_filters(prefix: str, device: str) -> tuple[str, ...]:
    """What a device subscribes to; the keys first, since offers are judged by them."""
    base = _base(prefix, device)
    return (f"{prefix}/v{VERSION}/keys/+", f"{base}/signal/+/in", look_topic(prefix, device))


def portal_filters(prefix: str) -> tuple[str, ...]:
    """What a portal subscribes to: every device's `state`, `health`, `event` and `out`."""
    return (f"{prefix}/v{VERSION}/+/state", *unkept_filters(prefix))


def unkept_filters(prefix: str) -> tuple[str, ...]:
    """Those of them on which the broker should keep nothing."""
    base = f"{prefix}/v{VERSION}/+"
    return (f"{base}/health", f"{base}/event/+", f"{base}/signal/+/out")


def parse_topic(prefix: str, topic: str) -> Topic:
    """Take a topic apart. Raises MessageError `unknown-topic` where it is none of ours."""
    start = f"{prefix}/v{VERSION}/"
    levels = topic.removeprefix(start).split("/") if topic.startswith(start) else []
    if all(map(is_id, levels)):
        match levels:
            case [device, ("state" | "health") as channel]:
                return Topic(device, channel)
            case ["keys", kid]:
                return Topic("", "keys", kid)
            case [device, "event", kind]:
                return Topic(device, "event", kind)
            case [device, "command", "look", "in"]:
                return Topic(device, "look")
            case [device, "signal", session, ("in" | "out") as direction]:
                return Topic(device, direction, session)
    raise MessageError("unknown-topic", f"{ascii(topic)[:200]} is no topic of version {VERSION}")


def _base(prefix: str, device: str) -> str:
    return f"{prefix}/v{VERSION}/{_level(device)}"


def _level(name: str) -> str:
    if not is_id(name):
        raise MessageError("unknown-topic", f"{ascii(name)[:80]} cannot be a level of a topic")
    return name
