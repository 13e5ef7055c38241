"""Stills by the clock as one film: encoded anew, since no browser plays a film of JPEGs."""

import asyncio
import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter

from agent.model.command import CommandError
from agent.model.inside import (
    files_inside,
    is_inside,
    make_folder_inside,
    open_inside,
    remove_inside,
    touch_inside,
)
from agent.model.lapse import FPS, MAX_PICTURES, LapseFilm, LapseWanted
from agent.model.threads import HungCallError, call_in_thread
from agent.record.lapse import Lapse, Taken

WIDTHS_PX = {"small": 640, "full": 1280}
MAX_SPAN_S = 26 * 3600.0
"""A day, also where summer time ends."""
MAX_FILM_BYTES, MAX_KEPT, KEPT_S = 100_000_000, 4, 24 * 3600.0
MAX_STILL_BYTES, MAX_STILL_PIXELS = 8_000_000, 1 << 24
"""Anybody may have prepared the card."""
MAKE_S = 280.0
NICENESS = 10
"""The picture for who watches comes first."""
FOLDER, PART = "films", ".part"
_BT601, _LIMITED_RANGE = 5, 1
"""As H.273 has them: what JFIF means by its colours, and what players expect of H.264."""


class Films:
    """Of one time-lapse; one is made at a time."""

    def __init__(self, lapse: Lapse, min_free_bytes: int, unix_s: Callable[[], float] = time.time) -> None:
        self._lapse, self._folder = lapse, lapse.folder / FOLDER
        self._min_free_bytes, self._unix_s = min_free_bytes, unix_s
        self._turn = asyncio.Lock()

    async def make(self, wanted: LapseWanted) -> LapseFilm:
        """A film of the stills of that time. Raises CommandError."""
        if not 0 < wanted.until_at - wanted.from_at <= MAX_SPAN_S:
            raise CommandError("invalid", "a film is of a day at most, and ends after it begins")
        if self._turn.locked():
            raise CommandError("busy", "another film is being made: try again when it is done")
        async with self._turn:
            is_wanted = threading.Event()
            is_wanted.set()
            try:
                make = partial(self._make, wanted, is_wanted.is_set)
                return await call_in_thread("lapse-film", MAKE_S, make)
            except HungCallError as exc:
                raise CommandError("too-long", "it takes too long: choose a smaller one") from exc
            except (OSError, av.FFmpegError) as exc:
                raise CommandError("disk", f"no film can be made: {exc}") from exc
            finally:
                is_wanted.clear()

    def find(self, number: str) -> Path | None:
        """Where a film is, while it is there: from now on for a day, since a fetch may take long."""
        file = self._folder / f"{number}.mp4"
        is_name = len(number) == 32 and set(number) <= set("0123456789abcdef")
        if not is_name or not is_inside(file):
            return None
        if self._unix_s() - file.lstat().st_mtime > KEPT_S:
            return None
        with contextlib.suppress(OSError):
            touch_inside(file)
        return file

    def _make(self, wanted: LapseWanted, is_wanted: Callable[[], bool]) -> LapseFilm:
        with contextlib.suppress(OSError):  # of this thread alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        found = self._lapse.taken(wanted.from_at, wanted.until_at)
        if not found:
            raise CommandError("nothing", "no still by the clock is left of this time")
        chosen = thinned(found, MAX_PICTURES)
        self._make_room(sum(each.size_bytes for each in chosen))
        number = secrets.token_hex(16)
        part = self._folder / f"{number}{PART}"
        try:
            with os.fdopen(open_inside(part, os.O_RDWR | os.O_CREAT | os.O_EXCL), "w+b") as out:
                shown = encode(chosen, WIDTHS_PX[wanted.size], out, is_wanted)
                size_bytes = out.seek(0, os.SEEK_END)
            if not shown:
                raise CommandError("nothing", "none of the stills of this time can be read")
            part.replace(self._folder / f"{number}.mp4")
        finally:
            remove_inside(part)
        start = int(shown[0].at)
        offsets = tuple(max(0, round(each.at - start)) for each in shown)
        return LapseFilm(number, size_bytes, start, offsets, len(found) - len(shown))

    def _make_room(self, size_bytes: int) -> None:
        make_folder_inside(self._folder)
        kept = sorted(files_inside(self._folder), key=lambda one: one[1].st_mtime)
        for count, (file, status) in zip(range(len(kept), 0, -1), kept, strict=True):
            if file.suffix == PART or count >= MAX_KEPT or self._unix_s() - status.st_mtime > KEPT_S:
                remove_inside(file)
        space = os.statvfs(self._folder)
        if space.f_bavail * space.f_frsize - min(size_bytes, MAX_FILM_BYTES) < self._min_free_bytes:
            raise CommandError("disk-full", "the disk has no room for a film beside what is kept free")


def thinned(stills: Sequence[Taken], most: int) -> list[Taken]:
    """As many as there may be, evenly."""
    if len(stills) <= most:
        return list(stills)
    return [stills[at * len(stills) // most] for at in range(most)]


def encode(stills: Sequence[Taken], width_px: int, out: object, is_wanted: Callable[[], bool]) -> list[Taken]:
    """Write the film; returns what is shown in it. A still that cannot be read is left out.

    Raises OSError, av.FFmpegError and CommandError.
    """
    shown: list[Taken] = []
    with av.open(out, "w", format="mp4") as film:
        stream = film.add_stream(
            "libx264", rate=FPS, options={"preset": "veryfast", "crf": "26", "g": str(FPS)}
        )
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        stream.codec_context.time_base = Fraction(1, FPS)
        stream.codec_context.colorspace, stream.codec_context.color_range = _BT601, _LIMITED_RANGE
        reformat, written = VideoReformatter().reformat, 0
        for still, frame in _decoded(stills):
            if not is_wanted():
                raise CommandError("not-wanted", "it is not wanted any more")
            if not shown:
                stream.width = min(width_px, frame.width) & ~1
                stream.height = max(2, round(frame.height * stream.width / frame.width) & ~1)
            picture = reformat(
                frame, stream.width, stream.height, "yuv420p",
                dst_colorspace=_BT601, dst_color_range=_LIMITED_RANGE, interpolation="AREA",
            )  # fmt: skip
            picture.pts, picture.time_base = len(shown), Fraction(1, FPS)
            written += _mux(film, stream.encode(picture))
            _check_size(written)
            shown.append(still)
        if shown:
            _check_size(written + _mux(film, stream.encode(None)))
    return shown


def _mux(film: OutputContainer, packets: "list[av.Packet[av.VideoStream]]") -> int:
    """How many bytes they were."""
    film.mux(packets)
    return sum(packet.size for packet in packets)


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_FILM_BYTES:
        raise CommandError("too-large", "the film is too large: choose a smaller one")


def _decoded(stills: Sequence[Taken]) -> Iterator[tuple[Taken, av.VideoFrame]]:
    for still in stills:
        with contextlib.suppress(OSError, av.FFmpegError, ValueError):  # removed meanwhile, or no JPEG
            with os.fdopen(open_inside(still.file), "rb") as file:
                data = file.read(MAX_STILL_BYTES + 1)
            if len(data) > MAX_STILL_BYTES:
                continue
            decoder = av.CodecContext.create("mjpeg", "r")
            decoder.thread_count = 1
            decoder.options = {"max_pixels": str(MAX_STILL_PIXELS)}
            frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
            if frames and isinstance(frames[0], av.VideoFrame) and frames[0].height <= 2 * frames[0].width:
                # The encoder holds dozens: of a tall one, as no camera's is, they would take a gigabyte.
                yield still, frames[0]
