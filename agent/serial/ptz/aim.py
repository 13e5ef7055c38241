"""From a place in the picture to an angle, and to a time where a head cannot tell its angle. Pure."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, with_config

from agent.serial.ptz.motion import Position

_ZOOM = (
    (0.0, 0.0), (0.354, 0.240), (0.506, 0.380), (0.596, 0.480), (0.658, 0.557), (0.704, 0.620),
    (0.741, 0.673), (0.771, 0.719), (0.797, 0.760), (0.820, 0.797), (0.860, 0.860), (0.892, 0.913),
    (0.920, 0.959), (1.0, 1.0),
)  # fmt: skip
"""Share of the lens's way, and the share of the highest magnification's logarithm that is reached there: of
an 18-fold block camera (0x4000 steps: 2-fold at 0x16A1, 4-fold at 0x2628, 10-fold at 0x3486). Others lie
near."""
PULSE_SPEED = 0.5
"""Of the head's highest, at which it is calibrated and turned by time."""
MIN_PULSE_S, MAX_PULSE_S = 0.05, 10.0


def magnification(share: float, most: float) -> float:
    """How much larger than at the wide end everything is; `most` is that of the tele end."""
    return math.exp(_between(_ZOOM, share) * math.log(most))


def zoom_share(wanted: float, most: float) -> float:
    """Where the lens has to be for a magnification."""
    if most <= 1:
        return 0.0
    share = math.log(max(1.0, min(most, wanted))) / math.log(most)
    return _between([(reached, way) for way, reached in _ZOOM], share)


def _between(table: list[tuple[float, float]] | tuple[tuple[float, float], ...], x: float) -> float:
    at = min(max(1, bisect_left(table, (x, -1.0))), len(table) - 1)
    (x0, y0), (x1, y1) = table[at - 1], table[at]
    return max(0.0, min(1.0, y0 + (y1 - y0) * (x - x0) / (x1 - x0)))


def point_at(position: Position, x: float, y: float, fov_deg: float, magnified: float) -> Position:
    """Where a head has to turn to have a place of the picture in its middle.

    `x` and `y` are picture widths from the middle, right and up; `fov_deg` is how wide the picture is at the
    wide end.
    """
    half = math.tan(math.radians(fov_deg / 2)) / magnified
    right, up, tilt = 2 * x * half, 2 * y * half, math.radians(position.tilt_deg)
    ahead = math.cos(tilt) - up * math.sin(tilt)
    above = math.sin(tilt) + up * math.cos(tilt)
    pan_deg = position.pan_deg + math.degrees(math.atan2(right, ahead))
    return Position(pan_deg, math.degrees(math.atan2(above, math.hypot(right, ahead))))


def filling(x: float, y: float, width: float, fov_deg: float, magnified: float) -> float:
    """The magnification with which a box of so many picture widths fills the picture, once in its middle.

    What is beside the middle looks larger than it does there, up and down by the cosine of its angle, and
    sideways by its square: no edge of the box is beyond the picture's.
    """
    half = math.tan(math.radians(fov_deg / 2)) / magnified
    return magnified * math.hypot(1, 2 * x * half, 2 * y * half) / width


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Point:
    """A pulse of so long moved the picture by so much of its width."""

    seconds: Annotated[float, Field(ge=0, le=60)]
    moved: Annotated[float, Field(ge=-100, le=100)]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Two pulses tell the speed, and the time that is lost until the head moves."""

    points: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        """What a damaged file says of it is refused as a whole: raises ValueError."""
        if len(self.points) > 2 or len({each.seconds for each in self.points}) < len(self.points):
            raise ValueError("at most two points, of different seconds")

    def learn(self, point: Point) -> "Calibration":
        """With one point more: the newest two of different length count."""
        others = tuple(each for each in self.points if each.seconds != point.seconds)
        return Calibration((*others, point)[-2:])

    def pulse_s(self, moved: float) -> float | None:
        """How long a pulse has to be for this much; None where that is not known."""
        if len(self.points) < 2:
            return None
        first, second = self.points
        speed = (abs(second.moved) - abs(first.moved)) / (second.seconds - first.seconds)
        if speed <= 0:
            return None
        lost_s = first.seconds - abs(first.moved) / speed
        return max(MIN_PULSE_S, min(MAX_PULSE_S, lost_s + abs(moved) / speed))
