"""Pictures of events, kept on the device under the event's id: so many and so many bytes, the oldest goes."""

import asyncio
import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.errors import CameraError, ConfigError
from agent.model.disk import make_private_folder, write_dated
from agent.model.ids import is_id
from agent.model.log_limit import LogLimit
from agent.model.still import Still, Thumbnail, encode_jpeg_text

log = logging.getLogger(__name__)

MAX_COUNT, MAX_BYTES = 1000, 12_000_000
"""A week of a busy camera."""
MAX_WAITING = 16
"""Events whose picture is being taken; of one more there is none."""
SUFFIX = ".jpg"


class Thumbnails:
    """Belongs to one event loop. A disk that is full or read-only costs pictures, and nothing else."""

    def __init__(self, folder: Path, take: Callable[[], Awaitable[Still]]) -> None:
        """`take` gives the camera's picture of now; it may raise CameraError."""
        self._folder, self._take = folder, take
        self._kept: OrderedDict[str, int] = OrderedDict()
        """Their sizes in bytes, the oldest first."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._faults = LogLimit(60.0)
        self._load()

    def begin(self, event: str) -> None:
        """Take the picture of an event that has just begun; returns at once."""
        if not is_id(event) or event in self._tasks or len(self._tasks) >= MAX_WAITING:
            return
        task = self._tasks[event] = asyncio.create_task(self._keep(event), name=f"thumbnail {event}")
        task.add_done_callback(lambda _: self._tasks.pop(event, None))

    async def find(self, event: str) -> Thumbnail | None:
        """The picture of an event, once it was taken; None where there is none, or no more."""
        if task := self._tasks.get(event):
            await asyncio.wait((task,))
        if event not in self._kept:
            return None
        return await asyncio.to_thread(self._read, event)

    async def close(self) -> None:
        """Give up what was not taken yet."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, event: str) -> None:
        try:
            still = await self._take()
            file = self._folder / f"{event}{SUFFIX}"  # its time is known without a record of it
            await asyncio.to_thread(write_dated, file, still.jpeg, still.taken_at)
        except (CameraError, ConfigError) as exc:
            self._complain(f"event {event} has no picture: {exc}")
        except OSError as exc:
            self._complain(f"the picture of an event is not kept: {self._folder}: {exc.strerror}")
        else:
            self._kept[event] = len(still.jpeg)
            await asyncio.to_thread(self._remove, self._too_many())

    def _too_many(self) -> list[str]:
        removed, size_bytes = [], sum(self._kept.values())
        while len(self._kept) > MAX_COUNT or size_bytes > MAX_BYTES:
            event, of_it_bytes = self._kept.popitem(last=False)
            size_bytes -= of_it_bytes
            removed.append(event)
        return removed

    def _load(self) -> None:
        try:
            make_private_folder(self._folder)
            with os.scandir(self._folder) as entries:
                found = [
                    (entry.stat().st_mtime, entry.name.removesuffix(SUFFIX), entry.stat().st_size)
                    for entry in entries
                    if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)
                ]
        except (OSError, ConfigError) as exc:
            self._complain(f"events get no picture: {self._folder}: {exc}")
            return
        self._kept.update((name, size) for _, name, size in sorted(found) if is_id(name))
        self._remove(self._too_many())

    def _read(self, event: str) -> Thumbnail | None:
        file = self._folder / f"{event}{SUFFIX}"
        try:
            return Thumbnail(encode_jpeg_text(file.read_bytes()), max(0.0, file.stat().st_mtime))
        except OSError as exc:
            self._complain(f"the picture of an event cannot be read: {file}: {exc.strerror}")
            return None

    def _remove(self, events: list[str]) -> None:
        for event in events:
            with contextlib.suppress(OSError):
                (self._folder / f"{event}{SUFFIX}").unlink()

    def _complain(self, words: str) -> None:
        if self._faults.note(time.monotonic()):
            log.warning("%s", words)
