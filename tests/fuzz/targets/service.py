"""A device's end of signaling: messages in any order on any topic."""

import struct

from fuzz.target import Target, join, steps

from agent.errors import NegotiationError
from agent.model.signal import Bye, Candidate, Offer
from agent.signaling.messages import encode, parse_from_device
from agent.signaling.service import MAX_REJECTS_PER_S, MAX_SESSIONS, SignalingService
from agent.signaling.topics import parse_topic, signal_topic

NOW_S = 1_800_000_000.0


class _Handler:
    """Answers, refuses or fails, as the offer's SDP says."""

    def __init__(self) -> None:
        self.calls = 0

    def on_offer(self, session: str, offer: Offer) -> None:
        self.calls += 1
        if offer.sdp.startswith("refuse"):
            raise NegotiationError("no-h264", "no")
        if offer.sdp.startswith("fail"):
            raise RuntimeError(session)

    def on_candidate(self, _session: str, candidate: str) -> None:
        self.calls += 1
        assert "\n" not in candidate

    def on_bye(self, _session: str, _reason: str) -> None:
        self.calls += 1


def check(data: bytes) -> None:
    """Nothing is raised, every message is acted upon or counted; what goes out is well-formed and rare."""
    out: list[tuple[str, bytes]] = []

    def publish(topic: str, payload: bytes, **_: object) -> bool:
        out.append((topic, payload))
        return True

    handler = _Handler()
    service = SignalingService("pinhole", "cam", publish, handler)
    count = 0
    for count, step in enumerate(steps(data), 1):  # noqa: B007
        number, body = step[:1] or b"\0", step[1:]
        topic, _, payload = body.partition(b"\n") if number[0] & 1 else (b"", b"", body)
        where = (
            topic.decode(errors="replace") if topic else signal_topic("pinhole", "cam", f"s{number[0]}", "in")
        )
        service.on_message(where, payload, NOW_S)
    assert handler.calls + sum(service.refused.values()) >= count
    assert len(service._sessions) <= MAX_SESSIONS
    assert len(out) <= MAX_REJECTS_PER_S
    for topic, payload in out:
        parts = parse_topic("pinhole", topic)
        assert (parts.device, parts.channel) == ("cam", "out")
        parse_from_device(payload)


def seeds() -> list[bytes]:
    """Sessions that begin, go on and end; and offers that are refused in every way."""
    offer = encode(Offer(0, NOW_S + 30, "ann", "v=0"))
    other = encode(Offer(1, NOW_S + 30, "ann", "v=0", restart=True))
    late = encode(Offer(0, NOW_S - 60, "ann", "v=0"))
    candidate, bye = encode(Candidate(2, "candidate:1")), encode(Bye(3))
    refuse, fail = (encode(Offer(0, NOW_S + 30, "eve", sdp)) for sdp in ("refuse", "fail"))
    strange = struct.pack("!B", 1) + b"pinhole/v1/other/state\n" + offer
    return [
        join(b"\0" + offer, b"\0" + candidate, b"\0" + other, b"\0" + bye),
        join(b"\2" + late, b"\4" + refuse, b"\6" + fail, b"\6" + fail),
        join(strange, b"\0" + candidate, b"\0" + bye, b"\0" + offer, b"\0" + offer),
    ]


TARGET = Target("service", "Whole sessions of signaling: whoever reaches the broker.", check, seeds)
