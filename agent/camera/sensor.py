"""Which of a sensor's modes to read: what it sees, and how fast. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import CameraError

MIN_BIT_DEPTH = 10
"""Below it dark parts show steps; some sensors are fastest there."""
RATE_SLACK = 0.99
"""Rates are rounded on their way from the sensor's clock."""


@dataclass(frozen=True, slots=True)
class SensorMode:
    """One mode, as `rpicam-hello --list-cameras` lists it."""

    width_px: int
    height_px: int
    bit_depth: int
    fps: float
    """The fastest that it reads."""
    crop: tuple[int, int, int, int]
    """What it sees of the sensor: x, y, width and height in the sensor's own pixels."""

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}, {self.bit_depth} bits, {self.fps:g} fps"


def parse_modes(described: Iterable[Mapping[str, Any]]) -> list[SensorMode]:
    """`Picamera2.sensor_modes`; what is no raw mode, as of a USB camera, is left out."""
    return [
        SensorMode(width, height, mode["bit_depth"], mode["fps"], tuple(mode["crop_limits"]))
        for mode in described
        if "crop_limits" in mode
        for width, height in [mode["size"]]
    ]


def choose_mode(
    modes: list[SensorMode], size: tuple[int, int], fps: float, wanted: str | None = None
) -> SensorMode | None:
    """The fastest mode with the widest view that reaches `fps`; None where the modes are not known.

    `wanted` is a mode's size, as in 2304x1296. Raises CameraError where the sensor has no such mode.
    """
    if wanted:
        modes = _of_size(modes, wanted)
    widest = max((_seen(mode, size) for mode in modes), default=0.0)

    def worth(mode: SensorMode) -> tuple[float, float, bool, float]:
        reached = min(mode.fps, fps * RATE_SLACK)
        return reached, round(_seen(mode, size) / widest, 2), mode.bit_depth >= MIN_BIT_DEPTH, mode.fps

    return max(modes, key=worth, default=None)


def _of_size(modes: list[SensorMode], wanted: str) -> list[SensorMode]:
    found = [mode for mode in modes if f"{mode.width_px}x{mode.height_px}" == wanted]
    if not found:
        known = ", ".join(dict.fromkeys(f"{mode.width_px}x{mode.height_px}" for mode in modes))
        raise CameraError(f"the sensor has no mode {wanted}, only {known or 'modes that are not known'}")
    return found


def _seen(mode: SensorMode, size: tuple[int, int]) -> float:
    """The part of the sensor, in its pixels, that a picture of this shape shows: the rest is cut off."""
    _, _, width, height = mode.crop
    shape = size[0] / size[1]
    return min(width, height * shape) * min(height, width / shape)
