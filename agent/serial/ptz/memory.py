"""What is known of a head and has to outlive the agent: names of presets, and its calibration. Pure."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Protocol

from pydantic import Field

from agent.model.command import CommandError, PresetNumber
from agent.serial.ptz.aim import Calibration

MAX_PRESETS = 32
"""A section of the state has no room for more."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A place that the head has kept, and how people call it."""

    number: PresetNumber
    name: str = ""


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
