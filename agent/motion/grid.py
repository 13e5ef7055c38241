"""The grid of cells that a picture is looked at by, and what of it belongs together. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from agent.model.motion import Point


@dataclass(frozen=True, slots=True)
class Box:
    """Cells from `left` to before `right`, and from `top` to before `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    def union(self, other: "Box") -> "Box":
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def gap(self, other: "Box") -> int:
        """Cells between the two, in the direction in which they are further apart; 0 where they touch."""
        across = max(self.left - other.right, other.left - self.right)
        down = max(self.top - other.bottom, other.top - self.bottom)
        return max(0, across, down)


def box_of(cells: Collection[int], columns: int) -> Box:
    """Around all of them; there is one at least."""
    across, down = [cell % columns for cell in cells], [cell // columns for cell in cells]
    return Box(min(across), min(down), max(across) + 1, max(down) + 1)


@lru_cache(maxsize=4)
def neighbours(columns: int, rows: int) -> tuple[tuple[int, ...], ...]:
    """Of each cell, those that it touches: eight, fewer at the edges."""
    return tuple(
        tuple(
            below * columns + beside
            for below in range(max(0, row - 1), min(rows, row + 2))
            for beside in range(max(0, column - 1), min(columns, column + 2))
            if (beside, below) != (column, row)
        )
        for row in range(rows)
        for column in range(columns)
    )


def clusters(cells: Collection[int], columns: int, rows: int) -> Iterator[list[int]]:
    """Cells that touch each other, together."""
    left, touching = set(cells), neighbours(columns, rows)
    while left:
        found = [left.pop()]
        for cell in found:
            near = left.intersection(touching[cell])
            left -= near
            found += near
        yield found


SAMPLES = 4
"""Points across a cell, and down, by which its share in a polygon is measured."""


def cells_in(points: tuple[Point, ...], columns: int, rows: int) -> frozenset[int]:
    """Cells of which a quarter or more lies in a polygon (even-odd); of a thin one all that it touches."""
    counts: dict[int, int] = {}
    for line in range(rows * SAMPLES):
        y = (line + 0.5) / (rows * SAMPLES)
        crossings = sorted(_crossings(points, y))
        for begin, end in zip(crossings[::2], crossings[1::2], strict=False):
            first = max(0, round(begin * columns * SAMPLES))
            last = min(columns * SAMPLES, round(end * columns * SAMPLES))
            for sample in range(first, last):
                cell = line // SAMPLES * columns + sample // SAMPLES
                counts[cell] = counts.get(cell, 0) + 1
    full = {cell for cell, count in counts.items() if count >= SAMPLES * SAMPLES // 4}
    return frozenset(full or counts)


def _crossings(points: tuple[Point, ...], y: float) -> Iterator[float]:
    """Where the polygon's edges cross a line."""
    for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True):
        if (y1 <= y) != (y2 <= y):
            yield x1 + (y - y1) / (y2 - y1) * (x2 - x1)
