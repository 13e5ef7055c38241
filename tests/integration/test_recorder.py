"""The recorder, with streams that are pushed by hand and real files: what a person would look for in them."""

import asyncio
import contextlib
import time
from functools import partial

import pytest
from parts.recordings import BOOT, FPS, GOP, OFFSET_US, decoded, group

from agent.config import Settings
from agent.config.settings import RecordSettings
from agent.model.media import Unit
from agent.record import recorder as recorder_module
from agent.record.card import Place
from agent.record.cleaner import Bounds
from agent.record.recorder import Recorder, Source
from agent.record.segment import Tier
from agent.recordings import wanted

ALWAYS = 0, 1 << 60
NO_BOUNDS = Bounds(None, 0, None)


class Camera:
    """Pushes pictures to who reads, in a time of its own."""

    def __init__(self, folder, bounds=NO_BOUNDS, **settings):
        self.readers, self.preview_readers, self.kept, self.events = [], [], [], []
        self.wanted = ("main",)
        self.now_us = time.monotonic_ns() // 1000
        self._number = 0
        self.recorder = Recorder(
            RecordSettings(**{"mode": "event", "streams": "main", **settings}),
            Place(folder, False, bounds, BOOT),
            {
                "main": Source(partial(self.reading, self.readers), self.keeping, 1_000_000),
                "preview": Source(partial(self.reading, self.preview_readers), self.keeping, 500_000),
            },
            lambda: (OFFSET_US, True),
            lambda kind, words, _: self.events.append((kind, words)),
            lambda: None,
            lambda: self.wanted,
        )

    @contextlib.contextmanager
    def reading(self, readers, reader):
        readers.append(reader)
        yield
        readers.remove(reader)

    @contextlib.contextmanager
    def keeping(self):
        self.kept.append(True)
        yield
        self.kept.pop()

    def push(self, seconds):
        """So many seconds pass."""
        coded = group()
        for _ in range(round(seconds * FPS)):
            unit = Unit(coded[self._number % GOP], self.now_us, 0, self._number % GOP == 0)
            self._number += 1
            self.now_us += 1_000_000 // FPS
            for reader in self.readers:
                reader.push(unit)

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.ensure_future(self.recorder.run())
        try:
            await until(lambda: (self.readers or self.preview_readers) and self.recorder.index)
            yield self
        finally:
            task.cancel()
            await asyncio.wait((task,))

    @property
    def spans(self):
        return [
            (start - OFFSET_US, end - OFFSET_US) for start, end in self.recorder.index.spans("main", *ALWAYS)
        ]


async def until(seen):
    async with asyncio.timeout(60):
        while not (found := seen()):
            await asyncio.sleep(0.005)
    return found


@pytest.fixture
def clock(monkeypatch):
    """The recorder's time is the camera's."""

    def follow(camera):
        monkeypatch.setattr(recorder_module, "now_us", lambda: camera.now_us)
        return camera

    return follow


def files(folder):
    return sorted(folder.glob("*/*.mp4"))


async def test_nothing_touches_the_card_until_something_happens(tmp_path, clock):
    async with clock(Camera(tmp_path)).running() as camera:
        camera.push(60)
        assert camera.recorder.section().state == "waiting"
        await until(lambda: not camera.recorder._card._waiting)
        assert files(tmp_path) == []
        assert camera.kept == [True]


async def test_a_clip_begins_before_its_trigger_and_ends_after_it(tmp_path, clock):
    async with clock(Camera(tmp_path, pre_s=10, post_s=0)).running() as camera:
        camera.push(33.3)
        began_us = camera.now_us
        camera.recorder.begin("motion", began_us, "event-1")
        assert camera.recorder.section().state == "recording"
        camera.push(7)
        ended_us = camera.now_us
        camera.recorder.end("motion", ended_us)
        await until(lambda: camera.recorder._calm is None)
        camera.push(5)
        index = camera.recorder.index
        segments = await until(lambda: [one for one in index.segments("main", *ALWAYS) if not one.is_open])
        ((start, end),) = camera.spans
        before_s = (began_us - start) / 1e6
        assert 10 <= before_s <= 10 + GOP / FPS, "no less, and at most a group of pictures more"
        assert 0 <= (end - ended_us) / 1e6 <= GOP / FPS
        assert [(one.tier, one.event) for one in segments] == [(Tier.MOTION, "event-1")]
        (mark,) = await until(lambda: index.marks(*ALWAYS))
        assert (mark.cause, mark.event, mark.start_us - OFFSET_US) == ("motion", "event-1", began_us)
        assert decoded(files(tmp_path)[0]) == round((end - start) / 1e6 * FPS)
        assert camera.recorder.section().state == "waiting"


async def test_a_camera_that_turns_out_to_have_no_preview_is_recorded_by_main(tmp_path, clock):
    camera = clock(Camera(tmp_path, pre_s=0, post_s=0))
    camera.wanted = ("preview",)
    async with camera.running():
        assert camera.readers == []
        camera.recorder.begin("motion", camera.now_us, "event-1")
        camera.wanted = ("main",)
        await until(lambda: camera.readers)
        assert camera.preview_readers == []
        camera.push(5)
        camera.recorder.end("motion", camera.now_us)
        await until(lambda: camera.recorder._calm is None)
        camera.push(3)
        await until(lambda: camera.recorder.index.marks(*ALWAYS) and camera.spans)
        section = camera.recorder.section()
        assert (section.streams, section.state) == ("main", "waiting")


@pytest.mark.parametrize(
    ("asked", "has", "recorded"),
    [
        ("preview", ("main", "preview"), ("preview",)),
        ("preview", ("main",), ("main",)),
        ("both", ("main", "preview"), ("main", "preview")),
        ("both", ("main",), ("main",)),
        ("main", ("main", "preview"), ("main",)),
    ],
)
def test_what_the_camera_has_of_what_was_asked_for_is_recorded(asked, has, recorded):
    assert wanted(Settings(record=RecordSettings(streams=asked)), has) == recorded


async def test_a_trigger_that_tells_late_still_has_all_before_it(tmp_path, clock):
    async with clock(Camera(tmp_path, pre_s=10)).running() as camera:
        camera.push(60)
        camera.recorder.begin("motion", camera.now_us - 4_000_000)
        camera.push(2)
        await until(lambda: camera.spans)
        assert camera.spans[0][0] <= camera.now_us - 2_000_000 - 14_000_000


async def test_what_follows_soon_is_the_same_recording_without_a_picture_twice(tmp_path, clock):
    async with clock(Camera(tmp_path, pre_s=4, post_s=0)).running() as camera:
        for _ in range(3):
            camera.push(20)
            camera.recorder.begin("motion", camera.now_us)
            camera.push(3)
            camera.recorder.end("motion", camera.now_us)
            await until(lambda: camera.recorder._calm is None)
            camera.push(2.5)
            camera.recorder.begin("motion", camera.now_us)
            camera.push(2)
            camera.recorder.end("motion", camera.now_us)
            await until(lambda: camera.recorder._calm is None)
        camera.push(5)
        await until(lambda: not camera.recorder.is_recording and not camera.recorder._card._waiting)
        await until(lambda: len(camera.spans) == 3)
        segments = await until(
            lambda: [
                all_of
                for all_of in [camera.recorder.index.segments("main", *ALWAYS)]
                if not any(one.is_open for one in all_of)
            ]
        )
        for earlier, later in zip(segments[0], segments[0][1:], strict=False):
            assert later.start_us >= earlier.start_us + earlier.dur_us, "no picture is recorded twice"


async def test_continuous_records_all_from_the_first_keyframe_on(tmp_path, clock):
    async with clock(Camera(tmp_path, mode="continuous")).running() as camera:
        began_us = camera.now_us
        await until(lambda: camera.recorder._is_base)
        camera.push(150)
    assert len(files(tmp_path)) == 3
    assert sum(map(decoded, files(tmp_path))) == 150 * FPS
    assert began_us


async def test_an_event_in_what_is_recorded_anyway_is_kept_for_longer(tmp_path, clock):
    async with clock(Camera(tmp_path, mode="continuous", pre_s=10)).running() as camera:
        await until(lambda: camera.recorder._is_base)
        camera.push(65)
        camera.recorder.begin("motion", camera.now_us, "event-1")
        camera.push(65)
        index = camera.recorder.index
        await until(lambda: len(index.segments("main", *ALWAYS)) == 3)
        await until(lambda: index.segments("main", *ALWAYS)[0].tier == Tier.MOTION)
        assert [one.tier for one in index.segments("main", *ALWAYS)] == [Tier.MOTION] * 3, (
            "the first has its pre"
        )


async def test_keyframes_are_asked_for_so_that_a_clip_begins_in_time(tmp_path, clock):
    camera = clock(Camera(tmp_path, keyframe_s=4))
    async with camera.running():
        (track,) = camera.readers
        camera.push(0.1)
        assert not track.wants_keyframe
        for number in range(1, 45):
            track.push(Unit(group()[1], camera.now_us + number * 100_000, 0, False))
        assert track.wants_keyframe


async def test_a_folder_that_cannot_be_used_is_said_and_taken_up_again(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("agent.record.card.RETRY_S", 0.0)
    monkeypatch.setattr("agent.record.card.LOOK_S", 0.01)
    monkeypatch.setattr(recorder_module, "SETTLED_S", 0.0)
    folder = tmp_path / "recordings"
    folder.write_text("no folder")
    camera = clock(Camera(folder, mode="continuous"))
    task = asyncio.ensure_future(camera.recorder.run())
    try:
        await until(lambda: camera.recorder.section().state == "failed")
        assert "recordings" in camera.recorder.section().problem
        camera.push(5)
        assert camera.recorder.section().lost > 0
        folder.unlink()
        await until(lambda: camera.recorder.section().state == "recording")
        camera.push(10)
        await until(lambda: camera.spans)
        await until(lambda: len(camera.events) > 1)
        assert [kind for kind, _ in camera.events] == ["record-failed", "record-recovered"]
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_a_card_that_fails_again_and_again_is_told_of_once(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("agent.record.card.RETRY_S", 0.0)
    monkeypatch.setattr("agent.record.card.LOOK_S", 0.01)
    async with clock(Camera(tmp_path, mode="continuous")).running() as camera:
        seen = []

        def fail(_opened):
            seen.append(True)
            raise OSError(5, "Input/output error")

        for number in range(1, 6):
            await until(lambda number=number: camera.recorder._card.do(fail) and len(seen) >= number)
        assert [kind for kind, _ in camera.events] == ["record-failed"]
        assert "Input/output error" in camera.events[0][1]


async def test_a_card_without_a_file_system_is_refused_where_it_should_have_its_own(tmp_path, clock):
    camera = clock(Camera(tmp_path))
    camera.recorder._place = Place(tmp_path, True, NO_BOUNDS, BOOT)
    task = asyncio.ensure_future(camera.recorder.run())
    try:
        await until(lambda: camera.recorder.section().state == "failed")
        assert "no file system is mounted" in camera.recorder.section().problem
        assert not files(tmp_path)
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_a_slow_card_costs_recordings_and_holds_nobody_up(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("agent.record.card.MAX_WAITING_BYTES", 100_000)
    stuck, entered = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def wait(_opened):
        entered.append(True)
        asyncio.run_coroutine_threadsafe(stuck.wait(), loop).result(60)

    async with clock(Camera(tmp_path, mode="continuous")).running() as camera:
        await until(lambda: camera.recorder._is_base)
        camera.recorder._card.do(wait)
        await until(lambda: entered)
        for _ in range(100):
            camera.push(1)  # returns at once, or this test never ends
        assert camera.recorder.section().lost > 0
        assert camera.recorder._card._waiting_bytes <= 100_000
        stuck.set()
        await until(lambda: not camera.recorder._card._waiting)
        camera.push(10)
        await until(lambda: "recordings-lost" in [kind for kind, _ in camera.events])
    assert all(decoded(file) for file in files(tmp_path)), "what is left is whole"


async def test_a_card_that_does_not_answer_is_told_of_and_nothing_is_lost_once_it_does(
    tmp_path, clock, monkeypatch
):
    monkeypatch.setattr("agent.record.card.HUNG_S", 0.05)
    monkeypatch.setattr("agent.record.card.LOOK_S", 0.05)
    stuck, loop = asyncio.Event(), asyncio.get_running_loop()
    async with clock(Camera(tmp_path, mode="continuous")).running() as camera:
        await until(lambda: camera.recorder._is_base)
        camera.recorder._card.do(lambda _: asyncio.run_coroutine_threadsafe(stuck.wait(), loop).result(60))
        await until(lambda: camera.recorder.section().state == "failed")
        assert "has not answered" in camera.recorder.section().problem
        camera.push(10)
        stuck.set()
        await until(lambda: camera.recorder.section().state == "recording")
        camera.push(10)
    assert [kind for kind, _ in camera.events] == ["record-failed"]
    assert camera.recorder.section().lost == 0
    assert sum(decoded(file) for file in files(tmp_path)) == 20 * FPS


async def test_off_does_nothing(tmp_path):
    camera = Camera(tmp_path / "x", mode="off")
    task = asyncio.ensure_future(camera.recorder.run())
    await asyncio.sleep(0)
    camera.recorder.begin("motion", 1)
    assert camera.recorder.section().state == "off"
    assert camera.readers == []
    assert not (tmp_path / "x").exists()
    task.cancel()
    await asyncio.wait((task,))
