"""VISCA from a line or a datagram: a camera, another device of the chain, or noise."""

from fuzz.target import Target, join, steps

from agent.serial.ptz.bus import Bus
from agent.serial.ptz.head import Head
from agent.serial.ptz.motion import GoTo, Limits, Position, Velocity
from agent.serial.ptz.visca import MAX_FRAME_BYTES
from agent.serial.ptz.visca_head import MAX_WAITING, ViscaHead
from agent.serial.ptz.visca_ip import Numbering, encode, parse

MAX_FRAMES_PER_S = 60
"""Whatever it answers: stops may be as close as the bus takes them for a moment, and nothing else may."""


def check(data: bytes) -> None:
    """Whatever it answers, the bus is not flooded, nothing piles up, and in the end it is told to stop."""
    driver = ViscaHead(1, 14.4)
    head, now_s, sent = Head(driver, Bus(0.001), Limits(), lambda: None), 0.0, [0.0]
    head.opened(now_s)
    for number, message in enumerate(steps(data)):
        datagram = parse(message)
        assert datagram is None or encode(datagram) == message
        Numbering().unwrap(message)
        if number % 3 == 0:
            head.drive(Velocity(pan=1), now_s)
        elif number % 7 == 1:
            head.order(GoTo(Position(1, 1)), now_s=now_s)
        head.feed(message, now_s)
        for _ in range(20):
            now_s += 0.01
            if head.next_frame(now_s) is not None:
                sent.append(now_s)
        assert len(driver._decoder._kept) <= MAX_FRAME_BYTES
        assert len(driver._unanswered) <= MAX_WAITING
        assert sum(when_s > now_s - 1 for when_s in sent) <= MAX_FRAMES_PER_S
    head.shut(now_s)
    for _ in range(100):
        now_s += 0.01
        head.next_frame(now_s)
    assert head.is_told_to_stop


def seeds() -> list[bytes]:
    """Each answer, alone and as a datagram."""
    answers = (
        "9041ff",
        "9051ff",
        "906003ff",
        "906102ff",
        "9038ff",
        "905004000000ff",
        "90500f06070000090900ff",
    )
    frames = [bytes.fromhex(each) for each in answers]
    return [
        join(*frames),
        join(*[bytes((1, 0x11, 0, len(each), 0, 0, 0, 9)) + each for each in frames]),
        join(b"".join(frames) * 3),
    ]


TARGET = Target("ptz-visca", "VISCA: whoever answers for a camera.", check, seeds, max_bytes=400, max_s=2.0)
