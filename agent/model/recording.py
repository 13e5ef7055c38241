"""Recordings as the commands of the table tell of them. Times are Unix time by the device's clock."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, with_config

from agent.model.media import StreamName
from agent.model.signal import STRICT, Text, UnixTime
from agent.model.still import Jpeg, Pixels

MAX_PAGE = 200
"""Spans, and events, of one answer: it has to fit in a message of 64 KiB."""
MAX_RECORD_S = 3600.0
MAX_TILES = 12
MIN_SPEED = 0.05
EndOfTime = 2.0**40


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RecordingsWanted:
    """Between two times, of one stream."""

    stream: StreamName = "main"
    from_at: UnixTime = 0.0
    until_at: UnixTime = EndOfTime
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """Nothing is missing in it."""

    start: UnixTime
    end: UnixTime


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """Something that was recorded for a reason."""

    cause: Text
    """`motion`, `command`, or what a newer device says."""
    event: Text
    """The id of the device's event; empty where there is none."""
    start: UnixTime
    end: UnixTime


Page = Field(max_length=MAX_PAGE + 1)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RecordingsPage:
    """What there is, the oldest first."""

    stream: StreamName
    spans: Annotated[tuple[RecordedSpan, ...], Page] = ()
    """Whole, not cut at the times that were asked for."""
    events: Annotated[tuple[RecordedEvent, ...], Page] = ()
    locked: Annotated[tuple[RecordedSpan, ...], Page] = ()
    """Of all streams."""
    more_from: UnixTime | None = None
    """Ask again from there on; None where this is all."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RecordNow:
    """Record for so long, by hand; 0 ends it."""

    seconds: Annotated[float, Field(ge=0, le=MAX_RECORD_S)] = 60.0


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RecordedTime:
    """From one time to another, of every stream."""

    from_at: UnixTime
    until_at: UnixTime


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Locked:
    """How many files that were, and what is locked of all."""

    files: Annotated[int, Field(ge=0)]
    locked_bytes: Annotated[int, Field(ge=0)]


def _check_speed(speed: float) -> float:
    if 0 < abs(speed) < MIN_SPEED:
        raise ValueError(f"must be 0, or at least {MIN_SPEED}")
    return speed


Speed = Annotated[float, Field(ge=-60, le=60), AfterValidator(_check_speed)]
"""Seconds of the recording in one; 0 stands still."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Play:
    """Recorded pictures in the place of the live one."""

    at: UnixTime
    speed: Speed = 1.0
    small: bool = False
    """Of the small stream, as for looking through a day in haste."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Seek:
    """The same, once they are shown."""

    at: UnixTime | None = None
    """None: from where it is."""
    speed: Speed = 1.0
    small: bool = False


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Step:
    """One picture on, or several, or back."""

    pictures: Annotated[int, Field(ge=-50, le=50)] = 1


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SheetWanted:
    """Small pictures of these times."""

    times: Annotated[tuple[UnixTime, ...], Field(min_length=1, max_length=MAX_TILES)]
    near_s: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    """What is further from its time is not shown."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ShownSheet:
    """Four in a row, in one JPEG."""

    jpeg: Jpeg
    tile_width_px: Pixels
    tile_height_px: Pixels
    taken: Annotated[tuple[UnixTime | None, ...], Field(max_length=MAX_TILES)]
    """When each was taken; None where nothing is recorded, and the tile is black."""
