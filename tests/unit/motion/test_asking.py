"""What is shown to a network on the CPU, how often, and what becomes of one that hangs."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field

import pytest

from agent.errors import ClassifierError
from agent.model import threads
from agent.model.labels import WHOLE, Area, Crop, Sighting
from agent.motion import asking
from agent.motion.asking import ALL, Asking, crop_of
from agent.motion.detector import Motion
from agent.motion.grid import Box

COLUMNS, ROWS = 32, 18
PERSON = Sighting("person", 0.9, Area(0.25, 0.3, 0.4, 0.7))


def moving(at_s):
    return Motion(round(at_s * 1e6), is_moving=True, box=Box(8, 6, 12, 12))


@dataclass
class Stage:
    """A camera that gives crops, a network, and what was told."""

    size: tuple[int, int] = (32, 32)
    gives_crops: bool = True
    fails: bool = False
    hangs: threading.Event | None = None
    wishes: list = field(default_factory=list)
    looked: list = field(default_factory=list)
    told: list = field(default_factory=list)

    def __post_init__(self):
        self.asking = Asking(lambda: self, self.want, self.told.append)

    def want(self, area, size, on_crop):
        self.wishes.append((area, size))
        if self.gives_crops:
            on_crop(Crop(b"", *size, area, len(self.wishes)))

    def look(self, given):
        self.looked.append(given.at_us)
        if self.hangs:
            self.hangs.wait()
        if self.fails:
            raise ClassifierError("no answer")
        return (PERSON,)

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.asking.run())
        await until(lambda: self.told)
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until(is_so):
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0)


async def test_what_moves_is_shown_and_what_is_seen_is_told_as_of_its_picture():
    stage = Stage()
    async with stage.running():
        stage.asking.on_motion(moving(1.0), COLUMNS, ROWS, set())
        await until(lambda: len(stage.told) == 2)
    ((area, size),) = stage.wishes
    assert size == (32, 32)
    assert area.common(Area(0.25, 1 / 3, 0.375, 2 / 3)) == Area(0.25, 1 / 3, 0.375, 2 / 3), (
        "all of what moves"
    )
    assert (stage.told[1].at_us, stage.told[1].found, stage.told[1].problem) == (1, (PERSON,), "")


async def test_two_crops_a_second_and_none_where_nothing_moves_or_all_is_known():
    stage = Stage()
    async with stage.running():
        for tenth in range(20):
            before = len(stage.told)
            stage.asking.on_motion(moving(1 + tenth / 10), COLUMNS, ROWS, {"person"})
            if stage.asking._moved.is_set():
                await until(lambda before=before: len(stage.told) > before)
        assert len(stage.wishes) == 4
        stage.asking.on_motion(Motion(9_000_000), COLUMNS, ROWS, set())
        stage.asking.on_motion(moving(10), COLUMNS, ROWS, ALL)
        assert not stage.asking._moved.is_set()


async def test_a_camera_that_gives_no_crop_is_asked_again(monkeypatch):
    monkeypatch.setattr(asking, "CROP_S", 0.0)
    stage = Stage(gives_crops=False)
    async with stage.running():
        stage.asking.on_motion(moving(1), COLUMNS, ROWS, set())
        await until(lambda: stage.wishes and not stage.asking._moved.is_set())
        stage.gives_crops = True
        stage.asking.on_motion(moving(2), COLUMNS, ROWS, set())
        await until(lambda: stage.looked)


async def test_a_network_that_fails_is_told_and_ends_the_part():
    stage = Stage(fails=True)
    async with stage.running() as task:
        stage.asking.on_motion(moving(1), COLUMNS, ROWS, set())
        await until(task.done)
    assert isinstance(task.exception(), ClassifierError)
    assert stage.told[-1].problem == "no answer"


async def test_a_network_that_hangs_holds_up_nothing(monkeypatch):
    monkeypatch.setattr(asking, "LOOK_S", 0.0)
    stage = Stage(hangs=threading.Event())
    try:
        async with stage.running() as task:
            stage.asking.on_motion(moving(1), COLUMNS, ROWS, set())
            await until(task.done)
        assert isinstance(task.exception(), threads.HungCallError)
        assert stage.told[-1].problem
    finally:
        stage.hangs.set()


@pytest.mark.parametrize("box", [
    Box(0, 0, 1, 1), Box(31, 17, 32, 18), Box(0, 0, 32, 18), Box(0, 8, 32, 9), Box(15, 0, 16, 18),
    Box(8, 6, 12, 12),
])  # fmt: skip
def test_a_crop_holds_what_moves_and_lies_in_the_picture(box):
    area = Area(box.left / 32, box.top / 18, box.right / 32, box.bottom / 18)
    crop = crop_of(area, 32 / 18)
    assert crop.common(WHOLE) == crop
    assert crop.common(area).size == pytest.approx(area.size)
    across, down = (crop.right - crop.left) * 32, (crop.bottom - crop.top) * 18
    assert across >= 0.149 * 32
    assert down == pytest.approx(min(18, across)) or across == pytest.approx(32)
