"""Name, time and text written into the picture, in white on black. Pure, but for the time zone."""

import time
from dataclasses import dataclass
from typing import Literal, Self

from agent.camera import font
from agent.camera.mask import BLACK_CHROMA, BLACK_LUMA, Plane, Runs
from agent.config import OverlaySettings
from agent.model.clock import EARLIEST_UNIX_S

Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
WHITE_LUMA = 235
"""Limited range (ITU-R BT.601)."""
DOTS_HIGH = 180
"""Of a picture: a letter is 7 of them high, 28 px at 720 lines."""
_LETTER = font.WIDTH + 1


@dataclass(frozen=True, slots=True)
class Overlay:
    """What stands in every picture."""

    name: str = ""
    has_time: bool = False
    text: str = ""
    corner: Corner = "bottom-left"

    @classmethod
    def wanted(cls, settings: OverlaySettings, name: str) -> Self | None:
        """None where the settings ask for nothing."""
        if not (settings.name or settings.time or settings.text):
            return None
        return cls(name if settings.name else "", settings.time, settings.text, settings.corner)

    def line(self, now_s: float) -> str:
        """What stands there at a moment (Unix time); a clock that cannot be right is said to be none."""
        parts = [self.name, _time(now_s) if self.has_time else "", self.text]
        return "  ".join(font.plain(part) for part in parts if part)


def _time(now_s: float) -> str:
    if now_s < EARLIEST_UNIX_S:
        return "clock not set"
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now_s))


@dataclass(frozen=True, slots=True)
class Label:
    """One line of text where it lies in pictures of one size; even on each side, for the chroma's sake."""

    x: int
    y: int
    rows: tuple[bytes, ...]
    """Of luma."""

    def runs(self, plane: Plane) -> Runs:
        """What writes it into one plane."""
        if not plane.is_chroma:
            begin = plane.offset + self.y * plane.stride + self.x
            starts = (begin + row * plane.stride for row in range(len(self.rows)))
            return tuple((slice(at, at + len(row)), row) for row, at in zip(self.rows, starts, strict=False))
        length = min(plane.columns - self.x // 2, len(self.rows[0]) // 2) * plane.sample_bytes
        begin = plane.offset + self.y // 2 * plane.stride + self.x // 2 * plane.sample_bytes
        ink = bytes([BLACK_CHROMA]) * length
        places = (begin + row * plane.stride for row in range(len(self.rows) // 2))
        return tuple((slice(at, at + length), ink) for at in places)


def label(text: str, corner: Corner, width_px: int, height_px: int) -> Label | None:
    """A line in pictures of this size, cut where it is too long; None where there is no room at all."""
    width, height = width_px & ~1, height_px & ~1
    dot = max(1, min(height_px // DOTS_HIGH, (width - 4) // max(1, _LETTER * len(text) + 1)))
    text = text[: max(0, (width // dot - 1) // _LETTER)]
    if not text or height < (font.HEIGHT + 2) * dot + 1:
        return None
    ink, paper = bytes([WHITE_LUMA]) * dot, bytes([BLACK_LUMA]) * dot
    lines = [b"".join((paper, *(ink if lit else paper for lit in row))) for row in font.rows(text)]
    length = len(lines[0]) + len(lines[0]) % 2
    blank, black = bytes([BLACK_LUMA]) * length, bytes([BLACK_LUMA])
    letters = [line.ljust(length, black) for line in lines for _ in range(dot)]
    made = [blank] * dot + letters + [blank] * dot
    made += [blank] * (len(made) % 2)
    x = 0 if corner.endswith("left") else width - length
    y = 0 if corner.startswith("top") else height - len(made)
    return Label(x, y, tuple(made))
