"""A device's end of signaling: messages in any order on any topic, some of them signed by the portal."""

import functools

from fuzz.target import Target, join, steps

from agent.errors import MessageError, NegotiationError
from agent.model.command import Order
from agent.model.keys import KeySet, encode_public
from agent.model.signal import Bye, Candidate, Command, Offer, Renew, Result
from agent.model.topics import Topic, encode_topic, parse_topic
from agent.signaling.messages import encode, parse_from_device
from agent.signaling.service import MAX_REJECTS_PER_S, SignalingService
from agent.signaling.session_table import MAX_SESSIONS
from agent.signaling.trust import SigningKey, make_signing_key, open_sealed

NOW_S = 1_800_000_000.0
BOOT = "boot-1"
ENDED = 2
"""What is said of a session that ends: that its viewer has left, or that its lease has."""
IS_NAMED, IS_SIGNED = 1, 2
"""Flags in a step's first byte: its topic stands before a line feed; it is signed by the portal's key."""


class _Handler:
    """Answers, refuses or fails, as the offer's SDP says."""

    def __init__(self) -> None:
        self.calls = 0

    def on_offer(self, session: str, offer: Offer) -> None:
        self.calls += 1
        assert "watch" in offer.permissions
        if offer.sdp.startswith("refuse"):
            raise NegotiationError("no-h264", "no")
        if offer.sdp.startswith("fail"):
            raise RuntimeError(session)

    def on_candidate(self, _session: str, candidate: str) -> None:
        self.calls += 1
        assert "\n" not in candidate

    def on_bye(self, _session: str, _reason: str) -> None:
        self.calls += 1

    def on_portal_keys(self, keys: KeySet) -> None:
        self.calls += 1
        assert keys.version > 1

    def answered(self, _command: str) -> Result | None:
        return None

    def on_command(self, order: Order) -> Result:
        self.calls += 1
        if "control" not in order.permissions:
            raise MessageError("not-allowed", "no")
        return Result(0, order.id, order.name, ok=True, code="done")


@functools.cache
def _keys() -> tuple[SigningKey, SigningKey]:
    return SigningKey(make_signing_key()), SigningKey(make_signing_key())


def check(data: bytes) -> None:
    """Nothing is raised; what is not signed has no effect; what goes out is signed, well-formed and rare."""
    portal, device = _keys()
    out: list[tuple[str, bytes]] = []

    def publish(topic: str, payload: bytes, **_: object) -> bool:
        out.append((topic, payload))
        return True

    handler = _Handler()
    trusted = KeySet(1, 1.0, (encode_public(portal.public),))
    service = SignalingService(
        "pinhole", "cam", publish, handler, key=device, portal_keys=trusted, boot_id=BOOT
    )
    for step in steps(data):
        number, body = step[:1] or b"\0", step[1:]
        topic = encode_topic("pinhole", Topic("cam", "in", f"s{number[0] >> 2}"))
        if number[0] & IS_NAMED:
            named, _, body = body.partition(b"\n")
            topic = named.decode(errors="replace")
        calls, kept = handler.calls, len(service._sessions)
        is_signed = number[0] & IS_SIGNED
        service.on_message(topic, portal.seal(topic, body) if is_signed else body, NOW_S, 1000.0)
        if not is_signed:
            assert (handler.calls, len(service._sessions)) == (calls, kept)
    service.end_unrenewed(1e12)
    assert not any(each.open and each.lease for each in service._sessions.values())
    assert len(service._sessions) <= MAX_SESSIONS
    assert len(out) <= MAX_REJECTS_PER_S + ENDED * handler.calls
    for topic, sealed in out:
        parts = parse_topic("pinhole", topic)
        assert (parts.device, parts.channel) == ("cam", "out")
        parse_from_device(open_sealed(topic, sealed, lambda _: device.verify_key))


def _offer(
    number: int,
    sdp: str = "v=0",
    at_s: float = NOW_S,
    *,
    restart: bool = False,
    lease_s: float | None = None,
) -> bytes:
    nonce, user = f"{number:022}", ("ann", ("watch",))
    offer = Offer(number, nonce, at_s, at_s + 30, BOOT, *user, sdp, restart=restart, lease_s=lease_s)
    return encode(offer)


def seeds() -> list[bytes]:
    """Sessions that begin, go on and end; offers that are refused in every way; new keys."""
    portal, device = _keys()
    candidate, bye = encode(Candidate(2, "candidate:1")), encode(Bye(3))
    keys = KeySet(2, 2.0, (encode_public(portal.public), encode_public(device.public)))
    strange = b"pinhole/v1/other/state\n" + _offer(0)
    renew = encode(Renew(7, NOW_S + 60, 180.0, "ann", ("watch",)))
    named = encode_topic("pinhole", Topic("", "keys", portal.kid)).encode() + b"\n" + encode(keys)
    until, rights = (NOW_S, NOW_S + 60, BOOT, "ann"), ("watch", "control")
    command = encode(Command(*until, rights, "identify"))
    return [
        join(b"\6" + command, b"\2" + encode(Command(*until, ("watch",), "look")), b"\6" + _offer(0)),
        join(b"\2" + _offer(0), b"\2" + candidate, b"\2" + _offer(4, restart=True), b"\2" + bye),
        join(b"\2" + _offer(0, at_s=NOW_S - 90), b"\6" + _offer(1, "refuse"), b"\x0a" + _offer(2, "fail")),
        join(b"\3" + strange, b"\0" + _offer(0), b"\2" + _offer(5), b"\2" + _offer(5), b"\1" + strange),
        join(b"\2" + renew, b"\2" + _offer(1, lease_s=180.0), b"\2" + renew, b"\2" + bye, b"\2" + renew),
        join(b"\3" + named, b"\2" + _offer(6), b"\1" + named),
    ]


TARGET = Target("service", "Whole sessions of signaling at a device: the broker.", check, seeds)
