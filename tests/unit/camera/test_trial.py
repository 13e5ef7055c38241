"""A camera tried for a moment: counted, and released whatever happens."""

import asyncio
import threading

import pytest
from fakes.clock import LoopClock

from agent.camera import trial
from agent.camera.trial import X264_MARK, try_camera
from agent.errors import CameraError
from agent.model.media import StreamFormat, Unit

FORMAT = StreamFormat(640, 360, 25)


class Camera:
    """Delivers what it is given."""

    kind = "v4l2"
    has_stamp = False
    damaged = 0

    def __init__(self, units=(), *, start=None, failure=None):
        self.units, self.start_error, self.failure = units, start, failure
        self.demand = None
        self.is_stopped = threading.Event()

    def start(self, demands, on_unit, on_failure):
        self.demand = demands["main"]
        if self.start_error:
            raise self.start_error

        for unit in self.units:
            on_unit("main", unit)
        if self.failure:
            on_failure(self.failure)
        return {"main": FORMAT}

    def stop(self):
        self.is_stopped.set()


def unit(at, *, is_keyframe=False, data=bytes(1000)):
    return Unit(data, at * 40_000, 0, is_keyframe)


PICTURES = [unit(0, is_keyframe=True), *(unit(at) for at in range(1, 10))]


@pytest.fixture
def tried(monkeypatch):
    """Try a camera without a thread, in no time."""

    async def call(_name, _limit_s, work):
        return work()

    async def tried(open_camera, bitrate_bps=1, seconds=2):
        trying = asyncio.create_task(try_camera(open_camera, bitrate_bps, seconds))
        await LoopClock().until(trying.done)
        return trying.result()

    monkeypatch.setattr(trial, "call_in_thread", call)
    return tried


async def test_what_came_is_counted_and_the_camera_released(tried):
    camera = Camera(PICTURES)
    found = await tried(lambda: camera, 2_000_000)
    assert (found.kind, found.format, found.frames, found.keyframes) == ("v4l2", FORMAT, 10, 1)
    assert found.is_software is False
    assert camera.demand.bitrate_bps == 2_000_000
    assert camera.is_stopped.is_set()


async def test_libx264_is_known_by_its_name(tried):
    marked = unit(0, is_keyframe=True, data=b"\0\0\0\1\6\5" + X264_MARK + b" 164")
    assert (await tried(lambda: Camera([marked, *PICTURES[1:]]))).is_software is True


@pytest.mark.parametrize(
    "camera", [Camera(start=CameraError("busy")), Camera(PICTURES, failure=CameraError("busy"))]
)
async def test_a_camera_that_fails_is_released(tried, camera):
    with pytest.raises(CameraError, match="busy"):
        await tried(lambda: camera)
    assert camera.is_stopped.is_set()


async def test_a_camera_that_cannot_be_opened(tried):
    def open_camera():
        raise CameraError("there is no such device")

    with pytest.raises(CameraError, match="no such device"):
        await tried(open_camera)


async def test_silence_is_told(tried):
    camera = Camera()
    with pytest.raises(CameraError, match="no picture within"):
        await tried(lambda: camera)
    assert camera.is_stopped.is_set()
