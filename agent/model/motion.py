"""What is looked for in the picture, and where: as commands carry it and the device keeps it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, with_config

from agent.model.signal import OPEN, STRICT, Text, UnixTime

MAX_ZONES, MAX_POINTS = 8, 16
"""A command with all of them fits a message of the data channel (4 KB)."""
MAX_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class Luma:
    """One picture's brightness, made small: what detection looks at."""

    data: bytes
    """A byte a cell, row by row, without padding; each is the mean of all pixels under it."""
    width_px: int
    height_px: int
    capture_us: int
    """By `clock.now_us`, when it was taken."""


def _check_name(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("must be printable, without spaces around it")
    return name


Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Share, Share]
"""From the left and from the top, in widths and heights of the picture."""
Sensitivity = Annotated[int, Field(ge=0, le=100)]
MinSize = Annotated[float, Field(ge=0, le=50)]
"""Percent of the picture."""
ZoneName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(_check_name)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the picture; where there is one that is not ignored, motion elsewhere is none."""

    name: ZoneName
    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=MAX_POINTS)]
    """Corners of a polygon, which is closed by itself."""
    is_ignored: bool = False
    """Motion in it is none, whatever other zone it lies in."""
    sensitivity: Sensitivity | None = None
    min_size_percent: MinSize | None = None
    """None: as for the whole picture."""


Mask = Annotated[str, Field(pattern=r"^[0-9a-f]*$", max_length=1024)]
"""A bit a cell, row by row, the first cell the highest bit of the first byte; in hexadecimal."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class MotionNow:
    """What detection sees now, for who tunes it."""

    at: UnixTime
    """0 where no picture has come yet."""
    columns: int
    rows: int
    differing: Mask
    """Cells that differ from what is usually there, ..."""
    moving: Mask
    """... and those that are taken for something that moves."""
    state: Text
    """As in the section `motion`, or `light` while the whole picture changed."""
    score: float
    """How clearly, 0 to 1."""
    zones: tuple[Text, ...] = ()
    is_raining: bool = False


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Tuning:
    """How detection is set."""

    sensitivity: Sensitivity = 50
    """0 sees only what differs strongly from what it hides, 100 everything that noise does not drown."""
    min_size_percent: MinSize = 0.3
    """Smaller things are no motion, in percent of the picture."""
    zones: Annotated[tuple[Zone, ...], Field(max_length=MAX_ZONES)] = ()
    """The whole picture where there is none but those that are ignored."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Retuning:
    """What of the tuning shall be another; the rest stays."""

    sensitivity: Sensitivity | None = None
    min_size_percent: MinSize | None = None
    zones: Annotated[tuple[Zone, ...], Field(max_length=MAX_ZONES)] | None = None
    """All of them, where any is another."""

    def of(self, before: Tuning) -> Tuning:
        """The whole tuning from now on."""
        return Tuning(
            before.sensitivity if self.sensitivity is None else self.sensitivity,
            before.min_size_percent if self.min_size_percent is None else self.min_size_percent,
            before.zones if self.zones is None else self.zones,
        )


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class MotionSection:
    """What moves, of a camera that looks for it; see `agent/motion`."""

    state: Text = ""
    """`idle`, `moving`, `learning` after a start or a turn of the head, `away` while no picture comes; or
    what a newer device says."""
    since: UnixTime = 0.0
    """When it last began to be `moving`, or ceased to; 0 for never."""
    zones: tuple[Text, ...] = ()
    """Names of those in which something moves."""
    labels: tuple[Text, ...] = ()
    """What moves, as far as that is known: `person`, `vehicle`, `animal`; or what a newer device says."""
    problem: Text = ""
    """Why nothing is labelled, though the settings ask for it."""
