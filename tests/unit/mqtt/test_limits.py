import pytest

from agent.model.publication import Publication
from agent.mqtt.limits import (
    MAX_INFLIGHT,
    Limits,
    fit,
    lacks,
    learn,
    packet_bytes,
    read_limits,
    too_large,
)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, Limits()),
        ({"ReceiveMaximum": 3, "TopicAliasMaximum": 10}, Limits(inflight=3)),
        ({"ReceiveMaximum": 65535}, Limits(inflight=MAX_INFLIGHT)),
        ({"MaximumPacketSize": 2048}, Limits(max_packet_bytes=2048)),
        ({"RetainAvailable": 0}, Limits(has_retain=False)),
        ({"RetainAvailable": 1}, Limits()),
        ({"MaximumQoS": 0}, Limits(max_qos=0)),
        ({"MaximumQoS": 1}, Limits()),
    ],
)
def test_what_connack_says(properties, expected):
    assert read_limits(properties) == expected


def test_what_a_refused_will_says():
    assert learn(Limits(), 0x9A) == Limits(has_retain=False)
    assert learn(Limits(has_retain=False), 0x9B) == Limits(has_retain=False, max_qos=0)
    assert learn(Limits(), 0x87) == Limits()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [(Limits(), (1, True)), (Limits(has_retain=False), (1, False)), (Limits(max_qos=0), (0, True))],
)
def test_what_is_asked_for_is_what_the_broker_has(limits, expected):
    assert fit(Publication("t", b"x", retain=True), limits) == expected
    assert fit(Publication("t", b"x", qos=0), limits) == (0, False)


@pytest.mark.parametrize(
    ("publication", "version", "expected"),
    [
        # Fixed header 2, topic 2 + 1, packet identifier 2, payload 1.
        (Publication("t", b"x"), "3.1.1", 8),
        (Publication("t", b"x", qos=0), "3.1.1", 6),
        (Publication("t", b"x"), "5", 9),  # and the properties' length
        (Publication("t", b"x", expires_s=1.0), "5", 14),
        (Publication("ü", b"x"), "3.1.1", 9),
        (Publication("t", b"x" * 122), "3.1.1", 129),  # 127 bytes are the most that one byte of length says
        (Publication("t", b"x" * 123), "3.1.1", 131),
        (Publication("t", b"x" * 16_378), "3.1.1", 16_386),
        (Publication("t", b"x" * 16_379), "3.1.1", 16_388),
    ],
)
def test_the_size_of_a_packet_is_what_paho_sends(publication, version, expected):
    assert packet_bytes(publication, version) == expected


def test_a_message_at_the_limit_is_sent_and_one_above_it_has_words():
    at, above = Publication("t", b"x" * 92), Publication("t", b"x" * 93)
    limits = Limits(max_packet_bytes=packet_bytes(at, "5"))
    assert too_large(at, limits, "5") == ""
    assert "takes 100 bytes a message, and this one has 101" in too_large(above, limits, "5")
    assert too_large(above, Limits(), "5") == ""


def test_what_a_broker_lacks_says_what_to_change():
    assert lacks(Limits()) == []
    assert "retain_available true" in lacks(Limits(has_retain=False))[0]
    assert "max_qos" in lacks(Limits(max_qos=0))[0]
