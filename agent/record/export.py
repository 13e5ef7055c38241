"""Makes one MP4 of what was recorded between two times, with a manifest that the device signs.

Blocks for as long as the disk takes: for a worker thread. The pictures are copied as they were encoded.
"""

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import PinholeError
from agent.model.evidence import CHUNK_BYTES, MAX_PARTS, Manifest, Part, encode_box, encode_manifest
from agent.model.inside import (
    files_inside,
    is_inside,
    make_folder_inside,
    open_inside,
    remove_inside,
    touch_inside,
)
from agent.model.media import StreamName
from agent.record.avc import BadStreamError, ParameterSets
from agent.record.footage import Footage, Fragment
from agent.record.index import Index
from agent.record.movie import MAX_MEDIA_BYTES, Movie
from agent.record.segment import Segment

MAX_SPAN_S = 4 * 3600.0
MAX_FILE_BYTES = 1_500_000_000
MAX_KEPT, MAX_KEPT_BYTES, KEPT_S = 8, 2_000_000_000, 24 * 3600.0
"""Exports that wait to be fetched; the oldest goes."""
SHARE = 0.25
"""Of `record.max_mb`: they are within it, and push recordings out."""
FOLDER = "exports"
PART = ".part"

Seal = Callable[[bytes], bytes]
"""Signs a manifest."""


class ExportError(PinholeError):
    """Nothing was exported; the words say why, and what to do."""


@dataclass(frozen=True, slots=True)
class About:
    """Who exports."""

    device: str
    name: str
    software: str
    key: str
    """Its public key."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file that waits to be fetched."""

    id: str
    file: Path
    size_bytes: int
    sha256: str
    """Of all of it, manifest and all."""
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class _Place:
    """Where pictures that lie together are."""

    name: str
    offset: int
    size_bytes: int


@dataclass(slots=True)
class _Plan:
    movie: Movie
    places: list[_Place]
    parts: list[Part]


class Exporter:
    """Of one folder of recordings."""

    def __init__(
        self,
        index: Index,
        about: About,
        seal: Seal,
        min_free_bytes: int,
        unix_s: Callable[[], float] = time.time,
        max_bytes: int | None = None,
    ) -> None:
        """`max_bytes`: what recordings may take, and exports of it, where a setting says so."""
        self._index, self._about, self._seal = index, about, seal
        self._most_bytes = (
            MAX_KEPT_BYTES if max_bytes is None else min(MAX_KEPT_BYTES, int(max_bytes * SHARE))
        )
        self._min_free_bytes, self._unix_s = min_free_bytes, unix_s
        self._folder = index.folder / FOLDER

    def tidy(self) -> None:
        """Remove what was left half done; not while one is made."""
        for file, _ in files_inside(self._folder):
            if file.suffix == PART:
                remove_inside(file)

    def make(
        self, stream: StreamName, since: float, until: float, is_wanted: Callable[[], bool] = lambda: True
    ) -> Export:
        """Export a span, from the IDR at or before its beginning on. Raises ExportError, OSError."""
        if not 0 < until - since <= MAX_SPAN_S:
            raise ExportError(f"a span is at most {MAX_SPAN_S / 3600:g} hours long, and ends after it begins")
        plan = self._plan(stream, round(since * 1e6), round(until * 1e6))
        self._make_room(plan.movie.media_bytes)
        number = secrets.token_hex(16)
        part = self._folder / f"{number}{PART}"
        try:
            export = self._write(part, number, stream, (since, until), plan, is_wanted)
            part.replace(export.file)
        finally:
            part.unlink(missing_ok=True)
        return export

    @staticmethod
    def used_bytes(folder: Path) -> int:
        """What exports take of a folder of recordings. Raises OSError."""
        return sum(status.st_size for _, status in files_inside(folder / FOLDER))

    @staticmethod
    def remove_old(folder: Path, unix_s: float) -> None:
        """Those of a folder of recordings that nobody has fetched in time. Raises OSError."""
        for file, status in files_inside(folder / FOLDER):
            if file.suffix == ".mp4" and unix_s - status.st_mtime > KEPT_S:
                remove_inside(file)

    def find(self, number: str) -> Path | None:
        """The file of an export, while it is there: from now on for a day, since a fetch may take long."""
        file = self._folder / f"{number}.mp4"
        is_name = len(number) == 32 and set(number) <= set("0123456789abcdef")
        if not is_name or not is_inside(file):
            return None
        with contextlib.suppress(OSError):
            touch_inside(file)
        return file

    def _plan(self, stream: StreamName, since_us: int, until_us: int) -> _Plan:
        plan = _Plan(Movie(), [], [])
        before: Segment | None = None
        for segment in self._index.segments(stream, since_us, until_us):
            for sets, fragment in self._fragments(segment, since_us, until_us):
                is_next = before is not None and (before is segment or segment.follows(before))
                if not plan.places and not fragment.is_keyframe:
                    continue
                if not is_next and not fragment.is_keyframe:
                    continue  # nothing can be shown of it
                self._add(plan, segment, sets, fragment, is_new=not is_next)
                before = segment
        if not plan.places:
            raise ExportError("nothing is recorded of this time: `recordings` lists what there is")
        return plan

    def _fragments(
        self, segment: Segment, since_us: int, until_us: int
    ) -> Iterator[tuple[ParameterSets, Fragment]]:
        offsets = [offset for offset, at_us in segment.keyframes if segment.wall_us + at_us <= since_us]
        offset = offsets[-1] if offsets else segment.keyframes[0][0] if segment.keyframes else None
        if offset is None:
            return
        with contextlib.suppress(OSError, BadStreamError), Footage(self._index.folder / segment.name) as file:
            sets = file.start().sets
            for found in file.fragments(offset, segment.size_bytes):
                if isinstance(found, Fragment):
                    if segment.wall_us + found.at_us >= until_us:
                        return
                    yield sets, found

    def _add(
        self, plan: _Plan, segment: Segment, sets: ParameterSets, fragment: Fragment, *, is_new: bool
    ) -> None:
        at_s = plan.movie.duration_us / 1e6
        since = (segment.wall_us + fragment.at_us) / 1e6
        until = since + fragment.duration_us / 1e6
        size_bytes = sum(size for _, size in fragment.samples)
        plan.movie.add(sets, fragment.samples, is_keyframe=fragment.is_keyframe)
        plan.places.append(_Place(segment.name, fragment.data_offset, size_bytes))
        clock: Literal["set", "unset"] = "set" if segment.is_clock_set else "unset"
        last = plan.parts[-1] if plan.parts else None
        if last is None or is_new or last.clock != clock:
            plan.parts.append(Part(at_s, since, until, clock, segment.boot, len(fragment.samples)))
        else:
            pictures = last.pictures + len(fragment.samples)
            plan.parts[-1] = Part(last.at_s, last.since, until, last.clock, last.boot, pictures)
        if len(plan.parts) > MAX_PARTS:
            raise ExportError(f"there are more than {MAX_PARTS} gaps in this time: export it in parts")
        if plan.movie.media_bytes > min(MAX_FILE_BYTES, MAX_MEDIA_BYTES):
            most = MAX_FILE_BYTES // 1_000_000
            raise ExportError(f"this time has more than {most} MB: export it in parts, or of preview")

    def _write(
        self, part: Path, number: str, stream: StreamName, span: tuple[float, float], plan: _Plan,
        is_wanted: Callable[[], bool],
    ) -> Export:  # fmt: skip
        made_at, made, size_bytes = self._unix_s(), hashlib.sha256(), 0
        descriptor = open_inside(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as out:
            for chunk in self._bytes(plan, made_at):
                if not is_wanted():
                    raise ExportError("it is not wanted any more")
                made.update(chunk)
                size_bytes += out.write(chunk)
            manifest = Manifest(
                device=self._about.device,
                name=self._about.name,
                key=self._about.key,
                software=self._about.software,
                stream=stream,
                since=span[0],
                until=span[1],
                made_at=made_at,
                size_bytes=size_bytes,
                sha256=made.hexdigest(),
                parts=tuple(plan.parts),
            )
            last = encode_box(self._seal(encode_manifest(manifest)))
            made.update(last)
            size_bytes += out.write(last)
            out.flush()
            os.fsync(out.fileno())
        file = self._folder / f"{number}.mp4"
        return Export(number, file, size_bytes, made.hexdigest(), manifest)

    def _bytes(self, plan: _Plan, made_at: float) -> Iterator[bytes]:
        yield plan.movie.encode_start(made_at)
        name, descriptor = "", -1
        try:
            for place in plan.places:
                if place.name != name:
                    if descriptor >= 0:
                        os.close(descriptor)
                    name, descriptor = place.name, -1
                    descriptor = open_inside(self._index.folder / name)
                for at in range(0, place.size_bytes, CHUNK_BYTES):
                    wanted = min(CHUNK_BYTES, place.size_bytes - at)
                    chunk = os.pread(descriptor, wanted, place.offset + at)
                    if len(chunk) != wanted:
                        raise ExportError("what was recorded is being removed: try again")
                    yield chunk
        except FileNotFoundError as exc:
            raise ExportError("what was recorded was removed meanwhile: try again") from exc
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _make_room(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            most = f"exports may take {self._most_bytes / 1e6:.0f} MB, {SHARE:.0%} of record.max_mb"
            raise ExportError(f"it takes {size_bytes / 1e6:.0f} MB, and {most}: export less, or of preview")
        make_folder_inside(self._folder)
        self.remove_old(self._index.folder, self._unix_s())
        files = [one for one in files_inside(self._folder) if one[0].suffix == ".mp4"]
        kept = sorted(files, key=lambda one: one[1].st_mtime)
        kept_bytes = sum(status.st_size for _, status in kept)
        for count, (file, status) in zip(range(len(kept), 0, -1), kept, strict=True):
            if count < MAX_KEPT and kept_bytes + size_bytes <= self._most_bytes:
                break
            kept_bytes -= status.st_size
            remove_inside(file)
        space = os.statvfs(self._folder)
        free_bytes = space.f_bavail * space.f_frsize
        if free_bytes - size_bytes < self._min_free_bytes:
            lacks = f"it takes {size_bytes / 1e6:.0f} MB, and {free_bytes / 1e6:.0f} MB are free"
            kept_free = f"of which {self._min_free_bytes / 1e6:.0f} MB are kept so"
            raise ExportError(f"{lacks}, {kept_free}: export less, or of preview")
