"""Pictures of a head's presets: one each, taken when it has stood there for a moment, kept on the device."""

import asyncio
import contextlib
import logging
import math
import os
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.errors import CameraError, ConfigError
from agent.model.command import CommandError, PtzNumber
from agent.model.disk import make_private_folder, write_dated
from agent.model.log_limit import LogLimit
from agent.model.still import MAX_ICON_BYTES, Still, Thumbnail, encode_jpeg_text

log = logging.getLogger(__name__)

STANDS_S = 2.5
"""Longer than a still may be old: what it shows was seen from where the head stands now."""
AGAIN_S = 30.0
"""After a still that did not come."""
LOOKS_S = 10.0
"""Whether somebody watches by now, where the head stands at a preset without a picture."""
_NAME = re.compile(r"([1-9]\d{0,2})-(\d{1,12})\.jpg")
"""Preset, and version of the masks behind which it was taken."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What an album needs of the camera."""

    take: Callable[[], Awaitable[Still]]
    """A small picture of now; raises CameraError."""
    is_seen: Callable[[], bool]
    """The camera runs, and its picture is not blank: nobody starts it for this."""
    masks: Callable[[], int]
    """Their version: a picture from behind others may show what is covered now."""


@dataclass(frozen=True, slots=True)
class _Kept:
    masks: int
    taken_at: float


class Album:
    """Belongs to one event loop. A disk that is full or read-only costs pictures, and nothing else."""

    def __init__(
        self, folder: Path, scene: Scene, clock: Callable[[], float], on_change: Callable[[], None]
    ) -> None:
        """`on_change` says the section again."""
        self._folder, self._scene, self._clock, self._on_change = folder, scene, clock, on_change
        self._place: int | None = None
        self._since_s = 0.0
        self._again_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._taking: int | None = None
        """Whose picture is being taken, unless it was forgotten or kept anew meanwhile."""
        self._faults = LogLimit(60.0)
        self._kept: dict[int, _Kept] = {}
        self._load()

    def taken_at(self, number: int) -> float:
        """Unix time of a preset's picture; 0 where it has none."""
        kept = self._kept.get(number)
        return kept.taken_at if kept and kept.masks == self._scene.masks() else 0.0

    def note(self, place: int | None) -> None:
        """At which preset the head stands now; None on its way."""
        if place != self._place:
            self._place, self._since_s, self._again_s = place, self._clock(), 0.0

    def look(self, numbers: Collection[int]) -> float:
        """Take the picture that is missing, of one of these presets; when to look again."""
        now_s, place = self._clock(), self._place
        self._prune(numbers)
        if place is None or place not in numbers or self._task or self.taken_at(place):
            return math.inf
        due_s = max(self._since_s + STANDS_S, self._again_s)
        if now_s < due_s:
            return due_s
        if not self._scene.is_seen():
            return now_s + LOOKS_S
        self._taking, self._again_s = place, now_s + AGAIN_S
        work = self._take(place, self._since_s, self._scene.masks())
        self._task = asyncio.create_task(work, name=f"preset {place}")
        self._task.add_done_callback(self._done)
        return math.inf

    def drop(self, number: int) -> None:
        """The preset is another one now, or none."""
        if kept := self._kept.pop(number, None):
            self._remove([self._file(number, kept.masks)])
        if number == self._taking:
            self._taking = None
        if number == self._place:
            self._since_s, self._again_s = self._clock(), 0.0

    async def find(self, wish: PtzNumber) -> Thumbnail:
        """The command's answer. Raises CommandError."""
        kept, is_shown = self._kept.get(wish.number), self.taken_at(wish.number) > 0
        if kept is not None and is_shown:
            file = self._file(wish.number, kept.masks)
            try:
                return Thumbnail(encode_jpeg_text(await asyncio.to_thread(file.read_bytes)), kept.taken_at)
            except OSError as exc:
                self._complain(f"the picture of a preset cannot be read: {file}: {exc.strerror}")
        raise CommandError("no-picture", "this preset has no picture: turn there while somebody watches")

    async def close(self) -> None:
        """Give up what is being taken."""
        if self._task:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _take(self, number: int, since_s: float, masks: int) -> None:
        try:
            still = await self._scene.take()
            if not self._is_of(number, since_s, masks) or len(still.jpeg) > MAX_ICON_BYTES:
                return
            await asyncio.to_thread(write_dated, self._file(number, masks), still.jpeg, still.taken_at)
        except (CameraError, ConfigError) as exc:
            self._complain(f"preset {number} has no picture: {exc}")
        except OSError as exc:
            self._complain(f"the picture of a preset is not kept: {self._folder}: {exc.strerror}")
        else:
            self._settle(number, _Kept(masks, still.taken_at))

    def _settle(self, number: int, kept: _Kept) -> None:
        """It is on disk, where the head may have gone on meanwhile."""
        if number == self._taking:
            self._kept[number] = kept
            self._on_change()
        else:
            self._remove([self._file(number, kept.masks)])

    def _is_of(self, number: int, since_s: float, masks: int) -> bool:
        """Whether the head stands as it did, behind the same masks and with a picture."""
        is_there = (self._place, self._since_s) == (number, since_s) and number == self._taking
        return is_there and self._scene.masks() == masks and self._scene.is_seen()

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._task = None

    def _prune(self, numbers: Collection[int]) -> None:
        masks = self._scene.masks()
        gone = [n for n, kept in self._kept.items() if kept.masks != masks or n not in numbers]
        if gone:
            self._remove([self._file(number, self._kept.pop(number).masks) for number in gone])

    def _load(self) -> None:
        try:
            make_private_folder(self._folder)
            with os.scandir(self._folder) as entries:
                names = [(each, match) for each in entries if (match := _NAME.fullmatch(each.name))]
                # Of one preset the newest stays, but rather the one from behind the masks of now.
                found = sorted(
                    (int(match[2]) == self._scene.masks(), each.stat().st_mtime, each.name)
                    for each, match in names
                )
        except (OSError, ConfigError) as exc:
            self._complain(f"presets get no picture: {self._folder}: {exc}")
            return
        for _, taken_at, name in found:
            number, masks = map(int, name.removesuffix(".jpg").split("-"))
            if before := self._kept.get(number):
                _unlink([self._file(number, before.masks)])
            self._kept[number] = _Kept(masks, max(0.0, taken_at))

    def _file(self, number: int, masks: int) -> Path:
        return self._folder / f"{number}-{masks}.jpg"

    def _remove(self, files: list[Path]) -> None:
        asyncio.get_running_loop().run_in_executor(None, partial(_unlink, files))

    def _complain(self, words: str) -> None:
        if self._faults.note(self._clock()):
            log.warning("%s", words)


def _unlink(files: list[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
