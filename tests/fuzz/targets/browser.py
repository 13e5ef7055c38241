"""Messages of two browsers to the gateway, one of them hostile."""

import contextlib
import json

from fuzz.gateway import World
from fuzz.target import Target, join, steps

from agent.errors import MessageError
from agent.model.signal import Answer, Bye, Reject

OURS = "a" * 32
MAX_STEPS = 64


def check(data: bytes) -> None:
    """Nothing is raised, what is kept has a bound, and nobody else's session is touched."""
    world = World()
    world.say(0, json.dumps({"type": "offer", "session": OURS, "device": "front", "sdp": "v=0"}))
    sent = len(world.bus.sent)
    for number, step in enumerate(steps(data)):
        if number == MAX_STEPS:
            break
        kind, text = step[:1] or b"\0", step[1:].decode(errors="replace")
        match kind[0] % 4:
            case 0 | 1:
                world.say(1, text)
            case 2:
                world.now_s += kind[0] / 8
                world.gateway.tick()
            case _:
                message = (Answer(kind[0], "n" * 22, "v=0"), Reject(kind[0], "no", text[:100]), Bye(kind[0]))[
                    kind[0] % 3
                ]
                with contextlib.suppress(MessageError):  # an answer to another offer is refused
                    world.gateway.on_signal("front", text[:32], message)
    world.check()
    others = [session for _, session, _ in world.bus.sent[sent:] if session == OURS]
    assert not others or world.now_s > 10_000, "a stranger's message reached the device in our session"


def seeds() -> list[bytes]:
    """A session from offer to bye, two of them at once, and one that is another's."""
    offer = {"type": "offer", "session": "b" * 32, "device": "front", "sdp": "v=0"}
    candidate = {"type": "candidate", "session": "b" * 32, "candidate": "candidate:1"}
    texts = [
        offer,
        candidate,
        offer | {"restart": True},
        {"type": "bye", "session": "b" * 32},
        {"type": "bye", "session": OURS},
        offer | {"session": OURS, "restart": True},
        {"type": "resume", "session": "b" * 32, "device": "front"},
        {"type": "resume", "session": OURS, "device": "front", "stream": "preview"},
        {"type": "ping"},
    ]
    said = [b"\0" + json.dumps(text).encode() for text in texts]
    return [
        join(*said),
        join(said[0], b"\3" + b"b" * 32, b"\x52", said[2], b"\7" + b"b" * 32, said[1]),
        join(*(b"\0" + json.dumps(offer | {"session": f"{n:032x}"}).encode() for n in range(40))),
    ]


TARGET = Target("browser", "Messages over the WebSocket: a signed-in browser.", check, seeds, max_bytes=8192)
