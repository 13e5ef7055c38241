"""What the portal says, and which camera is meant."""

import json

import pytest

from agent.client.device import Device
from agent.client.session import Answer, Hello, _choose, _parse
from agent.errors import PortalError

SESSION = "0" * 32


def device(name: str, *, online: bool = True) -> Device:
    return Device(id=name, name=name.title(), online=online)


def test_hello_is_read_and_news_are_ignored():
    hello = _parse(
        json.dumps(
            {
                "type": "hello",
                "version": "9",
                "user": "viewer",
                "ice_servers": [{"urls": ["stun:h:3478"]}],
                "devices": [{"id": "gate", "online": True, "future": 1}],
            }
        )
    )
    assert isinstance(hello, Hello)
    assert hello.devices[0].id == "gate"
    assert _parse('{"type": "weather"}') is None


def test_an_answer_is_read():
    answer = _parse(json.dumps({"type": "answer", "session": SESSION, "sdp": "v=0"}))
    assert answer == Answer(type="answer", session=SESSION, sdp="v=0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"type": "answer"}',
        '{"type": "answer", "session": "x", "sdp": "v=0"}',
        '{"type": "hello", "devices": [{"id": "../x", "online": true}]}',
        '{"type": "hello", "ice_servers": [{"urls": ["http://x"]}]}',
    ],
)
def test_what_is_malformed_is_the_portals_fault(text):
    with pytest.raises(PortalError, match="malformed"):
        _parse(text)


def test_the_only_camera_needs_no_name():
    assert _choose({"gate": device("gate")}, None).id == "gate"


def test_of_several_one_must_be_chosen():
    several = {"gate": device("gate"), "yard": device("yard", online=False)}
    with pytest.raises(PortalError, match=r"--device:\n  gate  Gate\n  yard  Yard  \(offline\)"):
        _choose(several, None)
    assert _choose(several, "gate").id == "gate"
    with pytest.raises(PortalError, match="no camera roof; there are:\n  gate"):
        _choose(several, "roof")


def test_an_offline_camera_says_so():
    with pytest.raises(PortalError, match="yard is offline"):
        _choose({"yard": device("yard", online=False)}, "yard")


def test_no_camera_at_all():
    with pytest.raises(PortalError, match="is an agent running"):
        _choose({}, None)
