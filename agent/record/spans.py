"""Stretches of time, joined where nothing is missing between them. Pure; wall time in µs since 1970."""

from bisect import bisect_left, bisect_right

JOIN_US = 1_500_000
"""Files follow each other within a picture; a clock that is slewed shifts them by less than this."""


class Spans:
    """Ordered, and no two within `JOIN_US` of each other."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start_us: int, end_us: int) -> None:
        """It is there from now on."""
        first = bisect_left(self._ends, start_us - JOIN_US)
        last = bisect_right(self._starts, end_us + JOIN_US)
        if first < last:
            start_us = min(start_us, self._starts[first])
            end_us = max(end_us, self._ends[last - 1])
        self._starts[first:last], self._ends[first:last] = [start_us], [end_us]

    def remove(self, start_us: int, end_us: int) -> None:
        """It is there no more."""
        first = bisect_right(self._ends, start_us)
        last = bisect_left(self._starts, end_us)
        kept = [
            (start, end)
            for one in range(first, last)
            for start, end in (
                (self._starts[one], min(self._ends[one], start_us)),
                (max(self._starts[one], end_us), self._ends[one]),
            )
            if start < end
        ]
        self._starts[first:last] = [start for start, _ in kept]
        self._ends[first:last] = [end for _, end in kept]

    def between(self, from_us: int, until_us: int, limit: int | None = None) -> list[tuple[int, int]]:
        """Those that reach into this time, the oldest first; whole, not cut."""
        first = bisect_right(self._ends, from_us)
        last = bisect_left(self._starts, until_us)
        if limit is not None:
            last = min(last, first + limit)
        return list(zip(self._starts[first:last], self._ends[first:last], strict=True))

    @property
    def oldest_us(self) -> int | None:
        """When it begins."""
        return self._starts[0] if self._starts else None
