"""Keeps recordings within their bounds: before each file the least worth goes. Blocks: for a thread."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import PinholeError
from agent.model.media import StreamName
from agent.record.export import Exporter
from agent.record.index import Index
from agent.record.segment import Segment, Tier

AT_ONCE = 60
"""Files that are removed for their age before one is begun: a card that lay for long is cleared in steps."""
LOCKED_SHARE, LOCKED_WARN_SHARE = 0.5, 0.2
"""Of all that there may be: no more can be locked, and from the second on an event tells."""


Unsent = Counter[tuple[StreamName, Tier]]


class NoRoomError(PinholeError):
    """The disk is full, and nothing more may be removed from it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What recordings may take."""

    max_bytes: int | None
    min_free_bytes: int
    max_age_us: int | None


@dataclass(frozen=True, slots=True)
class Space:
    """Of a file system."""

    total_bytes: int
    free_bytes: int


def read_space(folder: Path) -> Space:
    """What the kernel says, without a look at any file. Raises OSError."""
    found = os.statvfs(folder)
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


class Cleaner:
    """Of one index."""

    def __init__(
        self,
        index: Index,
        bounds: Bounds,
        read: Callable[[Path], Space] = read_space,
        unsent: Unsent | None = None,
    ) -> None:
        """`unsent` counts what was not uploaded when it was removed."""
        self.removed = 0
        self._unsent: Unsent = Counter() if unsent is None else unsent
        self._index, self._bounds, self._read = index, bounds, read

    @property
    def cap_bytes(self) -> int:
        """The most that there may be: by the settings, or by the file system. Raises OSError."""
        space = self._read(self._index.folder)
        room = max(0, space.free_bytes + self._index.used_bytes - self._bounds.min_free_bytes)
        if self._bounds.max_bytes is None:
            return room
        return min(room, max(0, self._bounds.max_bytes - Exporter.used_bytes(self._index.folder)))

    def make_room(self, needed_bytes: int, wall_us: int) -> None:
        """Remove what is too old, and what must go for so much more. Raises NoRoomError, OSError."""
        if self._bounds.max_age_us is not None:
            for segment in self._index.older_than(wall_us - self._bounds.max_age_us, AT_ONCE):
                self._remove(segment)
        with contextlib.suppress(OSError):  # a folder of exports that is closed to us costs no recording
            Exporter.remove_old(self._index.folder, wall_us / 1e6)
        while self._index.used_bytes + needed_bytes > (cap_bytes := self.cap_bytes):
            least = self._index.least_worth(1)
            if not least:
                raise NoRoomError(self._words(cap_bytes))
            self._remove(least[0])

    def _remove(self, segment: Segment) -> None:
        self._index.remove(segment)
        self.removed += 1
        if not segment.is_uploaded:
            self._unsent[segment.stream, segment.tier] += 1

    def _words(self, cap_bytes: int) -> str:
        locked, used = self._index.locked_bytes, self._index.used_bytes
        if locked > cap_bytes // 2:
            return f"{locked >> 20} MB of recordings are locked: unlock some, or raise record.max_mb"
        free = self._read(self._index.folder).free_bytes
        return (
            f"the disk has {free >> 20} MB left and recordings take {used >> 20} MB of it: "
            "other files fill it; make room, or lower record.min_free_mb"
        )
