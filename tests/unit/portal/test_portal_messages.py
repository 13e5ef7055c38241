import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import MessageError
from agent.model.signal import IceServer
from agent.portal.messages import (
    MAX_MESSAGE_BYTES,
    BrowserBye,
    BrowserOffer,
    Device,
    Hello,
    SessionReject,
    encode_to_browser,
    fitting_devices,
    parse_from_browser,
)

SESSION = "0123456789abcdef" * 2
OFFER = {"type": "offer", "session": SESSION, "device": "front", "sdp": "v=0", "relay_only": True}


def device(name="Front", problem=""):
    streams = {"main": {"width_px": 1280, "height_px": 720, "fps": 30.0, "bitrate_bps": 2_000_000}}
    camera = {"state": "idle", "problem": problem}
    return Device(
        "front", 1.0, {"portal": {"name": name, "online": True}, "camera": camera, "streams": streams}
    )


def refused(message):
    with pytest.raises(MessageError) as caught:
        parse_from_browser(message if isinstance(message, str) else json.dumps(message))
    return caught.value


def test_what_a_browser_may_say():
    assert parse_from_browser(json.dumps(OFFER)) == BrowserOffer(**OFFER)
    assert parse_from_browser(json.dumps({"type": "bye", "session": SESSION})) == BrowserBye(
        type="bye", session=SESSION
    )


@pytest.mark.parametrize(
    "message",
    [{}, [], 1, None, "text", {"type": 1}, {"type": "launch"}, {"type": "hello", "session": SESSION}],
)
def test_unknown_types_are_refused(message):
    assert refused(json.dumps(message)).code in ("unknown-type", "malformed")
    assert refused({"type": "launch"}).code == "unknown-type"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"session": "A" * 32}, "session"),
        ({"session": SESSION + "0"}, "session"),
        ({"session": SESSION + "\n"}, "session"),
        ({"device": "a/b"}, "device"),
        ({"device": "+"}, "device"),
        ({"device": ""}, "device"),
        ({"sdp": ""}, "sdp"),
        ({"sdp": "x" * (48 * 1024 + 1)}, "sdp"),
        ({"sdp": 7}, "sdp"),
        ({"relay_only": "yes"}, "relay_only"),
        ({"relay_only": 1}, "relay_only"),
        ({"user": "root"}, "user"),
    ],
)
def test_a_bad_field_is_named(change, where):
    error = refused(OFFER | change)
    assert error.code == "malformed"
    assert where in str(error)


def test_a_large_message_is_refused():
    assert refused(json.dumps(OFFER) + " " * MAX_MESSAGE_BYTES).code == "too-large"


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr))
def test_no_text_does_worse_than_a_message_error(text):
    with pytest.raises(MessageError):
        parse_from_browser(text)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["offer", "candidate", "bye"])},
        optional={
            "session": st.text() | st.just(SESSION),
            "device": st.text(),
            "sdp": st.text(),
            "candidate": st.text() | st.none(),
        },
    )
)
def test_any_object_is_parsed_or_refused(message):
    try:
        parsed = parse_from_browser(json.dumps(message))
    except MessageError as exc:
        code = exc.code
    else:
        code = "fine" if parsed.session == SESSION else "wrong"
    assert code in ("fine", "malformed")


def test_what_is_unknown_is_left_out():
    hello = json.loads(
        encode_to_browser(Hello("1", "viewer", True, (IceServer(("stun:s:1",)),), None, (device(),)))
    )
    assert hello["ice_servers"] == [{"urls": ["stun:s:1"]}]
    assert "ice_expires_at" not in hello
    assert hello["devices"][0]["sections"]["streams"]["main"]["width_px"] == 1280
    assert json.loads(encode_to_browser(SessionReject(SESSION, "busy", "full")))["type"] == "reject"


def test_a_hello_takes_as_many_devices_as_fit():
    devices = [device("☃" * 512, "💥" * 512) for _ in range(300)]
    fitting = fitting_devices(devices, 40_000)
    assert 1 < len(fitting) < 300
    hello = Hello("1", "v", True, (), None, fitting)
    assert len(encode_to_browser(hello).encode()) < MAX_MESSAGE_BYTES
    assert fitting_devices(devices[:2], 40_000) == tuple(devices[:2])
    assert fitting_devices([], 100) == ()


def test_a_refusal_quotes_little_of_what_it_refuses():
    with pytest.raises(MessageError) as refused:
        parse_from_browser('{"type":"' + "\u2028" * 20_000 + '"}')
    assert len(str(refused.value)) <= 300
