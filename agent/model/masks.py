"""Privacy masks as they go over the wire: polygons as text, and how they stand."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, with_config

from agent.model.signal import STRICT, Text, UnixTime

MAX_POLYGONS, MIN_CORNERS, MAX_CORNERS, MAX_CORNERS_IN_ALL = 16, 3, 24, 192
"""All of them fit into one request on the data channel, of 4096 bytes."""
MAX_CHARS = 500
MaskState = Literal["none", "in-force", "blank"]
"""`blank`: the whole picture is black, since nobody can tell what must be."""


def parse_polygon(text: str) -> tuple[tuple[float, float], ...]:
    """`0.1,0.2 0.5,0.2 0.3,0.6`, as SVG writes points. Raises ValueError that says what is wrong."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"the text of a mask has at most {MAX_CHARS} characters")
    corners = [tuple(_share(each) for each in corner.split(",")) for corner in text.split(" ")]
    if not MIN_CORNERS <= len(corners) <= MAX_CORNERS:
        raise ValueError(f"a mask has {MIN_CORNERS} to {MAX_CORNERS} corners, and this one {len(corners)}")
    if any(len(corner) != 2 for corner in corners):
        raise ValueError("a corner is x,y, with a space between corners: 0.1,0.2 0.5,0.2 0.3,0.6")
    return tuple((corner[0], corner[1]) for corner in corners)


def _share(text: str) -> float:
    is_plain = len(text) <= 8 and text.isascii() and text.replace(".", "", 1).isdigit()
    if not is_plain or not 0 <= float(text) <= 1:
        raise ValueError("each x and y is a part of the picture's side: 0 to 1, with at most six decimals")
    return float(text)


def _check_polygon(text: str) -> str:
    parse_polygon(text)
    return text


def _check_all(polygons: tuple[str, ...]) -> tuple[str, ...]:
    count = sum(polygon.count(" ") + 1 for polygon in polygons)
    if count > MAX_CORNERS_IN_ALL:
        raise ValueError(f"all masks together have at most {MAX_CORNERS_IN_ALL} corners, and these {count}")
    return polygons


PolygonText = Annotated[str, AfterValidator(_check_polygon)]
Polygons = Annotated[tuple[PolygonText, ...], Field(max_length=MAX_POLYGONS), AfterValidator(_check_all)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SetMasks:
    """What must not be seen from now on, instead of what was covered before."""

    polygons: Polygons
    """None at all takes every mask away."""
    preset: Annotated[int, Field(ge=0, le=255)] = 0
    """Of a camera with a head: where it stands when these masks fit. Elsewhere the picture is blank."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ShownMasks:
    """What is covered, and since when."""

    state: MaskState
    problem: Text
    """Why the picture is blank, and what to do."""
    polygons: tuple[str, ...]
    preset: int
    version: int
    """Counts up with each change; 0 where there never was one."""
    set_at: UnixTime
    set_by: Text
