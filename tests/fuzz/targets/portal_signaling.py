"""The portal's end of signaling: a device that is enrolled and hostile, and anybody else at the broker."""

import functools
from typing import Any

from fuzz.gateway import World
from fuzz.target import Target, join, steps

from agent.model.event import Event, Events
from agent.model.sections import SectionsMessage
from agent.model.signal import Answer, BareEvent, Bye, Candidate, Reject, State
from agent.model.topics import Topic, encode_topic
from agent.signaling.messages import encode
from agent.signaling.portal import PortalSignaling
from agent.signaling.trust import SigningKey, make_signing_key

DEVICE = "front"
NOW_S = 1_800_000_000.0


@functools.cache
def _key() -> SigningKey:
    return SigningKey(make_signing_key())


def check(data: bytes) -> None:
    """Nothing is raised; what is unsigned, or signed for another's topic, has no effect and is counted."""
    world = World()
    heard: list[tuple[Any, ...]] = []

    class Listener:
        def expects(self, *_: str) -> bool:
            return True

        def __getattr__(self, name: str) -> Any:
            def note(*arguments: Any) -> None:
                heard.append(arguments)
                getattr(world.gateway, name)(*arguments)

            return note

    class Intake:
        def on_events(self, *arguments: Any) -> None:
            heard.append(arguments)

        on_bare_event = on_events

    signaling = PortalSignaling(
        "pinhole",
        lambda *_, **__: True,
        Listener(),
        Intake(),
        signing=None,  # type: ignore[arg-type]  # it signs nothing here
        device_key=lambda name: _key().public if name == DEVICE else None,
    )
    for step in steps(data):
        kind, body = step[:1] or b"\0", step[1:]
        named, _, payload = body.partition(b"\n")
        topic = named.decode(errors="replace")
        before = len(heard)
        signaling.on_message(topic, _key().seal(topic, payload) if kind[0] & 1 else payload, NOW_S)
        if not kind[0] & 1 or f"/{DEVICE}/" not in topic:
            assert len(heard) == before
        assert all(arguments[0] == DEVICE for arguments in heard)
    world.check()


def seeds() -> list[bytes]:
    """One of each, signed and not, and for another device."""
    out = encode_topic("pinhole", Topic(DEVICE, "out", "a" * 32))
    messages = [
        (encode_topic("pinhole", Topic(DEVICE, "state")), encode(State("b2", online=True, since=1.0))),
        (
            encode_topic("pinhole", Topic(DEVICE, "sections")),
            encode(SectionsMessage("b2", 0, {"camera": {"lux": 3}, "streams": {"main": {"fps": 1}}})),
        ),
        (out, encode(Answer(0, "n" * 22, "v=0"))),
        (out, encode(Candidate(1, "candidate:1"))),
        (out, encode(Reject(2, "no", "no"))),
        (out, encode(Bye(3))),
        (
            encode_topic("pinhole", Topic(DEVICE, "event", "camera-failed")),
            encode(BareEvent("camera-failed", 1.0, "no", {})),
        ),
        (
            encode_topic("pinhole", Topic(DEVICE, "events")),
            encode(Events(1.0, (Event("b2-1", "new", "odd", "roof", 1.0, "?", "running"),))),
        ),
        (encode_topic("pinhole", Topic(DEVICE, "health")), b'{"v":1,"type":"health"}'),
    ]
    lines = [topic.encode() + b"\n" + payload for topic, payload in messages]
    other = encode_topic("pinhole", Topic("back", "state")).encode() + b"\n" + messages[0][1]
    return [
        join(*(b"\1" + line for line in lines)),
        join(*(b"\0" + line for line in lines), b"\1" + other),
    ]


TARGET = Target("portal-signaling", "Messages of devices to the portal: the broker.", check, seeds)
