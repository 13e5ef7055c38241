"""What one encoder makes, handed to every reader; whoever is slow loses its own units and holds nobody up."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from agent.model.log_limit import LogLimit
from agent.model.media import Medium, Need, RtpFrame, Unit

log = logging.getLogger(__name__)

UNIT_BYTES = 256
"""What a unit in memory takes beside its data."""

TakeFrame = Callable[[RtpFrame], None]
"""A viewer's lane takes a frame and returns at once; what it cannot send in time, it drops."""


class Reader(Protocol):
    """Who reads a stream in step with it. What it holds has a bound of its own."""

    @property
    def wants_keyframe(self) -> bool:
        """Whether it cannot go on without one: then one is asked for."""

    def push(self, unit: Unit) -> None:
        """The next unit; returns at once."""


class UnitQueue(AsyncIterator[Unit]):
    """Units that wait for a reader with a task of its own: so many bytes at most, or a single unit.

    What does not fit is dropped, and of that medium everything up to the next keyframe that fits, because all
    of it needs what was dropped.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        """`name` says in the log who was slow."""
        self.taken = 0
        """How many units it took in."""
        self._name = name
        self._max_bytes = max_bytes
        self._waiting: deque[Unit] = deque()
        self._waiting_bytes = 0
        self._whole: set[Medium] = set()
        """Of which nothing is missing since the last keyframe."""
        self._lost: set[Medium] = set()
        """Of which something was dropped since then."""
        self._drops = LogLimit()
        self._arrived = asyncio.Event()

    @property
    def dropped(self) -> int:
        """How many units it lost because the reader was slow."""
        return self._drops.count

    @property
    def wants_keyframe(self) -> bool:
        """Whether pictures cannot go on without one, and there is room for it again."""
        return "video" in self._lost and self._waiting_bytes <= self._max_bytes // 2

    def push(self, unit: Unit) -> None:
        """Keep it for the reader, or drop it."""
        medium, size_bytes = unit.medium, len(unit.data) + UNIT_BYTES
        has_room = not self._waiting or self._waiting_bytes + size_bytes <= self._max_bytes
        if has_room and (unit.is_keyframe or medium in self._whole):
            self._whole.add(medium)
            self._lost.discard(medium)
            self._waiting.append(unit)
            self._waiting_bytes += size_bytes
            self.taken += 1
            self._arrived.set()
        elif unit.is_keyframe or medium in self._whole | self._lost:  # else it came before the first keyframe
            self._drop(medium)

    async def __anext__(self) -> Unit:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        unit = self._waiting.popleft()
        self._waiting_bytes -= len(unit.data) + UNIT_BYTES
        return unit

    def _drop(self, medium: Medium) -> None:
        self._whole.discard(medium)
        self._lost.add(medium)
        if self._drops.note(time.monotonic()):
            log.warning("%s is too slow; units lost so far: %d", self._name, self._drops.count)


class Stream:
    """One encoding of what a source takes; the source runs while somebody reads."""

    def __init__(
        self,
        packetize: Callable[[Unit], RtpFrame | None],
        watching: Callable[[], AbstractContextManager[Any]],
        request_keyframe: Callable[[Need], None],
    ) -> None:
        """`packetize` cuts RTP payloads; `watching` keeps the source running for the length of its block."""
        self._packetize = packetize
        self._watching = watching
        self._request_keyframe = request_keyframe
        self._readers: list[Reader] = []
        self._whole_readers = 0
        self._takers: list[TakeFrame] = []
        self._faults = LogLimit()

    @property
    def is_read(self) -> bool:
        """Whether somebody wants every unit, and not only what a viewer's link carries."""
        return self._whole_readers > 0

    @contextmanager
    def reading(self, reader: Reader) -> Iterator[None]:
        """Units go to `reader` for the length of the block, from a keyframe on that is asked for."""
        self._whole_readers += 1
        try:
            with self._watching(), _listed(self._readers, reader):
                self._request_keyframe(Need.START)
                yield
        finally:
            self._whole_readers -= 1

    @contextmanager
    def overhearing(self, reader: Reader) -> Iterator[None]:
        """Units go to `reader` for the length of the block, while the source runs for others."""
        with _listed(self._readers, reader):
            yield

    @contextmanager
    def queue(self, name: str, max_bytes: int) -> Iterator[UnitQueue]:
        """The same for a reader with a task of its own: units wait for it, within the bound."""
        queue = UnitQueue(name, max_bytes)
        with self.reading(queue):
            yield queue

    @contextmanager
    def reading_rtp(self, take: TakeFrame) -> Iterator[None]:
        """Frames, which are made once for all who want them, go to `take` for the length of the block."""
        with self._watching(), _listed(self._takers, take):
            yield

    def push(self, unit: Unit) -> None:
        """Hand a unit to every reader; never waits."""
        if self._takers and (frame := self._packetize(unit)):
            for take in tuple(self._takers):
                try:
                    take(frame)
                except Exception as exc:  # noqa: BLE001  # of one reader: the others get theirs
                    self._note_fault(exc)
        for reader in tuple(self._readers):
            try:
                reader.push(unit)
                if reader.wants_keyframe:
                    self._request_keyframe(Need.REPAIR)
            except Exception as exc:  # noqa: BLE001
                self._note_fault(exc)

    def _note_fault(self, exc: Exception) -> None:
        if self._faults.note(time.monotonic()):
            log.error("a reader failed (%d times so far)", self._faults.count, exc_info=exc)


@contextmanager
def _listed(readers: list[Any], one: Any) -> Iterator[None]:
    readers.append(one)
    try:
        yield
    finally:
        readers.remove(one)
