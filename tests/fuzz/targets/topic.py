"""MQTT topics, as a hostile client may name them."""

from fuzz.target import Target

from agent.errors import MessageError
from agent.signaling.topics import (
    device_filters,
    event_topic,
    health_topic,
    keys_topic,
    look_topic,
    parse_topic,
    signal_topic,
    state_topic,
)

PREFIX = "pinhole"


def check(data: bytes) -> None:
    """A topic that is taken apart is what its parts make again; no part adds a level or a wildcard."""
    topic = data.decode(errors="replace")
    try:
        parts = parse_topic(PREFIX, topic)
    except MessageError as exc:
        assert exc.code == "unknown-topic"
        assert len(str(exc)) < 300
        assert str(exc).isprintable()
        return
    match parts.channel:
        case "state":
            again = state_topic(PREFIX, parts.device)
        case "health":
            again = health_topic(PREFIX, parts.device)
        case "keys":
            again = keys_topic(PREFIX, parts.name)
        case "look":
            again = look_topic(PREFIX, parts.device)
        case "event":
            again = event_topic(PREFIX, parts.device, parts.name)
        case _:
            again = signal_topic(PREFIX, parts.device, parts.name, parts.channel)
    assert again == topic
    assert not set("+#$/") & set(parts.device + parts.name)
    if parts.device:
        assert f"{PREFIX}/v1/{parts.device}/signal/+/in" in device_filters(PREFIX, parts.device)


def seeds() -> list[bytes]:
    """One of each."""
    topics = (
        state_topic(PREFIX, "front-door"),
        keys_topic(PREFIX, "k" * 43),
        health_topic(PREFIX, "front-door"),
        look_topic(PREFIX, "front-door"),
        event_topic(PREFIX, "front-door", "camera-failed"),
        signal_topic(PREFIX, "front-door", "0123456789abcdef", "in"),
        signal_topic(PREFIX, "a", "b", "out"),
        f"{PREFIX}/v1/+/state",
        f"{PREFIX}/v2/a/state",
        f"{PREFIX}/v1//state",
    )
    return [topic.encode() for topic in topics]


TARGET = Target("topic", "MQTT topics: any client of the broker.", check, seeds, max_bytes=512)
