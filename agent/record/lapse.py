"""Stills by the clock: a time-lapse on the device, within so many bytes; the oldest goes."""

import asyncio
import contextlib
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agent.errors import CameraError
from agent.model.disk import write_whole
from agent.model.inside import files_inside, make_folder_inside, remove_inside
from agent.model.lapse import LapseSection
from agent.model.log_limit import LogLimit
from agent.model.still import Still
from agent.model.threads import HungCallError, call_in_thread

log = logging.getLogger(__name__)

SUFFIX = ".jpg"
DISK_S = 20.0
"""A disk that takes longer for a still hangs."""
_OURS = re.compile(r"\d{4}-\d\d-\d\d/\d{6}\.jpg", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How often, and how much."""

    every_s: float
    max_bytes: int
    min_free_bytes: int
    """Of the file system; below it no still is written."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One that is kept."""

    at: float
    """Unix time, to a second."""
    file: Path
    size_bytes: int


class Lapse:
    """`<folder>/2026-11-29/101500.jpg`, in UTC. A disk that fails costs stills, and nothing else."""

    def __init__(
        self,
        folder: Path,
        bounds: Bounds,
        take: Callable[[], Awaitable[Still]],
        is_usable: Callable[[], bool] = lambda: True,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        """`is_usable`: whether the folder is where it should be, as its partition may not be mounted."""
        self.folder, self._bounds, self._take = folder, bounds, take
        self._is_usable, self._unix_s = is_usable, unix_s
        self._kept: deque[tuple[Path, int]] = deque()
        """With their sizes in bytes, the oldest first."""
        self._kept_bytes = 0
        self._is_loaded = False
        self._lock = threading.Lock()
        """On what is kept: stills are written in one thread, and films made in another."""
        self._faults = LogLimit(600.0)

    async def run(self) -> None:
        """Until cancelled: one still each whole multiple of `every_s`, so that all of them lie evenly."""
        with contextlib.suppress(OSError, HungCallError):  # which is told when one is to be kept
            # So that the section knows the oldest.
            await call_in_thread("lapse", DISK_S, partial(self.taken, 0.0, 0.0))
        while True:
            every_s = self._bounds.every_s
            due_s = (self._unix_s() // every_s + 1) * every_s
            # The loop's clock is another: where the wall clock is set meanwhile, or runs slower, sleep again.
            while 0 < (left_s := due_s - self._unix_s()) <= every_s:  # noqa: ASYNC110  # a clock tells nobody
                await asyncio.sleep(left_s)
            if left_s <= 0:
                await self.take_one()

    def section(self) -> LapseSection:
        """For the state. It says something else once a day, and not with each still."""
        with contextlib.suppress(IndexError):
            day, _, _ = str(self._kept[0][0].relative_to(self.folder)).partition("/")
            return LapseSection(self._bounds.every_s, _unix(f"{day}/000000"))
        return LapseSection(self._bounds.every_s)

    def taken(self, since: float, until: float) -> list[Taken]:
        """Those of this time, the oldest first; blocks. Raises OSError."""
        with self._lock:
            if self._is_usable():
                self._load()
            kept = list(self._kept)
        found = (Taken(_unix(str(file.relative_to(self.folder))), file, size) for file, size in kept)
        return [one for one in found if since <= one.at < until]

    async def take_one(self) -> None:
        """Take one now, and keep it."""
        try:
            still = await self._take()
            await call_in_thread("lapse", DISK_S, partial(self._keep, still))
        except HungCallError:
            self._complain(f"stills by the clock are not kept: {self.folder}: the disk does not answer")
        except CameraError as exc:
            self._complain(f"no still was taken by the clock: {exc}")
        except OSError as exc:
            self._complain(f"stills by the clock are not kept: {self.folder}: {exc.strerror or exc}")

    def _keep(self, still: Still) -> None:
        if not self._is_usable():
            raise OSError("its partition is not mounted")
        make_folder_inside(self.folder)
        with self._lock:
            self._write(still)

    def _write(self, still: Still) -> None:
        self._load()
        at = datetime.fromtimestamp(still.taken_at, UTC)
        file = self.folder / f"{at:%Y-%m-%d}" / f"{at:%H%M%S}{SUFFIX}"
        make_folder_inside(file.parent)
        self._make_room(len(still.jpeg))
        space = os.statvfs(file.parent)
        if space.f_bavail * space.f_frsize - len(still.jpeg) < self._bounds.min_free_bytes:
            raise OSError("the disk has no room beside what is kept free")
        write_whole(file, still.jpeg)
        self._kept.append((file, len(still.jpeg)))
        self._kept_bytes += len(still.jpeg)

    def _load(self) -> None:
        """Once."""
        if self._is_loaded or not self.folder.is_dir():
            return
        found = sorted(
            (str(file.relative_to(self.folder)), status.st_size)
            for day in self.folder.iterdir()
            for file, status in files_inside(day)
        )
        self._kept = deque((self.folder / name, size) for name, size in found if _OURS.fullmatch(name))
        self._kept_bytes = sum(size for _, size in self._kept)
        self._is_loaded = True

    def _make_room(self, size_bytes: int) -> None:
        while self._kept and self._kept_bytes + size_bytes > self._bounds.max_bytes:
            file, of_it_bytes = self._kept.popleft()
            self._kept_bytes -= of_it_bytes
            remove_inside(file)
            with contextlib.suppress(OSError):  # there are more of that day
                file.parent.rmdir()

    def _complain(self, words: str) -> None:
        if self._faults.note(time.monotonic()):
            log.warning("%s", words)


def _unix(name: str) -> float:
    """Of `2026-11-29/101500.jpg`; 0 where that is no date."""
    try:
        return datetime.strptime(name[:17], "%Y-%m-%d/%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
