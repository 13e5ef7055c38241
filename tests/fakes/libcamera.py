"""Of libcamera's Python binding, what the driver touches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Transform:
    hflip: bool = False
    vflip: bool = False
