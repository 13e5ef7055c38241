"""Of libcamera's Python binding, what the driver touches."""

from dataclasses import dataclass


class ColorSpace:
    @staticmethod
    def Smpte170m() -> str:  # noqa: N802  # the original's
        return "SMPTE170M"


@dataclass(frozen=True)
class Transform:
    hflip: bool = False
    vflip: bool = False
