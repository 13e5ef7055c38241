"""A head that speaks Pelco: what is sent is believed, since most never answer. Pure."""

from typing import Literal

from agent.serial.ptz import pelco
from agent.serial.ptz.motion import (
    Axis,
    ForgetPreset,
    GoPreset,
    GoTo,
    KeepPreset,
    Order,
    Position,
    Velocity,
)

ANSWER_S = 0.1
"""Half duplex: the bus is left alone for so long after a question, and for what the answer takes."""
FOLLOWED_S = 2.0
"""A pan that is told so soon after another one has not gone half a turn: what is beyond 180 stays beyond."""
RESTED_DEG = 90.0
"""Nor has one that is told later, if it then is so near: the head has rested where it was."""
TRIES = 6
"""Three questions each of pan and tilt; a head that answers none of them is not asked again."""


class PelcoHead:
    """A `Driver`."""

    confirms = False
    asks_while_moving = False
    is_full = False
    is_silent = False
    is_stopped = False
    is_free = True
    has_taken = False

    def __init__(self, protocol: Literal["pelco-d", "pelco-p"], address: int, frame_s: float) -> None:
        """`frame_s` is how long a frame is on the wire."""
        self._encode = pelco.encode_d if protocol == "pelco-d" else pelco.encode_p
        self._is_asked = protocol == "pelco-d"
        self._address, self._frame_s = address, frame_s
        self.zoom_share: float | None = None
        self.begin()

    def begin(self) -> None:
        """Also after it was lost: another head may be there."""
        self._decoder = pelco.Decoder(self._address)
        self.position: Position | None = None
        self.told: set[Axis] = set()
        self._pan: float | None = None
        self._pan_s = -FOLLOWED_S
        self._tries = 0
        self._asks_tilt = False
        self.answers = 0

    def opening(self) -> tuple[bytes, ...]:
        """Nothing to set up."""
        return ()

    def begin_stop(self) -> None:
        """No answer will show anything."""

    def stop(self) -> tuple[bytes, ...]:
        """One frame for all axes; it ends a preset's way too."""
        return (self._encode(self._address, pelco.STOP),)

    def drive(self, velocity: Velocity, _again: bool) -> tuple[bytes, ...]:
        """Each time: a frame may be lost, and some heads stop by themselves."""
        return (self._encode(self._address, pelco.drive(velocity)),)

    def order(self, order: Order) -> tuple[bytes, ...]:
        """A position takes a frame for each axis. All twice, since one may be lost and no answer tells."""
        words: tuple[pelco.Words, ...] = ()
        if isinstance(order, GoPreset | GoTo):
            self._pan, self._asks_tilt = None, False  # by which side the head goes, it alone knows
        match order:
            case GoPreset(number):
                words = (pelco.preset(pelco.GO_PRESET, number),)
            case KeepPreset(number):
                words = (pelco.preset(pelco.SET_PRESET, number),)
            case ForgetPreset(number):
                words = (pelco.preset(pelco.CLEAR_PRESET, number),)
            case GoTo(position) if self.position:
                words = (
                    pelco.turn_to(pelco.PAN_TO, position.pan_deg),
                    pelco.turn_to(pelco.TILT_TO, -position.tilt_deg),
                )
        return tuple(self._encode(self._address, each) for each in words) * 2

    def retry(self) -> tuple[bytes, ...]:
        """They went out twice at once."""
        return ()

    def ask(self) -> tuple[bytes, float] | None:
        """Pan and tilt in turn."""
        if not self._is_asked or (self._tries >= TRIES and not self.answers):
            return None
        self._tries += 1
        what = pelco.ASK_TILT if self._asks_tilt else pelco.ASK_PAN
        self._asks_tilt = not self._asks_tilt
        return self._encode(self._address, pelco.Words(0, what)), ANSWER_S + 2 * self._frame_s

    def sent(self, _frame: bytes, _now_s: float) -> None:
        """Nothing is waited for."""

    def feed(self, data: bytes, now_s: float) -> bool:
        """Answers alone count: an adapter that hears itself is no head."""
        self.told.clear()
        for words in self._decoder.feed(data):
            if words.command_1 == 0 and words.command_2 in (pelco.PAN_IS, pelco.TILT_IS):
                self.answers += 1
                self._learn(words, now_s)
        return False

    def wait(self, _now_s: float) -> None:
        """Nothing is waited for."""

    def _learn(self, words: pelco.Words, now_s: float) -> None:
        angle_deg = pelco.angle_deg(words)
        if words.command_2 == pelco.PAN_IS:
            if self._pan is not None:
                near_deg = angle_deg + 360 * round((self._pan - angle_deg) / 360)
                if now_s < self._pan_s + FOLLOWED_S or abs(near_deg - self._pan) < RESTED_DEG:
                    angle_deg = near_deg
            self._pan, self._pan_s = angle_deg, now_s
            if self.position:
                self.position = Position(angle_deg, self.position.tilt_deg)
                self.told.add("pan")
        elif self._pan is not None:
            self.told |= {"tilt"} if self.position else {"pan", "tilt"}
            self.position = Position(self._pan, -angle_deg)
