"""Pelco-D from an RS-485 bus: a head, another one, or noise."""

from fuzz.target import Target

from agent.serial.ptz.pelco import D_BYTES, Words, encode_d
from agent.serial.ptz.pelco_head import PelcoHead


def check(data: bytes) -> None:
    """Whatever comes, a position is within a turn, and a stop is a stop."""
    head = PelcoHead("pelco-d", 1, 0.03)
    stop = head.stop()
    for at in range(0, len(data), 5):
        head.feed(data[at : at + 5], 0.0)
        assert len(head._decoder._kept) < D_BYTES
    if head.position:
        assert max(abs(head.position.pan_deg), abs(head.position.tilt_deg)) <= 180
    assert head.stop() == stop


def seeds() -> list[bytes]:
    """Both answers, and an echo."""
    answers = encode_d(1, Words(0, 0x59, 0x46, 0x50)) + encode_d(1, Words(0, 0x5B, 0x01, 0x02))
    return [answers, b"\xff\xff" + answers, encode_d(1, Words(0, 0x51)) + answers]


TARGET = Target("ptz-pelco", "Pelco-D: whoever is on the bus.", check, seeds, max_bytes=600)
