"""The last seconds of a stream in memory: what happens is kept from before it began. Pure."""

from collections import deque

from agent.model.media import Unit

UNIT_BYTES = 256
"""What a unit in memory takes beside its data."""


class Ring:
    """Whole groups of pictures, each from its IDR on.

    A group stays as long as it is needed to reach `hold_us` back, so the ring holds up to one group more.
    """

    def __init__(self, hold_us: int, max_bytes: int) -> None:
        self._hold_us = hold_us
        self._max_bytes = max_bytes
        self._groups: deque[list[Unit]] = deque()
        self._sizes: deque[int] = deque()
        self.size_bytes = 0

    def push(self, unit: Unit) -> None:
        """The next picture. What comes before the first IDR cannot be shown, and is left out."""
        if unit.is_keyframe:
            self._groups.append([])
            self._sizes.append(0)
        if not self._groups:
            return
        self._groups[-1].append(unit)
        size_bytes = len(unit.data) + UNIT_BYTES
        self._sizes[-1] += size_bytes
        self.size_bytes += size_bytes
        wanted_us = unit.capture_us - self._hold_us
        while len(self._groups) > 1 and (
            self._groups[1][0].capture_us <= wanted_us or self.size_bytes > self._max_bytes
        ):
            self._drop_oldest()
        if self.size_bytes > self._max_bytes:
            self._drop_oldest()  # one group alone: the next IDR begins anew

    def take(self, from_us: int) -> list[Unit]:
        """Empty it: from the last IDR at or before that time on, or all that there is."""
        while len(self._groups) > 1 and self._groups[1][0].capture_us <= from_us:
            self._drop_oldest()
        taken = [unit for group in self._groups for unit in group]
        self.clear()
        return taken

    def clear(self) -> None:
        """Forget all of it."""
        self._groups.clear()
        self._sizes.clear()
        self.size_bytes = 0

    @property
    def held_us(self) -> int:
        """How far back it reaches."""
        return self._groups[-1][-1].capture_us - self._groups[0][0].capture_us if self._groups else 0

    def _drop_oldest(self) -> None:
        self._groups.popleft()
        self.size_bytes -= self._sizes.popleft()
