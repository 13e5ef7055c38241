"""MQTT topics, as a hostile client may name them."""

from fuzz.target import Target

from agent.errors import MessageError
from agent.model.topics import TABLE, Topic, device_filters, encode_topic, parse_topic

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
    assert encode_topic(PREFIX, parts) == topic
    assert not set("+#$/") & set(parts.device + parts.name)
    if parts.device:
        assert f"{PREFIX}/v1/{parts.device}/signal/+/in" in device_filters(PREFIX, parts.device)


def seeds() -> list[bytes]:
    """One of each."""
    topics = (
        *(encode_topic(PREFIX, Topic("front-door", channel, "a" * 43)) for channel in TABLE),
        f"{PREFIX}/v1/+/state",
        f"{PREFIX}/v2/a/state",
        f"{PREFIX}/v1//state",
    )
    return [topic.encode() for topic in topics]


TARGET = Target("topic", "MQTT topics: any client of the broker.", check, seeds, max_bytes=512)
