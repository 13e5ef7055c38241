"""Shows what moves to a network on the CPU: one crop at a time, and no more than a few a second."""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Protocol

from agent.errors import ClassifierError
from agent.model.labels import Area, Classifier, Crop, Label, Sightings
from agent.model.threads import HungCallError, call_in_thread
from agent.motion.detector import Motion
from agent.motion.labels import area_of

INTERVAL_US = 500_000
"""Two a second: a network that takes a quarter of a second is half a core, and that while something moves."""
OPEN_S = 60.0
LOOK_S = 5.0
CROP_S = 2.0
"""A camera that gives no picture gives no crop: then another one is asked for."""
MARGIN = 0.25
"""Around what moves, in its own size: parts of a thing that stand still are the thing, too."""
LEAST = 0.15
"""Of the picture's width: smaller crops would show the network little but magnified noise."""
ALL = frozenset[Label]({"person", "vehicle", "animal"})


class Open(Protocol):
    """What loads the network. Blocks. Raises ClassifierError."""

    def __call__(self) -> "Sized": ...


class Sized(Classifier[Crop], Protocol):
    """A classifier, and the size of the pictures that it takes."""

    size: tuple[int, int]


WantCrop = Callable[[Area, tuple[int, int], Callable[[Crop], None]], None]
"""`want(area, size, on_crop)`: of the next picture that is looked at; `on_crop` comes in the event loop."""


class Asking:
    """Of one camera. Belongs to one event loop."""

    def __init__(self, load: Open, want: WantCrop, on_sightings: Callable[[Sightings], None]) -> None:
        self._load, self._want, self._on_sightings = load, want, on_sightings
        self._moved = asyncio.Event()
        self._area: Area | None = None
        self._due_us = 0

    def on_motion(self, motion: Motion, columns: int, rows: int, labels: AbstractSet[str]) -> None:
        """Something moves, of which so much is known; or nothing does."""
        is_due = motion.at_us >= self._due_us or self._due_us - motion.at_us > INTERVAL_US
        if motion.box is None or not is_due or labels >= ALL:
            return
        self._area = crop_of(area_of(motion.box, columns, rows), columns / rows)
        self._due_us = motion.at_us + INTERVAL_US
        self._moved.set()

    async def run(self) -> None:
        """Until cancelled; raises ClassifierError where the network is of no use, or hangs."""
        try:
            classifier = await call_in_thread("litert-open", OPEN_S, self._load)
            self._on_sightings(Sightings(0))
            while True:
                await self._moved.wait()
                self._moved.clear()
                if crop := await self._next_crop(classifier.size):
                    found = await call_in_thread("litert", LOOK_S, partial(classifier.look, crop))
                    self._on_sightings(Sightings(crop.at_us, found or ()))
        except (ClassifierError, HungCallError) as exc:
            self._on_sightings(Sightings(0, problem=str(exc)[:200]))
            raise

    async def _next_crop(self, size: tuple[int, int]) -> Crop | None:
        area = self._area
        assert area is not None, "something has moved"
        crop: asyncio.Future[Crop] = asyncio.get_running_loop().create_future()
        self._want(area, size, lambda made: None if crop.done() else crop.set_result(made))
        try:
            async with asyncio.timeout(CROP_S):
                return await crop
        except TimeoutError:
            return None


def crop_of(moving: Area, shape: float) -> Area:
    """What to show of it: with a margin, as high as wide in pixels, and within the picture.

    `shape` is the picture's width by its height.
    """
    across, down = moving.right - moving.left, moving.bottom - moving.top
    side = max(LEAST, across * (1 + 2 * MARGIN), down * (1 + 2 * MARGIN) / shape)
    wide, high = min(1.0, side), min(1.0, side * shape)
    left = _within((moving.left + moving.right - wide) / 2, wide)
    top = _within((moving.top + moving.bottom - high) / 2, high)
    return Area(left, top, left + wide, top + high)


def _within(begin: float, length: float) -> float:
    return min(max(0.0, begin), 1.0 - length)
