"""Privacy masks: polygons of the picture made black in its planes, whatever lies under them. Pure.

A polygon is rasterized once for a size, to spans of each row; what a picture costs is then one copy a span.
Wherever there is a doubt more is covered, never less: a pixel that a polygon touches, a chroma sample of
which any luma is covered, and a margin, since the scaler that made the picture has mixed neighbours.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
"""From the left and from the top, each in the picture's side: 0 to 1."""
Polygon = tuple[Point, ...]
Spans = list[list[tuple[int, int]]]
"""For each row the covered columns, as (first, behind the last), in order and apart."""
Runs = tuple[tuple[slice, bytes], ...]
"""What is written where in one buffer."""

MARGIN_PX = 2
"""The half width of a bicubic scaler: so far beside a border a picture may hold what is behind it."""
_DOUBT_PX = 1e-6
"""Beyond what floating point gets wrong in a picture of any size."""
BLACK_LUMA, BLACK_CHROMA = 16, 128
"""Limited range (ITU-R BT.601)."""


@dataclass(frozen=True, slots=True)
class Plane:
    """How one plane lies in its buffer."""

    columns: int
    """Samples in a row, each of them one or, where Cb and Cr alternate, two bytes."""
    rows: int
    stride: int
    """Bytes from one row to the next."""
    offset: int = 0
    is_chroma: bool = False
    """Of half the width and half the height (4:2:0)."""
    sample_bytes: int = 1


def half(length: int) -> int:
    """A side of a chroma plane: an odd picture's last column has a sample of its own."""
    return (length + 1) // 2


def everything(width_px: int, height_px: int) -> Spans:
    """The whole picture."""
    return [[(0, width_px)] for _ in range(height_px)]


def rasterize(
    polygons: Iterable[Polygon], width_px: int, height_px: int, margin_px: int = MARGIN_PX
) -> Spans:
    """Every pixel of which a polygon holds any part, and those within the margin of it.

    Inside is what a line winds around at all (the rule `nonzero`): more than `evenodd` would say.
    """
    touched: Spans = [[] for _ in range(height_px)]
    for polygon in polygons:
        points = [(x * width_px, y * height_px) for x, y in polygon]
        for row, spans in _bands(points, height_px).items():
            for near in range(max(0, row - margin_px), min(height_px, row + margin_px + 1)):
                touched[near] += spans
    return [_joined(spans, width_px, margin_px) for spans in touched]


def halved(spans: Spans) -> Spans:
    """The chroma samples that any covered pixel has a part in."""
    return [
        _joined([(first // 2, half(last)) for first, last in spans[row] + _row(spans, row + 1)], None, 0)
        for row in range(0, len(spans), 2)
    ]


def runs(spans: Spans, plane: Plane) -> Runs:
    """What blackens a plane of the picture that the spans are of; rows that are covered whole go as one."""
    ink = BLACK_CHROMA if plane.is_chroma else BLACK_LUMA
    places: list[tuple[int, int]] = []
    for row, covered in enumerate((halved(spans) if plane.is_chroma else spans)[: plane.rows]):
        at = plane.offset + row * plane.stride
        for first, last in covered:
            begin = at + first * plane.sample_bytes
            is_whole = (first, last) == (0, plane.columns)
            end = at + (plane.stride if is_whole and row + 1 < plane.rows else last * plane.sample_bytes)
            if places and places[-1][1] == begin:
                begin = places.pop()[0]
            places.append((begin, end))
    inks: dict[int, bytes] = {}
    return tuple(
        (slice(begin, end), inks.setdefault(end - begin, bytes([ink]) * (end - begin)))
        for begin, end in places
    )


def paint(pixels: memoryview, what: Runs) -> None:
    """Write into a picture. Raises ValueError where it is shorter than it was said to be."""
    for where, ink in what:
        pixels[where] = ink


def _bands(points: Sequence[Point], height_px: int) -> dict[int, list[tuple[int, int]]]:
    """For each row of pixels the columns in which the polygon touches it.

    What a polygon holds of a band is seen from above or below it by an edge in that band, or reaches up to
    the band's upper side: so the edges' own columns, and the inside along that side, are all there is.
    """
    edges = list(zip(points, (*points[1:], points[0]), strict=True))
    found: dict[int, list[tuple[int, int]]] = {}
    crossings: dict[int, list[tuple[float, int]]] = {}
    for (x0, y0), (x1, y1) in edges:
        turn = 1 if y1 > y0 else -1
        if turn < 0:
            x0, y0, x1, y1 = x1, y1, x0, y0  # noqa: PLW2901  # downwards from here on
        slope = (x1 - x0) / (y1 - y0) if y1 > y0 else 0.0
        first = max(0, math.floor(y0 - _DOUBT_PX))
        for row in range(first, min(height_px, math.floor(y1 + _DOUBT_PX) + 1)):
            if y1 - y0 <= _DOUBT_PX:
                ends = x0, x1
            else:
                ends = _at(x0, y0, slope, max(y0, row), x1), _at(x0, y0, slope, min(y1, row + 1), x1)
            found.setdefault(row, []).append(_columns(*ends))
            if y0 <= row < y1:
                crossings.setdefault(row, []).append((_at(x0, y0, slope, row, x1), turn))
    for row, crossed in crossings.items():
        winding, since = 0, 0.0
        for x, turn in sorted(crossed):
            if winding == 0:
                since = x
            winding += turn
            if winding == 0:
                found[row].append(_columns(since, x))
    return found


def _at(x0: float, y0: float, slope: float, y: float, x1: float) -> float:
    """The edge's x at y, within the edge: a flat one may shoot far over its end."""
    x = x0 + (y - y0) * slope
    return min(max(x, min(x0, x1)), max(x0, x1))


def _columns(x0: float, x1: float) -> tuple[int, int]:
    return math.floor(min(x0, x1) - _DOUBT_PX), math.floor(max(x0, x1) + _DOUBT_PX) + 1


def _joined(spans: list[tuple[int, int]], width_px: int | None, margin_px: int) -> list[tuple[int, int]]:
    """In order, apart, with the margin, and cut at the picture's sides."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        begin, end = first - margin_px, last + margin_px
        if width_px is not None:
            begin, end = max(0, begin), min(width_px, end)
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        elif begin < end:
            joined.append((begin, end))
    return joined


def _row(spans: Spans, row: int) -> list[tuple[int, int]]:
    return spans[row] if row < len(spans) else []
