"""What is known of a head and has to outlive the agent: names of presets, and its calibration. Pure."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Protocol

from pydantic import Field

from agent.model.command import CommandError, PresetNumber
from agent.serial.ptz.aim import Calibration
from agent.serial.ptz.motion import Position

MAX_PRESETS = 32
"""A section of the state has no room for more."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A place that the head has kept, and how people call it."""

    number: PresetNumber
    name: str = ""
    pan_deg: float | None = None
    """Where the head said that it is; None of one that tells nothing, or did not yet."""
    tilt_deg: float | None = None

    @property
    def position(self) -> Position | None:
        """Both angles."""
        if self.pan_deg is None or self.tilt_deg is None:
            return None
        return Position(self.pan_deg, self.tilt_deg)


@dataclass(frozen=True, slots=True)
class Memory:
    """As it is on disk."""

    presets: Annotated[tuple[Preset, ...], Field(max_length=MAX_PRESETS)] = ()
    pan: Calibration = field(default_factory=Calibration)
    tilt: Calibration = field(default_factory=Calibration)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of its presets."""
        return tuple(preset.number for preset in self.presets)

    def where(self, number: int) -> Position | None:
        """Where that preset is, as far as the head has told."""
        return next((each.position for each in self.presets if each.number == number), None)

    def locate(self, number: int, position: Position) -> "Memory":
        """With what the head told of one that is known."""
        return replace(
            self,
            presets=tuple(
                replace(each, pan_deg=position.pan_deg, tilt_deg=position.tilt_deg)
                if each.number == number
                else each
                for each in self.presets
            ),
        )

    def keep(self, preset: Preset) -> "Memory":
        """With this one, whatever had its number before. Raises CommandError `too-many-presets`."""
        others = self.forget(preset.number).presets
        if len(others) >= MAX_PRESETS:
            raise CommandError("too-many-presets", f"{MAX_PRESETS} presets are kept: forget one")
        return replace(self, presets=tuple(sorted((*others, preset), key=lambda each: each.number)))

    def forget(self, number: int) -> "Memory":
        """Without that one."""
        return replace(self, presets=tuple(each for each in self.presets if each.number != number))


class Store(Protocol):
    """Where it is kept. A write blocks nobody: the head may have to stop meanwhile."""

    def load(self) -> Memory | None: ...
    def keep(self, value: Memory, now_s: float, *, is_urgent: bool) -> None: ...
    def try_again(self, now_s: float) -> None: ...
