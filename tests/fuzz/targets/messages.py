"""Signaling messages as whoever reaches the broker may write them."""

from fuzz.target import Target

from agent.errors import MessageError
from agent.model.event import Confirm, Event, Events
from agent.model.health import Health, HealthFault
from agent.model.keys import KeySet
from agent.model.sections import SectionsMessage
from agent.model.signal import (
    Answer,
    BareEvent,
    Bye,
    Candidate,
    Command,
    IceServer,
    Offer,
    Reject,
    Renew,
    Restart,
    Result,
    State,
    StreamInfo,
)
from agent.signaling.messages import (
    encode,
    parse_bare_event,
    parse_confirm,
    parse_events,
    parse_from_device,
    parse_health,
    parse_keys,
    parse_sections,
    parse_state,
    parse_to_device,
)

PARSERS = (
    parse_to_device,
    parse_from_device,
    parse_state,
    parse_bare_event,
    parse_events,
    parse_confirm,
    parse_health,
    parse_keys,
    parse_sections,
)
CODES = {"too-large", "malformed", "unknown-version", "unknown-type", "invalid"}
MAX_WORDS = 600
NONCE = "n" * 22


def check(data: bytes) -> None:
    """Each parser gives a message that survives another round, or one of the documented refusals."""
    for parse in PARSERS:
        try:
            message = parse(data)
        except MessageError as exc:
            assert exc.code in CODES, exc.code
            assert len(str(exc)) < MAX_WORDS
            assert str(exc).isprintable()
            continue
        assert parse(encode(message)) == message


def seeds() -> list[bytes]:
    """One of each type, and of each way in which they may be wrong."""
    servers = (IceServer(("stun:s.example",)), IceServer(("turn:t.example:3478",), "user", "secret"))
    messages = (
        Offer(
            0, NONCE, 1e9, 1e9 + 30, "b1", "ann", ("watch", "control"), "v=0\r\n", servers, relay_only=True
        ),
        Answer(0, NONCE, "v=0\r\n"),
        Candidate(1, "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"),
        Reject(2, "too-many-viewers", "at most 8", 10.0),
        Restart(3, "the network changed"),
        Renew(5, 1e9, 180.0, "ann", ("watch",)),
        Bye(4, "left"),
        Command(1e9, 1e9 + 60, "b1", "ann", ("watch", "control"), "identify", {"seconds": 2.5, "a": [None]}),
        Result(0, "c1", "identify", ok=False, code="no-led", message="no LED", value={"a": {"b": True}}),
        State(
            "b1", online=True, since=1.7e9, name="Door", streams=(StreamInfo("main", 1280, 720, 30.0, 10**6),)
        ),
        SectionsMessage("b1", 3, {"modem": {"rssi_dbm": -71.5, "cells": [{"id": 7}, "x"], "is_up": True}}),
        BareEvent("camera-failed", 1.7e9, "no frame", {"after_s": 3.5, "restarts": 2, "final": False}),
        Events(1.7e9, (Event("b1-1", "motion", "info", "camera", 1.7e9, "a cat", "running", until=1.8e9),)),
        Confirm(("b1-1", "b1-2")),
        KeySet(7, 1.7e9, ("A" * 43,)),
        Health(1.7e9, "symmetric", is_carrier=True, faults=(HealthFault("broker", "away", "look"),)),
    )
    wrong = (
        b"",
        b"{}",
        b"[]",
        b'{"v":1}',
        b'{"v":2,"type":"offer"}',
        b'{"v":1,"type":"bye","seq":1e9}',
        b"\xff{",
    )
    return [*map(encode, messages), *wrong]


TARGET = Target("messages", "Signaling messages: whoever reaches the broker.", check, seeds)
