"""What a hostile STUN server may answer to the doctor's questions."""

from aioice import stun
from fuzz.target import Target

from agent.rtc.nat import StunSocket, is_other

SERVER = ("192.0.2.50", 3478)


class _Transaction:
    def __init__(self) -> None:
        self.heard: list[stun.Message] = []

    def response_received(self, message: stun.Message, _addr: tuple[str, int]) -> None:
        self.heard.append(message)


def check(data: bytes) -> None:
    """An answer that fits its question, or nothing; nothing is raised."""
    probe, transaction = StunSocket(), _Transaction()
    probe._transactions[b"t" * 12] = transaction  # type: ignore[assignment]
    probe.datagram_received(data, SERVER)
    for message in transaction.heard:
        other = message.attributes.get("OTHER-ADDRESS")
        assert other is None or is_other(SERVER, other) in (True, False)


def seeds() -> list[bytes]:
    """A good answer, and an error."""
    good = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, b"t" * 12)
    good.attributes |= {"XOR-MAPPED-ADDRESS": ("203.0.113.9", 1234), "OTHER-ADDRESS": ("198.51.100.1", 3479)}
    bad = stun.Message(stun.Method.BINDING, stun.Class.ERROR, b"t" * 12)
    bad.attributes["ERROR-CODE"] = (420, "unknown")
    return [bytes(good), bytes(bad)]


TARGET = Target("nat-probe", "Answers of a STUN server to `pinhole doctor`.", check, seeds, max_bytes=1500)
