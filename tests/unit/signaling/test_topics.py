import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import MessageError
from agent.signaling.topics import (
    Topic,
    device_filters,
    event_topic,
    health_topic,
    keys_topic,
    parse_topic,
    portal_filters,
    signal_topic,
    state_topic,
)

ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(ids, ids)
def test_topics_are_read_as_they_were_made(device, name):
    assert parse_topic("a/b", state_topic("a/b", device)) == Topic(device, "state")
    assert parse_topic("a/b", health_topic("a/b", device)) == Topic(device, "health")
    assert parse_topic("a/b", event_topic("a/b", device, name)) == Topic(device, "event", name)
    if name not in ("state", "health"):
        assert parse_topic("a/b", keys_topic("a/b", name)) == Topic("", "keys", name)
    assert parse_topic("a/b", signal_topic("a/b", device, name, "in")) == Topic(device, "in", name)
    assert parse_topic("a/b", signal_topic("a/b", device, name, "out")) == Topic(device, "out", name)


def test_the_wire_has_these_topics():
    assert state_topic("pinhole", "door") == "pinhole/v1/door/state"
    assert health_topic("pinhole", "door") == "pinhole/v1/door/health"
    assert event_topic("pinhole", "door", "camera-failed") == "pinhole/v1/door/event/camera-failed"
    assert signal_topic("pinhole", "door", "s1", "in") == "pinhole/v1/door/signal/s1/in"
    assert device_filters("pinhole", "door") == (
        "pinhole/v1/keys/+",
        "pinhole/v1/door/signal/+/in",
        "pinhole/v1/door/command/look/in",
    )
    assert keys_topic("pinhole", "k1") == "pinhole/v1/keys/k1"
    assert portal_filters("pinhole") == (
        "pinhole/v1/+/state",
        "pinhole/v1/+/health",
        "pinhole/v1/+/event/+",
        "pinhole/v1/+/signal/+/out",
    )


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "$SYS", "a\n", "a b", "é", "a" * 65])
def test_a_hostile_name_never_becomes_a_level(name):
    for make in (
        lambda: state_topic("p", name),
        lambda: event_topic("p", "door", name),
        lambda: signal_topic("p", "door", name, "in"),
        lambda: signal_topic("p", name, "s", "out"),
        lambda: device_filters("p", name),
        lambda: parse_topic("p", f"p/v1/{name}/state"),
        lambda: parse_topic("p", f"p/v1/door/signal/{name}/in"),
    ):
        with pytest.raises(MessageError):
            make()


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "p/v1/door",
        "p/v2/door/state",
        "q/v1/door/state",
        "p/v1/door/state/x",
        "p/v1/door/signal/s/up",
        "xp/v1/door/state",
        "$share/g/p/v1/door/state",
    ],
)
def test_what_is_none_of_ours_is_refused(topic):
    with pytest.raises(MessageError) as caught:
        parse_topic("p", topic)
    assert caught.value.code == "unknown-topic"
