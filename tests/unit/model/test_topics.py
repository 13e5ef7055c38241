import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import MessageError
from agent.model.topics import (
    TABLE,
    Topic,
    device_filters,
    encode_topic,
    kept_topics,
    parse_topic,
    portal_filters,
    unkept_filters,
)

ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda name: name != "keys")


def topics(device, name):
    """One of each channel."""
    for channel, row in TABLE.items():
        yield Topic(
            device if "{device}" in row.levels else "", channel, name if "{name}" in row.levels else ""
        )


@given(ids, ids)
def test_topics_are_read_as_they_were_made(device, name):
    for topic in topics(device, name):
        assert parse_topic("a/b", encode_topic("a/b", topic)) == topic


def test_the_wire_has_these_topics():
    assert [encode_topic("pinhole", topic) for topic in topics("door", "n1")] == [
        "pinhole/v1/keys/n1",
        "pinhole/v1/door/state",
        "pinhole/v1/door/sections",
        "pinhole/v1/door/health",
        "pinhole/v1/door/event/n1",
        "pinhole/v1/door/signal/events/in",
        "pinhole/v1/door/signal/n1/in",
        "pinhole/v1/door/command/look/in",
        "pinhole/v1/door/signal/events/out",
        "pinhole/v1/door/signal/n1/out",
    ]
    assert device_filters("pinhole", "door") == (
        "pinhole/v1/keys/+",
        "pinhole/v1/door/signal/+/in",
        "pinhole/v1/door/command/look/in",
    )
    assert portal_filters("pinhole") == (
        "pinhole/v1/+/state",
        "pinhole/v1/+/sections",
        "pinhole/v1/+/health",
        "pinhole/v1/+/event/+",
        "pinhole/v1/+/signal/+/out",
    )
    assert portal_filters("pinhole") == (
        "pinhole/v1/+/state",
        "pinhole/v1/+/sections",
        *unkept_filters("pinhole"),
    )


def test_all_that_a_device_can_leave_at_the_broker_by_whole_topics_is_known():
    assert set(kept_topics("p", "door")) == {
        "p/v1/door/state",
        "p/v1/door/sections",
        "p/v1/door/health",
        *(f"p/v1/door/event/{kind}" for kind in TABLE["event"].names),
    }


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "$SYS", "a\n", "a b", "é", "a" * 65, "{name}"])
def test_a_hostile_name_never_becomes_a_level(name):
    hostile = [
        *(Topic("door", channel, name) for channel, row in TABLE.items() if "{name}" in row.levels),
        *(Topic(name, channel, "s") for channel, row in TABLE.items() if "{device}" in row.levels),
    ]
    for make in (
        *(lambda topic=topic: encode_topic("p", topic) for topic in hostile),
        lambda: device_filters("p", name),
        lambda: kept_topics("p", name),
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
        "p/v1/door/command/restart/in",
        "xp/v1/door/state",
        "$share/g/p/v1/door/state",
    ],
)
def test_what_is_none_of_ours_is_refused(topic):
    with pytest.raises(MessageError) as caught:
        parse_topic("p", topic)
    assert caught.value.code == "unknown-topic"
