"""The data channel `ptz`: what a viewer's stick says."""

from fuzz.target import Target, join, steps

from agent.serial.ptz.motion import shape
from agent.serial.ptz.wish import Wishes


def check(data: bytes) -> None:
    """Numbers grow, and no stick is beyond its ends; the rest is dropped."""
    wishes, last = Wishes(), -1
    for message in steps(data):
        for form in (message, message.decode(errors="replace")):
            wish = wishes.take(form, 1.0)
            if wish is None:
                continue
            assert wish.seq > last
            last = wish.seq
            speed = shape(wish.stick, 1.0, 2.0)
            assert max(map(abs, (wish.pan, wish.tilt, wish.zoom, speed.pan, speed.tilt, speed.zoom))) <= 1


def seeds() -> list[bytes]:
    """Sticks that move, and one that stands."""
    return [
        join(b'{"seq":1,"pan":0.5,"tilt":-1,"zoom":1e-3}', b'{"seq":2}', b'{"seq":9007199254740992,"pan":1}'),
        join(b'{"seq":1,"pan":NaN}', b'{"seq":1e0}', b"[" * 200),
    ]


TARGET = Target("ptz-wish", "A stick on the data channel: the viewer.", check, seeds, max_bytes=1500)
