"""At which preset a head is, and what proves it. Pure.

A preset that was ordered is where the head was sent, and no more: it may not have heard. It is proven there
by what the head says itself: that it took the order, or that it points where it did when the preset was kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.serial.ptz.motion import Axis, ForgetPreset, GoPreset, KeepPreset, Order, Position

NEAR_DEG = 1.0
"""Heads come back to a preset within some tenths of a degree."""
NEAR_ZOOM = 0.02
"""As a share of the lens's way."""
UNHEARD_S = 35.0
"""A resting head is asked each 10 s: three answers that did not come. It may have been switched off, and its
lens or its middle may be elsewhere when it is back."""


@dataclass(slots=True)
class Place:
    """Time is an argument."""

    where: Callable[[int], Position | None] = lambda _: None
    """Where a preset was kept; None where the head did not tell."""
    on_kept: Callable[[int, Position], None] = lambda _, __: None
    """The head told where the preset is that was just kept."""
    preset: int | None = None
    """At which it is, or for which it is bound, if it heard."""
    is_awaited: bool = False
    """Whether the head took the order is not known yet."""
    _is_taken: bool = False
    _is_new: bool = False
    """It was kept just now, so where the head stands is where it is."""
    _is_known: bool = False
    """Where it should point."""
    _seen: dict[Axis, float] = field(default_factory=dict)
    """Where it has told to stand since, or has to."""
    _told: set[Axis] = field(default_factory=set)
    _heard_s: float = 0.0

    def leave(self) -> None:
        """It moves, or nobody knows."""
        self.preset = None
        self._forget_proof()

    def begin(self, order: Order, now_s: float) -> None:
        """The order goes out next, to a head that stands."""
        match order:
            case GoPreset(number) | KeepPreset(number):
                self._forget_proof()
                self.preset, self.is_awaited, self._heard_s = number, True, now_s
                self._is_new = isinstance(order, KeepPreset)
                if not self._is_new and (position := self.where(number)) is not None:
                    self._seen = {"pan": position.pan_deg, "tilt": position.tilt_deg}
                    self._is_known = True
            case ForgetPreset(number) if number != self.preset:
                pass
            case _:
                self.leave()

    def confirm(self, *, is_taken: bool) -> None:
        """What became of the order, by the word of a head that confirms."""
        if self.is_awaited:
            self.is_awaited, self._is_taken = False, is_taken

    def hear(self, now_s: float) -> None:
        """It answers."""
        if now_s > self._heard_s + UNHEARD_S:
            self.leave()
        self._heard_s = now_s

    def tell(self, position: Position, zoom_share: float | None, axes: set[Axis]) -> None:
        """It rests, and tells these of its axes."""
        if self.preset is None:
            return
        for axis in axes:
            value = zoom_share if axis == "zoom" else getattr(position, f"{axis}_deg")
            if value is None:
                continue
            if not _is_off(axis, value, self._seen.setdefault(axis, value)):
                self._told.add(axis)
            elif axis in self._told:
                self.leave()
                return
            else:  # not there yet: it turns slowly, or did not hear
                self._is_taken = False
        if self._is_new and not self._is_known and {"pan", "tilt"} <= self._told:
            self._is_known = True
            self.on_kept(self.preset, Position(self._seen["pan"], self._seen["tilt"]))

    def proven(self, now_s: float) -> int | None:
        """The preset at which the head has shown to be."""
        is_shown = self._is_taken or (self._is_known and {"pan", "tilt"} <= self._told)
        return self.preset if is_shown and now_s <= self._heard_s + UNHEARD_S else None

    def _forget_proof(self) -> None:
        self.is_awaited = self._is_taken = self._is_new = self._is_known = False
        self._seen, self._told = {}, set()


def _is_off(axis: Axis, value: float, wanted: float) -> bool:
    if axis == "zoom":
        return abs(value - wanted) > NEAR_ZOOM
    return abs((value - wanted + 180) % 360 - 180) > NEAR_DEG
