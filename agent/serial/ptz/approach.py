"""Holds a head that is driven at its limits: slower the nearer it comes. Pure.

Where it points is told two to four times a second, and one axis after the other; at full speed a head turns
30° between two answers of an axis. So what was said since the last answer counts as turned already, at the
speed that the answers before it show.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from agent.serial.ptz.motion import Axis, Limits, Position, Velocity

FULL_DEG_S = 120.0
"""What a head of unknown speed is believed to do: as fast ones turn. Its answers tell soon."""
LEAST_DEG_S = 5.0
FORGETS = 0.7
"""How much of an estimate stays where an answer shows less: heads turn their tilt slower near its end."""
LATE_S = 0.35
"""From a frame until the head turns so, and until the next one may say otherwise: at the speed that is said,
a limit is so far away at least."""
AGE_S = 0.06
"""What is told was so long ago: the answer's own way, and what an adapter keeps it."""
FOLLOWS_S = 0.1
"""A head follows a new speed with this time constant: the frame's own way, and its mass."""
UNSURE_S = 0.08
"""Others follow sooner or later by so much."""
LEAST_TURN = 0.05
"""In seconds of full speed: what less motion shows of the speed is mostly noise."""
LEAST_SHARE = 1 / 24
"""The slowest that every protocol knows; what is nearer than it would carry is there."""


@dataclass(slots=True)
class _Axis:
    """One of a head's."""

    limits_deg: tuple[float, float]
    told_deg: float | None = None
    """Where it was by its last answer."""
    turned: float = 0.0
    """Since then: seconds of full speed, to the right or up."""
    unsure: float = 0.0
    """Of `turned`."""
    wanted: float = 0.0
    """What the last frame said, a share of the full speed."""
    speed: float = 0.0
    """What of it the head does by now, about."""
    said_s: float = 0.0
    full_deg_s: float = FULL_DEG_S

    def advance(self, now_s: float) -> None:
        passed_s, self.said_s = max(0.0, now_s - self.said_s), now_s
        behind, rest = self.speed - self.wanted, math.exp(-passed_s / FOLLOWS_S)
        self.turned += self.wanted * passed_s + behind * FOLLOWS_S * (1 - rest)
        self.speed = self.wanted + behind * rest

    def say(self, share: float, now_s: float) -> None:
        self.advance(now_s)
        self.unsure += abs(share - self.wanted) * UNSURE_S
        self.wanted = share

    def tell(self, angle_deg: float, now_s: float) -> None:
        self.advance(now_s)
        sure = abs(self.turned) - self.unsure
        if self.told_deg is not None and sure >= max(LEAST_TURN, self.unsure):
            shown = abs(angle_deg - self.told_deg) / sure
            self.full_deg_s = max(LEAST_DEG_S, shown, FORGETS * self.full_deg_s)
        self.told_deg, self.turned, self.unsure = angle_deg, self.speed * AGE_S, 0.0

    def hold(self, share: float) -> float:
        if self.told_deg is None or not share:
            return share
        # Told to stop now, it would come to rest there.
        at_deg = self.told_deg + (self.turned + self.speed * FOLLOWS_S) * self.full_deg_s
        left_deg = self.limits_deg[1] - at_deg if share > 0 else at_deg - self.limits_deg[0]
        most = left_deg / (self.full_deg_s * LATE_S)
        return 0.0 if most < LEAST_SHARE else max(-most, min(most, share))


@dataclass(slots=True)
class Approach:
    """Time is an argument."""

    limits: Limits
    _pan: _Axis | None = field(init=False)
    _tilt: _Axis | None = field(init=False)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Another head may be there."""
        pan, tilt = self.limits.pan_deg, self.limits.tilt_deg
        self._pan, self._tilt = _Axis(pan) if pan else None, _Axis(tilt) if tilt else None

    def say(self, velocity: Velocity, now_s: float) -> None:
        """A frame goes out."""
        for axis, share in ((self._pan, velocity.pan), (self._tilt, velocity.tilt)):
            if axis:
                axis.say(share, now_s)

    def tell(self, position: Position, axes: Collection[Axis], now_s: float) -> None:
        """It answered where these of its axes stand."""
        if self._pan and "pan" in axes:
            self._pan.tell(position.pan_deg, now_s)
        if self._tilt and "tilt" in axes:
            self._tilt.tell(position.tilt_deg, now_s)

    def hold(self, velocity: Velocity, now_s: float) -> Velocity:
        """What is left of a velocity; all of it where nobody knows where it points."""
        for axis in (self._pan, self._tilt):
            if axis:
                axis.advance(now_s)
        pan = self._pan.hold(velocity.pan) if self._pan else velocity.pan
        tilt = self._tilt.hold(velocity.tilt) if self._tilt else velocity.tilt
        return Velocity(pan, tilt, velocity.zoom)
