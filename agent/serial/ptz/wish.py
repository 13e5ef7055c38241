"""What a viewer says on the data channel `ptz`, and what it hears there. Pure."""

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from agent.serial.ptz.motion import Velocity

MAX_WISH_BYTES = 256
MAX_WISHES_PER_S = 30
"""Three times what a viewer says."""
_Share = Annotated[float, Field(ge=-1, le=1)]


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Wish:
    """One message: how the stick stands."""

    seq: Annotated[int, Field(ge=0, le=2**53)]
    pan: _Share = 0.0
    tilt: _Share = 0.0
    zoom: _Share = 0.0

    @property
    def stick(self) -> Velocity:
        """Its deflection."""
        return Velocity(self.pan, self.tilt, self.zoom)


_WISH = TypeAdapter(Wish)


class Wishes:
    """One channel's messages: the channel has no order, and whoever sends has no limit. Time is monotonic."""

    def __init__(self) -> None:
        self._seq = -1
        self._second, self._count = -1, 0
        self.dropped = 0

    def take(self, message: str | bytes, now_s: float) -> Wish | None:
        """What it says, where that is newer than all before; None, and counted, where it is not."""
        if int(now_s) != self._second:
            self._second, self._count = int(now_s), 0
        self._count += 1
        if self._count <= MAX_WISHES_PER_S and len(message) <= MAX_WISH_BYTES:
            try:
                wish = _WISH.validate_json(message)
            except ValidationError:
                wish = None
            if wish is not None and wish.seq > self._seq:
                self._seq = wish.seq
                return wish
        self.dropped += 1
        return None


def encode_status(holder: str | None, *, is_mine: bool, is_moving: bool) -> str:
    """How things stand, for one viewer."""
    return json.dumps({"holder": holder, "mine": is_mine, "moving": is_moving})


def encode_refusal(code: str, holder: str | None) -> str:
    """Nothing moves, and why."""
    return json.dumps({"refused": code, "holder": holder})
