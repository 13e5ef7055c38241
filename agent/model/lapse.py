"""Stills by the clock: what a camera says of them, and the command that makes a film of some."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, with_config

from agent.model.evidence import Count
from agent.model.signal import OPEN, STRICT, UnixTime

MAX_PICTURES = 1500
"""One a minute, for a day; of more some are left out, evenly."""
FPS = 12
"""A day at one a minute lasts two minutes."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class LapseWanted:
    """Of which time, as a day, and how large."""

    from_at: UnixTime
    until_at: UnixTime
    size: Literal["small", "full"] = "small"
    """640 or 1280 pixels wide, where the stills are."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class LapseFilm:
    """A film that waits on the device for a day, to be fetched as an export is."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    size_bytes: Count
    start: UnixTime
    """When its first picture was taken; ..."""
    offsets_s: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=MAX_PICTURES)]
    """... and each of them, after that. `FPS` of them are shown in a second."""
    left_out: Annotated[int, Field(ge=0)] = 0
    """Of the stills of that time."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class LapseSection:
    """Stills by the clock, of a camera that takes some; see `agent/record`."""

    every_s: float = 0.0
    oldest_at: UnixTime = 0.0
    """The day, in UTC, of the oldest; 0 while there is none."""
