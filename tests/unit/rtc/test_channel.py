"""The control channel answers what it knows and refuses the rest in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.signal import Result
from agent.rtc.channel import MAX_ERROR_CHARS, MAX_REQUEST_BYTES, Stats, reply

STATS = Stats(
    "main",
    "main",
    "host",
    None,
    2_000_000,
    2_100_000,
    3_000_000,
    4,
    12.5,
    0.0,
    30,
    0,
    1,
    2,
    2_000_000,
    "synthetic",
    1.5,
    None,
)


ID = "0f" * 16


def do(command, name, arguments, _later):
    """A device that knows one command, and says what it got."""
    is_known = name == "identify"
    return Result(0, command, name, is_known, "done" if is_known else "unknown-command", "", arguments)


@pytest.fixture
def keyframes():
    return []


@pytest.fixture
def late():
    return []


@pytest.fixture
def ask(keyframes, late):
    def ask(message, do=do):
        text = reply(
            message,
            unix_ms=5.5,
            stats=lambda: STATS,
            request_keyframe=lambda: keyframes.append("asked"),
            want_stream=keyframes.append,
            command=do,
            later=late.append,
        )
        return text if text is None else json.loads(text)

    return ask


def test_ping_carries_the_clock_back(ask):
    assert ask('{"type":"ping","id":7}') == {"type": "pong", "id": 7, "unix_ms": 5.5}


def test_stats_are_the_senders_view(ask):
    answer = ask('{"type":"stats"}')
    assert (answer["type"], answer["path"], answer["rtt_ms"], answer["viewers"]) == ("stats", "host", 12.5, 2)


def test_keyframe_is_asked_for_and_needs_no_answer(ask, keyframes):
    assert ask(b'{"type":"keyframe"}') is None
    assert keyframes == ["asked"]


def test_another_stream_is_a_wish_and_needs_no_answer(ask, keyframes):
    assert ask('{"type":"stream","name":"preview"}') is None
    assert keyframes == ["preview"]


def test_a_command_is_answered_under_its_id(ask):
    asked = {"type": "command", "id": ID, "name": "identify", "arguments": {"seconds": 5}}
    wanted = {"type": "result", "id": ID, "ok": True, "code": "done", "message": "", "value": {"seconds": 5}}
    assert ask(json.dumps(asked)) == wanted
    assert ask(json.dumps(asked | {"name": "fly"}))["code"] == "unknown-command"


def test_a_command_that_takes_a_while_is_answered_when_it_is_done(ask, late):
    waiting = []
    asked = {"type": "command", "id": ID, "name": "snapshot"}
    assert ask(json.dumps(asked), lambda *told: waiting.append(told)) is None
    [(command, name, _, later)] = waiting
    later(Result(0, command, name, ok=True, code="done", value={"jpeg": ""}))
    [told] = map(json.loads, late)
    assert (told["type"], told["id"], told["value"]) == ("result", ID, {"jpeg": ""})


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "invalid"),
        ("[]", "invalid"),
        ('{"type":"reboot"}', "invalid"),
        ('{"type":"stream","name":"third"}', "invalid"),
        ('{"type":"ping"}', "invalid"),
        ('{"type":"command","id":"short","name":"reboot"}', "invalid"),
        ('{"type":"command","name":"reboot"}', "invalid"),
        ('{"type":"ping","id":"7"}', "invalid"),
        ('{"type":"ping","id":-1}', "invalid"),
        (b"\xff\xfe", "invalid"),
        (" " * (MAX_REQUEST_BYTES + 1), "too-large"),
    ],
)
def test_what_it_does_not_know_is_an_error_with_a_code(ask, keyframes, message, code):
    answer = ask(message)
    assert (answer["type"], answer["code"]) == ("error", code)
    assert answer["message"]
    assert keyframes == []


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_nothing_a_viewer_sends_can_raise(message):
    text = reply(
        message,
        unix_ms=0.0,
        stats=lambda: STATS,
        request_keyframe=lambda: None,
        want_stream=lambda _: None,
        command=do,
        later=lambda _: None,
    )
    assert text is None or json.loads(text)["type"] in {"pong", "stats", "error", "result"}


def test_a_refusal_quotes_little_of_what_it_refuses(ask):
    answer = ask('{"type":"' + "\u2028" * 300 + '"}')
    assert answer["type"] == "error"
    assert len(answer["message"]) <= MAX_ERROR_CHARS
