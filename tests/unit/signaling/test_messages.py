"""Bytes to messages and back: what a hostile or a newer peer may send, and what comes of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import MessageError
from agent.model.signal import (
    MAX_MESSAGE_BYTES,
    Answer,
    BareEvent,
    Bye,
    Candidate,
    IceServer,
    Offer,
    Reject,
    Renew,
    State,
    StreamInfo,
)
from agent.model.text import clip
from agent.signaling import schema
from agent.signaling.messages import (
    encode,
    parse_bare_event,
    parse_confirm,
    parse_events,
    parse_from_device,
    parse_sections,
    parse_state,
    parse_to_device,
)

SCHEMAS = Path(__file__).parents[2] / "data" / "schema"
PARSERS = (
    parse_to_device,
    parse_from_device,
    parse_state,
    parse_sections,
    parse_bare_event,
    parse_events,
    parse_confirm,
)

texts = st.text(st.characters(codec="utf-8"), max_size=512)
sdps = st.text(st.characters(codec="utf-8"), min_size=1, max_size=2000)
seqs = st.integers(0, 2**31 - 1)
times = st.floats(0, 2**40)
ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
lines = st.text(st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="\x7f"), max_size=512)
codes = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True)
urls = st.builds("{}:{}".format, st.sampled_from(["stun", "stuns", "turn", "turns"]), ids)
servers = st.builds(
    IceServer, st.lists(urls, min_size=1, max_size=8).map(tuple), st.none() | texts, st.none() | texts
)
nonces = st.from_regex(r"[A-Za-z0-9_-]{22,64}", fullmatch=True)
permissions = st.lists(st.sampled_from(["watch", "control", "manage"]), max_size=3).map(tuple)
offers = st.builds(
    Offer,
    seqs,
    nonces,
    times,
    times,
    ids,
    texts,
    permissions,
    sdps,
    st.lists(servers, max_size=4).map(tuple),
    st.booleans(),
    lease_s=st.none() | st.floats(1, 3600),
)
renewals = st.builds(Renew, seqs, times, st.floats(1, 3600), texts, permissions)
candidates = st.builds(Candidate, seqs, lines)
byes = st.builds(Bye, seqs, texts)
answers = st.builds(Answer, seqs, nonces, sdps)
rejects = st.builds(Reject, seqs, codes, texts, st.none() | st.floats(0, 3600))
streams = st.builds(
    StreamInfo,
    ids,
    st.integers(1, 16384),
    st.integers(1, 16384),
    st.floats(1, 1000),
    st.integers(0, 10**10),
)
states = st.builds(
    State,
    ids,
    st.booleans(),
    times,
    texts,
    texts,
    st.sampled_from(["idle", "starting", "live", "failed"]),
    texts,
    texts,
    st.lists(streams, max_size=8).map(tuple),
    st.integers(0, 10**6),
    st.booleans(),
)
details = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True),
    texts | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    max_size=16,
)
events = st.builds(BareEvent, st.sampled_from(["camera-failed", "camera-recovered"]), times, texts, details)

OFFER = {
    "v": 1,
    "type": "offer",
    "seq": 0,
    "nonce": "n" * 22,
    "issued_at": 1.0,
    "expires_at": 1.5,
    "boot_id": "b1",
    "user": "ann",
    "permissions": ["watch"],
    "sdp": "v=0\r\n",
}


def refusal(parse, payload):
    with pytest.raises(MessageError) as caught:
        parse(payload)
    return caught.value.code


def wire(**changes):
    return json.dumps({key: value for key, value in (OFFER | changes).items() if value is not ...}).encode()


@given(offers | candidates | renewals | byes)
def test_what_a_portal_sends_arrives_as_it_was(message):
    assert parse_to_device(encode(message)) == message


def test_a_device_that_knows_no_leases_gets_an_offer_as_ever():
    """Byte for byte: it refuses what it does not know."""
    message = Offer(0, "n" * 22, 1.0, 31.0, "b1", "ann", ("watch",), "v=0")
    assert encode(message) == (
        b'{"seq":0,"nonce":"nnnnnnnnnnnnnnnnnnnnnn","issued_at":1.0,"expires_at":31.0,"boot_id":"b1",'
        b'"user":"ann","permissions":["watch"],"sdp":"v=0","ice_servers":[],"relay_only":false,'
        b'"restart":false,"stream":"main","challenge":null,"type":"offer","v":1}'
    )


@given(answers | candidates | rejects | byes)
def test_what_a_device_sends_arrives_as_it_was(message):
    assert parse_from_device(encode(message)) == message


@given(states)
def test_a_state_arrives_as_it_was(state):
    assert parse_state(encode(state)) == state


@given(events)
def test_an_event_arrives_as_it_was(event):
    assert parse_bare_event(encode(event)) == event


def only_refuses(payload):
    refusals = []
    for parse in PARSERS:
        try:
            parse(payload)
        except MessageError as error:
            refusals.append(error)
    for error in refusals:
        assert error.code in {"too-large", "malformed", "unknown-version", "unknown-type", "invalid"}
        assert str(error).isascii()  # fit for a log, whatever came
        assert str(error).isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(payload):
    only_refuses(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_read_or_refused(value):
    only_refuses(json.dumps(value).encode())


@given(st.dictionaries(st.sampled_from([*OFFER, "reason", "code", "candidate", "x\n\x1b"]), json_values))
def test_any_value_in_any_key_is_read_or_refused(changes):
    for kind in ("offer", "candidate", "bye", "answer", "reject", "state", "event"):
        only_refuses(json.dumps({**OFFER, "type": kind, **changes}).encode())


def sections(said, **changes):
    message = {"v": 1, "type": "sections", "boot_id": "b1", "seq": 0, "sections": said} | changes
    return json.dumps(message).encode()


@given(json_values)
def test_any_section_is_read_or_refused(value):
    only_refuses(sections(value))
    only_refuses(sections({"modem": value}))
    only_refuses(sections({"modem": {"cells": value}}))


def test_a_section_that_nobody_knows_is_read_as_it_is():
    said = {"modem": {"rssi_dbm": -71.5, "cells": [{"id": 7}, "x"], "sim": {"is_locked": False}}}
    assert parse_sections(sections(said)).sections == said


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"modem": {"a": {"b": {"c": 1}}}}, "invalid"),
        ({"modem": {"a": [[1]]}}, "invalid"),
        ({"modem": {"a": None}}, "invalid"),
        ({"modem": {"a": 1e400}}, "invalid"),
        ({"modem": {"a": "x" * 513}}, "invalid"),
        ({"modem": {"a": {"__proto__": 1}}}, "invalid"),
        ({"modem": {f"a{n}": 1 for n in range(33)}}, "invalid"),
        ({"modem": {"a": [1] * 33}}, "invalid"),
        ({"Modem": {}}, "invalid"),
        ({f"s{n}": {} for n in range(33)}, "invalid"),
        ({"modem": {f"a{n}": "x" * 512 for n in range(16)}}, "too-large"),
    ],
)
def test_a_section_holds_so_much_and_no_more(said, code):
    assert refusal(parse_sections, sections(said)) == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "malformed"),
        (b"\xff\xfe\x00", "malformed"),
        (b"[1]", "malformed"),
        (b"null", "malformed"),
        (wire()[:-1], "malformed"),
        (b"[" * 60_000, "malformed"),
        (b" " * (MAX_MESSAGE_BYTES + 1), "too-large"),
        (wire(v=...), "unknown-version"),
        (wire(v=2), "unknown-version"),
        (wire(v=True), "unknown-version"),
        (wire(v="1"), "unknown-version"),
        (wire(v=2, type="offer2", other={}), "unknown-version"),
        (wire(type=...), "unknown-type"),
        (wire(type="answer"), "unknown-type"),
        (wire(type=["offer"]), "unknown-type"),
        (wire(type={}), "unknown-type"),
        (wire(extra=1), "invalid"),
        (wire(sdp=...), "invalid"),
        (wire(sdp=""), "invalid"),
        (wire(sdp="x" * (48 * 1024 + 1)), "invalid"),
        (wire(seq="0"), "invalid"),
        (wire(seq=-1), "invalid"),
        (wire(seq=2**31), "invalid"),
        (wire(expires_at=float("nan")), "invalid"),
        (wire(expires_at=float("inf")), "invalid"),
        (wire(relay_only=1), "invalid"),
        (wire(nonce="n" * 21), "invalid"),
        (wire(permissions=["watch", "fly"]), "invalid"),
        (wire(ice_servers=[{"urls": ["http://example.org"]}]), "invalid"),
        (wire(ice_servers=[{"urls": []}]), "invalid"),
        (wire(ice_servers=[{"urls": ["stun:a"], "more": 1}]), "invalid"),
        (b'{"v":1,"type":"candidate","seq":0,"candidate":"candidate:1\\r\\na=x"}', "invalid"),
    ],
)
def test_a_refusal_has_its_code(payload, code):
    assert refusal(parse_to_device, payload) == code


def test_an_invalid_message_names_the_key_and_the_rule():
    with pytest.raises(MessageError, match=r"sdp.*at least 1 character"):
        parse_to_device(wire(sdp=""))


def test_a_message_of_the_largest_size_is_read():
    message = wire(sdp="x" * 40_000)
    assert parse_to_device(message + b" " * (MAX_MESSAGE_BYTES - len(message))).sdp == "x" * 40_000


def test_what_the_other_end_would_refuse_is_not_sent():
    assert refusal(encode, Bye(seq=-1)) == "invalid"
    assert refusal(encode, Bye(0, "\ud800")) == "invalid"
    assert refusal(encode, Answer(0, "n" * 22, "é" * 40_000)) == "too-large"


def test_clipped_text_can_always_be_sent():
    assert encode(Bye(0, clip("é\ud800" * 1000)))


@pytest.mark.parametrize("name", sorted(schema.schemas()))
def test_the_schema_on_file_is_the_types(name):
    on_file = (SCHEMAS / f"{name}.json").read_text(encoding="utf-8")
    assert on_file == schema.text(schema.schemas()[name]), (
        "the messages changed: run `python -m agent.signaling.schema tests/data/schema`, "
        "and raise VERSION unless older peers still understand"
    )


def test_no_schema_on_file_is_left_over():
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {*schema.schemas(), "commands"}


def test_the_commands_schemas_on_file_are_the_tables():
    assert (SCHEMAS / schema.COMMANDS_FILE).read_text(encoding="utf-8") == schema.text(schema.commands())
