"""A picture of the camera as it is now: from a stream that runs, or the camera runs for a moment."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from agent.errors import CameraError
from agent.model.clock import now_us
from agent.model.media import StreamName, Unit
from agent.model.still import (
    ICON_WIDTH_PX,
    MAX_ICON_BYTES,
    MAX_SMALL_BYTES,
    MAX_THUMBNAIL_BYTES,
    SMALL_WIDTH_PX,
    THUMBNAIL_WIDTH_PX,
    Still,
    StillSize,
)
from agent.model.threads import HungCallError, call_in_thread
from agent.record.jpeg import decode_keyframe, make_jpeg

FRESH_US = 2_000_000
"""A keyframe of this age is taken as it is; where the last one is older, the next is asked for."""
SHARED_US: Mapping[StillSize, int] = {
    "icon": 0,
    "thumbnail": 1_000_000,
    "small": 2_000_000,
    "full": 5_000_000,
}
"""Who asks again within this gets the same still, so that nobody has the camera make many."""
PATIENCE_S = 15.0
"""For a picture: a camera may take 10 s to start."""
ENCODE_S = 10.0
"""What takes this long hangs: 1080p takes 50 ms on a desktop's core."""


class Stream(Protocol):
    """What `agent.media.stream.Stream` has that is needed here."""

    def reading(self, reader: "Sitting") -> contextlib.AbstractContextManager[None]: ...
    def overhearing(self, reader: "Ear") -> contextlib.AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Settling:
    """When the pictures of a camera that has just started are good: its exposure begins with a guess."""

    seconds: float = 0.0
    pictures: int = 1
    at_most_s: float = 4.0
    """In the dark a camera makes few pictures a second; then the time decides alone."""


SETTLING: Mapping[str, Settling] = {"picamera": Settling(1.2, 12), "v4l2": Settling(1.0, 10)}
"""By kind of camera. A Pi's exposure and white balance start from a guess, often a black picture, and need 10
to 16 pictures, as libcamera's tuning files count them; a webcam says nothing, and needs about as many."""
_AT_ONCE = Settling()


class Exposure:
    """Since when a camera runs, by its pictures of any stream. Pure."""

    def __init__(self) -> None:
        self._epoch = -1
        self._began_us = self._now_us = 0
        self._count = 0

    def note(self, unit: Unit) -> None:
        """A picture came; another epoch is another start of the camera."""
        if unit.epoch != self._epoch:
            self._epoch, self._began_us, self._count = unit.epoch, unit.capture_us, 0
        self._count += 1
        self._now_us = max(self._began_us, unit.capture_us)

    def is_settled(self, settling: Settling) -> bool:
        """Whether the newest picture is as good as those that follow."""
        seconds = (self._now_us - self._began_us) / 1e6
        is_good = seconds >= settling.seconds and self._count >= settling.pictures
        return self._count > 0 and (is_good or seconds >= settling.at_most_s)


class Ear:
    """Overhears one stream: it holds the last keyframe, and keeps no camera running."""

    wants_keyframe = False

    def __init__(self, hear: Callable[[Unit], None]) -> None:
        self.push = hear


class Sitting:
    """Keeps a stream running until the camera has settled, and asks it for a keyframe then."""

    def __init__(self, is_due: Callable[[], bool]) -> None:
        self._is_due = is_due

    @property
    def wants_keyframe(self) -> bool:
        return self._is_due()

    def push(self, unit: Unit) -> None:
        """`Ear` has it already."""


class Stills:
    """Of one camera. One is made at a time, and who asks meanwhile gets the same."""

    def __init__(
        self,
        streams: Mapping[StreamName, Stream],
        *,
        has_preview: Callable[[], bool],
        kind: Callable[[], str],
        problem: Callable[[], str],
        now_us: Callable[[], int] = now_us,
    ) -> None:
        """`has_preview`, `kind` and `problem` are those of the camera, the last one empty while it works."""
        self._streams = streams
        self._has_preview, self._kind, self._problem, self._now_us = has_preview, kind, problem, now_us
        self._exposure = Exposure()
        self._last: dict[StreamName, Unit] = {}
        """The newest keyframe of each stream that a settled camera made."""
        self._came = asyncio.Event()
        self._made: dict[StillSize, tuple[int, Still]] = {}
        self._making: dict[StillSize, asyncio.Task[Still]] = {}
        self._encoder = asyncio.Lock()
        self._from_us = 0
        """What was taken before this is shown no more."""

    async def run(self) -> None:
        """Overhear the streams, until cancelled."""
        try:
            with self.overhearing():
                await asyncio.Event().wait()
        finally:
            for task in self._making.values():
                task.cancel()

    @contextlib.contextmanager
    def overhearing(self) -> Iterator[None]:
        """Without it no still is made."""
        with contextlib.ExitStack() as stack:
            for name, stream in self._streams.items():
                stack.enter_context(stream.overhearing(Ear(partial(self._hear, name))))
            yield

    async def take(self, size: StillSize = "small") -> Still:
        """The camera's picture of now; a moment old where somebody has just asked. Raises CameraError."""
        at_us, still = self._made.get(size, (0, None))
        if still is not None and self._now_us() - at_us < SHARED_US[size]:
            return still
        task = self._making.get(size)
        if task is None:
            task = self._making[size] = asyncio.create_task(self._make(size), name=f"still {size}")
            task.add_done_callback(partial(self._forget, size))
        return await asyncio.shield(task)

    def begin_anew(self) -> None:
        """From now on something is covered that was not: no picture from before is made into a still."""
        self._from_us = self._now_us()
        self._last.clear()
        self._made.clear()

    def _forget(self, size: StillSize, task: asyncio.Task[Still]) -> None:
        del self._making[size]
        if not task.cancelled():
            task.exception()  # all who asked may have gone: then nobody else looks at it

    async def _make(self, size: StillSize) -> Still:
        unit, still = await self._make_one(size)
        while unit.capture_us < self._from_us:
            unit, still = await self._make_one(size)
        self._made[size] = self._now_us(), still
        return still

    async def _make_one(self, size: StillSize) -> tuple[Unit, Still]:
        unit = await self._keyframe(self._wanted(size))
        taken_at = time.time() - (self._now_us() - unit.capture_us) / 1e6
        async with self._encoder:
            try:
                make = partial(make_still, unit.data, size, taken_at)
                still = await call_in_thread("still", ENCODE_S, make)
            except HungCallError as exc:
                raise CameraError(str(exc)) from exc
        return unit, still

    def _wanted(self, size: StillSize) -> tuple[StreamName, ...]:
        """Of which streams a keyframe will do. The first is asked: preview's costs main's viewers nothing."""
        if size == "full":
            return ("main",)
        return ("preview", "main") if self._has_preview() else ("main",)

    async def _keyframe(self, names: tuple[StreamName, ...]) -> Unit:
        since_us = self._now_us() - FRESH_US
        if unit := self._newest(names, since_us):
            return unit
        sitting = Sitting(lambda: self._is_settled() and self._newest(names, since_us) is None)
        try:
            async with asyncio.timeout(PATIENCE_S):
                with self._streams[names[0]].reading(sitting):
                    while (unit := self._newest(names, since_us)) is None:
                        self._came.clear()
                        await self._came.wait()
                    return unit
        except TimeoutError as exc:
            why = self._problem() or "look at its state, and at the agent's log"
            raise CameraError(f"no picture came within {PATIENCE_S:g} s: {why}") from exc

    def _newest(self, names: tuple[StreamName, ...], since_us: int) -> Unit | None:
        units = [self._last[name] for name in names if name in self._last]
        newest = max(units, key=lambda unit: unit.capture_us, default=None)
        return newest if newest is not None and newest.capture_us >= since_us else None

    def _hear(self, name: StreamName, unit: Unit) -> None:
        self._exposure.note(unit)
        if unit.is_keyframe and self._is_settled() and unit.capture_us >= self._from_us:
            self._last[name] = unit
            self._came.set()

    def _is_settled(self) -> bool:
        return self._exposure.is_settled(SETTLING.get(self._kind(), _AT_ONCE))


_BOUNDS: Mapping[StillSize, tuple[int | None, int | None]] = {
    "icon": (ICON_WIDTH_PX, MAX_ICON_BYTES),
    "thumbnail": (THUMBNAIL_WIDTH_PX, MAX_THUMBNAIL_BYTES),
    "small": (SMALL_WIDTH_PX, MAX_SMALL_BYTES),
    "full": (None, None),
}
"""Width in pixels and bytes, at most."""


def make_still(access_unit: bytes, size: StillSize, taken_at: float) -> Still:
    """Blocks for as long as it takes to decode and to encode a picture. Raises CameraError."""
    jpeg, width_px, height_px = make_jpeg(decode_keyframe(access_unit), *_BOUNDS[size])
    return Still(jpeg, taken_at, width_px, height_px)
