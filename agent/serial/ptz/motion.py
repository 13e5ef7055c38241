"""What a head may be asked to do, in no protocol's words. Pure."""

import math
from dataclasses import dataclass
from typing import Literal

Axis = Literal["pan", "tilt", "zoom"]
DEAD_ZONE = 0.1
"""Of a stick, to each side of its middle: cheap ones never come to rest."""


@dataclass(frozen=True, slots=True)
class Velocity:
    """Shares of the head's highest speed, -1 to 1: right, up and in are positive."""

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0

    @property
    def is_still(self) -> bool:
        """Whether it moves nothing."""
        return not (self.pan or self.tilt or self.zoom)


STILL = Velocity()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a head points, by its own word. Right of and above its middle are positive."""

    pan_deg: float
    tilt_deg: float


@dataclass(frozen=True, slots=True)
class GoPreset:
    """Turn to a preset that the head has kept."""

    number: int


@dataclass(frozen=True, slots=True)
class KeepPreset:
    """Keep where it points."""

    number: int


@dataclass(frozen=True, slots=True)
class ForgetPreset:
    """What was kept counts no more."""

    number: int


@dataclass(frozen=True, slots=True)
class GoHome:
    """Turn to the head's own home."""


@dataclass(frozen=True, slots=True)
class GoTo:
    """Turn to a position."""

    position: Position


@dataclass(frozen=True, slots=True)
class ZoomTo:
    """Zoom to a share of the lens's way, 0 (wide) to 1 (tele)."""

    share: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """Move for a time: how a head is turned by an angle that cannot tell where it points."""

    velocity: Velocity
    seconds: float


Order = GoPreset | KeepPreset | ForgetPreset | GoHome | GoTo | ZoomTo | Pulse


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a head may turn, in degrees."""

    pan_deg: tuple[float, float] | None = None
    tilt_deg: tuple[float, float] | None = None

    def clamp(self, position: Position) -> Position:
        """The nearest position that is allowed."""
        return Position(_within(self.pan_deg, position.pan_deg), _within(self.tilt_deg, position.tilt_deg))


def shape(stick: Velocity, max_speed: float, magnification: float) -> Velocity:
    """A stick's deflection as a speed: slow near its middle, and slower the more the picture is magnified."""
    share = max_speed / max(1.0, magnification)
    return Velocity(_curve(stick.pan) * share, _curve(stick.tilt) * share, _curve(stick.zoom) * max_speed)


def step(share: float, most: int) -> int:
    """A speed in a protocol's steps, of which the least still moves."""
    return 0 if share == 0 else max(1, min(most, round(abs(share) * most)))


def _curve(deflection: float) -> float:
    beyond = max(0.0, min(1.0, abs(deflection)) - DEAD_ZONE) / (1 - DEAD_ZONE)
    return math.copysign(beyond * beyond, deflection) if beyond else 0.0


def _within(limits: tuple[float, float] | None, angle_deg: float) -> float:
    return angle_deg if limits is None else max(limits[0], min(limits[1], angle_deg))
