"""One stream's recordings for a player, read ahead in a thread: on, by keyframes, or a picture back."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from agent.errors import PinholeError
from agent.model.media import StreamName
from agent.model.threads import call_in_thread
from agent.record.reader import Cursor, RecordedUnit

T = TypeVar("T")

DISK_S = 5.0
"""A card that takes longer for a second of pictures is taken for broken."""
AHEAD = 12
"""Pictures in hand when the next are read."""
MAX_GROUP = 600
"""Pictures from a keyframe on: more are no group of pictures."""


class Library(Protocol):
    """What is recorded. `has` never waits; the others may wait for the disk."""

    def has(self, stream: StreamName) -> bool: ...
    def cursor(self, stream: StreamName) -> Cursor: ...
    def bitrate_bps(self, stream: StreamName, wall_us: int) -> int | None: ...


class Tape:
    """All that reads raises OSError, sqlite3.Error, PinholeError. `open` comes first."""

    def __init__(self, library: Library) -> None:
        self.is_sparse = False
        """Keyframes alone were handed out last: a decoder lacks what stands between."""
        self._library = library
        self._cursor: Cursor | None = None
        self._waiting: deque[RecordedUnit] = deque()
        self._ahead: asyncio.Task[list[RecordedUnit]] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a stream to read."""
        return self._cursor is not None

    async def open(self, stream: StreamName) -> None:
        """Read this one from now on."""
        self._cursor = await in_thread(partial(self._library.cursor, stream))

    async def close(self) -> None:
        """Hold no file any more."""
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()  # first: who waits for what is read ahead may be cancelled
        await self._drop()

    async def seek(self, wall_us: int) -> bool:
        """Go to the keyframe at or before that time; False where nothing is recorded."""
        await self._drop()
        return await in_thread(partial(self._reader.seek, wall_us)) is not None

    async def next(self) -> RecordedUnit | None:
        """None where there is no more, yet."""
        if not self._waiting and not await self._fill():
            return None
        unit = self._waiting.popleft()
        if len(self._waiting) <= AHEAD and self._ahead is None:
            self._ahead = asyncio.create_task(self._read(), name="read ahead")
        return unit

    def put_back(self, unit: RecordedUnit) -> None:
        """What `next` gave comes again."""
        self._waiting.appendleft(unit)

    async def next_keyframe(self, speed: float) -> RecordedUnit | None:
        """The next one, or the one before where the speed is negative; None at the end."""
        await self._drop()
        self.is_sparse = True
        reader = self._reader
        return await in_thread(reader.next_keyframe if speed > 0 else reader.previous_keyframe)

    async def time_before(self, wall_us: int, pictures: int) -> int:
        """When the picture was taken that is so many before this one, or the first of all."""
        before_us, times = wall_us - 1, list[int]()
        await self._drop()
        while len(times) < pictures:
            start_us = await in_thread(partial(self._reader.seek, before_us))
            if start_us is None or start_us > before_us:
                break
            group: list[int] = []
            while len(group) < MAX_GROUP and (units := await self._read()):
                group += [unit.wall_us for unit in units if unit.wall_us <= before_us]
                if units[-1].wall_us > before_us:
                    break
            times, before_us = [*group, *times], start_us - 1
        return times[-min(pictures, len(times))] if times else wall_us

    @property
    def _reader(self) -> Cursor:
        if self._cursor is None:
            raise PinholeError("no recording is open")
        return self._cursor

    async def _fill(self) -> bool:
        ahead, self._ahead = self._ahead, None
        self._waiting.extend(await (ahead or self._read()))
        return bool(self._waiting)

    async def _read(self) -> list[RecordedUnit]:
        return await in_thread(self._reader.read)

    async def _drop(self) -> None:
        """Forget what was read ahead: the cursor goes elsewhere."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            with suppress(OSError, sqlite3.Error, PinholeError):
                await ahead
        self._waiting.clear()
        self.is_sparse = False


async def in_thread(work: Callable[[], T]) -> T:
    """What may wait for the disk."""
    return await call_in_thread("recordings", DISK_S, work)
