import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import av
import pytest
from fakes.clock import LoopClock

from agent.camera import capture as capturing
from agent.camera.capture import DEFAULT_PATIENCE, Capture
from agent.camera.luma import LumaTap
from agent.camera.run import call_in_thread
from agent.camera.supervision import Patience
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import EncoderDemand, Need, StreamFormat, Unit

LINGER_S = 1.0
FRAME = av.VideoFrame(64, 36, "yuv420p")


class FakeCamera:
    """A camera whose pictures the test sends, but for the first where it `gives_first`."""

    kind = "fake"
    has_stamp = False
    damaged = 0

    def __init__(self, *, gives_first: bool = True) -> None:
        self.gives_first = gives_first
        self.refusals: list[str] = []
        self.starts = self.stops = 0
        self.running = False
        self.demands: list[EncoderDemand] = []
        self.hang_in_start: threading.Event | None = None
        self.hang_in_stop: threading.Event | None = None
        self._sent = 0
        self.hung: list[tuple[threading.Thread, threading.Event]] = []
        """Which threads hung in a call, and until when."""
        self.on_unit: Callable[..., None] = lambda *_: None
        self.asked: dict[str, EncoderDemand] = {}
        self.on_failure: Callable[[Exception], None] = lambda _: None

    def start(self, demands, on_unit, on_failure):
        self.starts += 1
        self._hang(self.hang_in_start)
        if self.refusals:
            raise CameraError(self.refusals.pop(0))
        self.demands.append(demands["main"])
        self.asked = dict(demands)
        self.on_unit, self.on_failure, self.running, self._sent = on_unit, on_failure, True, 0
        if self.gives_first:
            self.send(keyframe=True)
        return {"main": StreamFormat(640, 360, 30), "preview": StreamFormat(320, 180, 15)}

    def apply(self, stream, demand) -> None:
        self.asked[stream] = demand
        if stream == "main":
            self.demands.append(demand)

    def stop(self) -> None:
        self.stops += 1
        self._hang(self.hang_in_stop)
        self.running = False

    def _hang(self, until: threading.Event | None) -> None:
        if until:
            self.hung.append((threading.current_thread(), until))
            until.wait()

    def send(self, *, keyframe: bool = False, stream="main") -> None:
        self.on_unit(stream, Unit(b"", self._sent, 0, keyframe))
        self._sent += 1


class Stage:
    """A Capture at work, and all that it said. No time passes while one of its threads is at work."""

    def __init__(self, cameras: list[FakeCamera], patience: Patience, linger_s: float) -> None:
        self.cameras = list(cameras)
        self.units: list[Unit] = []
        self.streams: list[str] = []
        self.states: list[tuple[str, str]] = []
        self.events: list[tuple[str, str]] = []
        self.capture = Capture(
            self._open,
            CameraSettings(linger_s=linger_s),
            lambda stream, unit: (self.streams.append(stream), self.units.append(unit)),
            lambda state, problem: self.states.append((state, problem)),
            lambda kind, message, _: self.events.append((kind, message)),
            patience,
        )
        self._all_cameras = cameras
        self._calls: dict[object, tuple[str, threading.Thread | None]] = {}
        """Those whose threads have not ended."""
        self.clock = LoopClock(self._is_busy)
        self.until = self.clock.until
        self.task = asyncio.create_task(self.capture.run(), name="capture")

    async def call_in_thread(self, name, limit_s, call):
        def noted():
            self._calls[noted] = name, threading.current_thread()
            try:
                return call()
            finally:
                del self._calls[noted]

        self._calls[noted] = name, None
        return await call_in_thread(name, limit_s, noted)

    def _is_busy(self) -> bool:
        stuck = [
            thread for camera in self._all_cameras for thread, until in camera.hung if not until.is_set()
        ]
        # A stop waits for the start of the same camera.
        return any(
            thread not in stuck and not (stuck and name == "camera-stop")
            for name, thread in list(self._calls.values())
        )

    def _open(self) -> FakeCamera:
        if not self.cameras:
            raise CameraError("no camera is attached")
        return self.cameras.pop(0) if len(self.cameras) > 1 else self.cameras[0]


@pytest.fixture
def stage(monkeypatch):
    @asynccontextmanager
    async def stage(
        *cameras: FakeCamera, patience: Patience = DEFAULT_PATIENCE, linger_s: float = LINGER_S
    ) -> AsyncIterator[Stage]:
        it = Stage(cameras, patience, linger_s)
        monkeypatch.setattr(capturing, "call_in_thread", it.call_in_thread)
        await it.until(lambda: it.capture.kind or it.capture.problem)
        yield it
        it.task.cancel()
        await it.until(it.task.done)
        assert not any(camera.running for camera in cameras if not camera.hang_in_stop), (
            "a camera was left running"
        )

    return stage


async def test_the_first_watcher_starts_the_camera_and_the_last_one_stops_it(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        assert (it.capture.kind, it.capture.state, camera.starts) == ("fake", "idle", 0)
        with it.capture.watching("main"), it.capture.watching("main"):
            await it.until(lambda: it.units)
            assert it.capture.formats["main"] == StreamFormat(640, 360, 30)
        await it.until(lambda: camera.stops)
        await it.until(lambda: it.capture.state == "idle")
    assert [state for state, _ in it.states] == ["idle", "starting", "live", "idle"]
    assert (camera.starts, it.events) == (1, [])


async def test_a_watcher_who_returns_within_the_linger_finds_the_camera_running(stage) -> None:
    camera = FakeCamera()
    async with stage(camera, linger_s=30) as it:
        for _ in range(3):
            with it.capture.watching("main"):
                await it.until(lambda: it.units)
            await it.clock.after(2)
            camera.send()
        assert (camera.starts, camera.stops) == (1, 0)


async def test_each_start_is_an_epoch(stage) -> None:
    camera = FakeCamera()
    async with stage(camera, linger_s=0) as it:
        for count in (1, 2):
            with it.capture.watching("main"):
                await it.until(lambda count=count: len(it.units) == count)
            await it.until(lambda count=count: camera.stops == count)
            await it.until(lambda: it.capture.state == "idle")
    assert [unit.epoch for unit in it.units] == [0, 1]


async def test_a_refused_start_is_told_once_and_tried_again_while_somebody_watches(stage) -> None:
    camera = FakeCamera()
    camera.refusals = ["the camera is busy"] * 4
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
    expected = [("idle", ""), ("starting", ""), ("failed", "the camera is busy"), ("live", "")]
    assert it.states == [*expected, *it.states[4:]]
    assert [kind for kind, _ in it.events] == ["camera-failed", "camera-recovered"]
    assert "busy" in it.events[0][1]
    assert camera.starts == 5


async def test_nobody_watching_means_no_retry(stage) -> None:
    camera = FakeCamera()
    camera.refusals = ["the camera is busy"] * 1000
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: camera.starts)
        await it.until(lambda: it.capture.state == "failed")
        starts = camera.starts
        await it.clock.after(120)
        assert camera.starts == starts
        assert it.capture.state == "failed", "the problem stays readable"


async def test_no_camera_at_all_is_a_state_before_anybody_watches(stage) -> None:
    async with stage() as it:
        assert it.states == [("failed", "no camera is attached")]
        it.cameras.append(FakeCamera())
        with it.capture.watching("main"):
            await it.until(lambda: it.capture.state == "live")
        assert it.capture.kind == "fake"


async def test_another_kind_of_camera_does_not_step_in(stage) -> None:
    camera, other = FakeCamera(), FakeCamera()
    camera.hang_in_stop, other.kind = threading.Event(), "synthetic"
    async with stage(camera, other, linger_s=0) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
        await it.until(lambda: it.capture.state == "failed")
        with it.capture.watching("main"):
            await it.until(lambda: "gone" in it.capture.problem)
        assert other.starts == 0
    camera.hang_in_stop.set()


async def test_a_camera_that_reports_a_failure_is_restarted(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            await asyncio.to_thread(camera.on_failure, CameraError("unplugged"))
            await it.until(lambda: len(it.units) == 2)
    assert [event[0] for event in it.events] == ["camera-failed", "camera-recovered"]
    assert it.events[0][1] == "unplugged"
    assert [unit.epoch for unit in it.units] == [0, 1]


async def test_a_camera_that_breaks_as_it_is_to_be_restarted_is_started_again_once(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            camera.on_failure(CameraError("unplugged"))
            assert it.capture.restart()
            await it.until(lambda: len(it.units) == 2)
            await it.clock.after(1)
            assert (camera.starts, camera.stops) == (2, 1)


async def test_a_silent_camera_is_restarted_and_then_ends_the_process(stage) -> None:
    camera = FakeCamera(gives_first=False)
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(it.task.done)
            with pytest.raises(CameraError, match="5 restarts did not help: no picture from the fake camera"):
                it.task.result()
    assert (camera.starts, camera.stops) == (6, 6)
    assert [event[0] for event in it.events] == ["camera-failed"]


async def test_a_camera_that_falls_silent_once_recovers(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: camera.starts == 2)
            await it.until(lambda: len(it.events) == 2)
    assert [event[0] for event in it.events] == ["camera-failed", "camera-recovered"]
    assert "no picture from the fake camera" in it.events[0][1]


async def test_a_stop_that_hangs_is_left_behind_and_another_camera_opened(stage) -> None:
    camera, second = FakeCamera(), FakeCamera()
    camera.hang_in_stop = threading.Event()
    async with stage(camera, second, linger_s=0) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
        await it.until(lambda: it.capture.state == "failed")
        assert "does not stop" in it.capture.problem
        with it.capture.watching("main"):
            await it.until(lambda: second.starts)
            await it.until(lambda: it.capture.state == "live")
            count = len(it.units)
            camera.send()  # the one that was left behind wakes up
            await it.clock.after(0.1)
            assert len(it.units) == count
            camera.hang_in_stop.set()


async def test_a_start_that_hangs_is_cleaned_up_when_it_returns_at_last(stage) -> None:
    camera, second = FakeCamera(), FakeCamera()
    camera.hang_in_start = threading.Event()
    async with stage(camera, second) as it:
        with it.capture.watching("main"):
            await it.until(lambda: second.running and it.units)
            camera.hang_in_start.set()
            await it.until(lambda: camera.stops and not camera.running)
            assert {unit.epoch for unit in it.units} == {1}


async def test_cancelling_during_a_slow_start_leaves_nothing_running(stage) -> None:
    camera = FakeCamera()
    camera.hang_in_start = threading.Event()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: camera.starts)
            it.task.cancel()
            camera.hang_in_start.set()
            await it.until(it.task.done)
            assert it.task.cancelled()
    assert (camera.stops, camera.running) == (1, False)


async def test_cancelling_while_the_stop_hangs_still_ends(stage) -> None:
    camera = FakeCamera()
    camera.hang_in_stop = threading.Event()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            it.task.cancel()
            await it.until(it.task.done)
            assert it.task.cancelled()
    camera.hang_in_stop.set()


async def test_cancelling_during_a_stop_waits_for_its_end(stage) -> None:
    camera = FakeCamera()
    camera.hang_in_stop = threading.Event()
    async with stage(camera, linger_s=0) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
        await it.until(lambda: camera.stops)
        it.task.cancel()
        await it.clock.after(1)
        assert not it.task.done(), "what the camera holds is released before the process ends"
        camera.hang_in_stop.set()
        await it.until(it.task.done)
        assert (it.task.cancelled(), camera.running) == (True, False)


async def test_a_viewer_who_leaves_before_the_first_picture_does_not_hide_the_problem(stage) -> None:
    camera = FakeCamera(gives_first=False)
    camera.refusals = ["the camera is busy"]
    async with stage(camera, linger_s=0) as it:
        with it.capture.watching("main"):
            await it.until(lambda: camera.running)
        await it.until(lambda: camera.stops == 2)  # the first one, after the start that was refused
        await it.clock.after(0.1)
        assert (it.capture.state, it.capture.problem) == ("failed", "the camera is busy")


async def test_many_keyframe_requests_are_one_and_a_remembered_one(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            for _ in range(50):
                it.capture.request_keyframe("main", Need.START)
            assert [demand.keyframe for demand in camera.demands] == [False, True]
            await it.until(lambda: len(camera.demands) == 3)
            await it.clock.after(1)
            assert [demand.keyframe for demand in camera.demands] == [False, True, True]


async def test_a_request_while_the_camera_starts_is_served_by_its_first_picture(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            it.capture.request_keyframe("main", Need.START)
            await it.until(lambda: it.units)
            await it.clock.after(1)
            assert not any(demand.keyframe for demand in camera.demands)


async def test_the_bitrate_is_kept_over_starts_and_live(stage) -> None:
    camera = FakeCamera()
    async with stage(camera, linger_s=0) as it:
        it.capture.demand("main", 700_000, 1.0, 1.0)
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            it.capture.demand("main", 900_000, 1.0, 1.0)
            it.capture.demand("main", 900_000, 1.0, 1.0)
        await it.until(lambda: it.capture.state == "idle")
        with it.capture.watching("main"):
            await it.until(lambda: camera.starts == 2)
            await it.until(lambda: len(it.units) == 2)
    assert [demand.bitrate_bps for demand in camera.demands] == [700_000, 900_000, 900_000]


async def test_a_loop_that_stalls_gets_a_keyframe_and_not_the_past(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            for _ in range(100):  # the loop stands still here
                camera.send()
            await it.until(lambda: camera.demands[-1].keyframe)
            camera.send()
            camera.send(keyframe=True)
            await it.until(lambda: it.units[-1].is_keyframe and it.units[-1].capture_us > 0)
            assert it.capture.dropped == 37
            assert it.capture.frames == 66


async def test_only_what_somebody_watches_is_encoded(stage) -> None:
    camera = FakeCamera()
    async with stage(camera, linger_s=30) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            assert not camera.asked["preview"].is_active
            with it.capture.watching("preview"):
                assert camera.asked["preview"] == EncoderDemand(500_000, keyframe=True)
                camera.send(stream="preview", keyframe=True)
                await it.until(lambda: "preview" in it.streams)
            assert not camera.asked["preview"].is_active
            assert camera.asked["main"].is_active
        assert camera.asked["main"].is_active, "who comes back within the linger finds a picture"
        with it.capture.watching("preview"):
            assert camera.asked["preview"].is_active
            assert not camera.asked["main"].is_active


async def test_a_camera_may_start_for_the_preview_alone(stage) -> None:
    camera = FakeCamera(gives_first=False)
    async with stage(camera) as it:
        with it.capture.watching("preview"):
            await it.until(lambda: camera.running)
            assert (camera.asked["main"].is_active, camera.asked["preview"].is_active) == (False, True)
            camera.send(stream="preview", keyframe=True)
            await it.until(lambda: it.capture.state == "live")


async def test_what_came_when_asked_for_is_known_from_what_came_anyway(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            camera.send(keyframe=True)
            await it.until(lambda: len(it.units) == 2)
            assert it.capture.forced_keyframes == 0
            it.capture.request_keyframe("main", Need.START)
            camera.send(keyframe=True)
            await it.until(lambda: it.capture.forced_keyframes == 1)


async def test_streams_have_keyframes_of_their_own(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"), it.capture.watching("preview"):
            await it.until(lambda: it.units)
            it.capture.request_keyframe("preview", Need.START)
            await it.until(lambda: camera.asked["preview"].keyframe)
            assert not camera.asked["main"].keyframe


async def test_a_share_of_the_pictures_and_a_smaller_size_reach_the_encoder(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            it.capture.demand("main", 300_000, 0.5, 0.5)
            assert camera.asked["main"] == EncoderDemand(300_000, fps_share=0.5, scale=0.5)


async def test_what_is_held_reaches_the_encoder_and_says_nothing_of_what_the_scene_needs(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:

        async def made_bps() -> int | None:
            for _ in range(40):
                await it.clock.after(0.1)
                camera.send()
                await it.clock.after(0.02)
            return it.capture.made_bps("main")

        with it.capture.watching("main"):
            await it.until(lambda: it.units)
            it.capture.demand("main", 300_000, 0.5, 1.0)
            assert await made_bps() is not None
            it.capture.hold("main", is_held=True)
            assert camera.asked["main"] == EncoderDemand(300_000, fps_share=0.5, is_held=True)
            it.capture.demand("main", 200_000, 0.5, 1.0)
            assert camera.asked["main"].is_held, "until it is told otherwise"
            assert await made_bps() is None
            it.capture.hold("main", is_held=False)
            assert camera.asked["main"] == EncoderDemand(200_000, fps_share=0.5)
            assert await made_bps() is not None


async def test_the_rest_of_the_agent_sees_whether_it_is_watched_and_for_how_long_it_was_quiet(stage) -> None:
    camera = FakeCamera()
    async with stage(camera) as it:
        assert not it.capture.is_watched
        await it.clock.after(100)
        assert it.capture.quiet_s >= 100
        with it.capture.watching("main"):
            assert it.capture.is_watched
            assert it.capture.quiet_s == 0, "a watcher makes something due, from now on"
            await it.until(lambda: it.units)
            await it.clock.after(2)
            assert it.capture.quiet_s >= 2
            await asyncio.to_thread(camera.send)
            await it.until(lambda: len(it.units) == 2)
            assert it.capture.quiet_s < 1


async def test_who_looks_keeps_the_camera_on_and_has_nothing_encoded(stage) -> None:
    camera, tap, seen = FakeCamera(gives_first=False), LumaTap(), []
    async with stage(camera) as it:
        with it.capture.looking(tap, seen.append):
            await it.until(lambda: it.capture.state == "starting")
            await it.until(lambda: it.capture.formats)
            for count in range(1, 30):
                tap.take_frame(FRAME, count * 200_000)
                await it.until(lambda count=count: len(seen) == count)
                await it.clock.after(0.2)
            assert it.capture.state == "live"
            assert (camera.starts, camera.stops) == (1, 0)
            assert not any(demand.is_active for demand in camera.asked.values())
        assert not tap.is_wanted
        await it.until(lambda: camera.stops)
    assert it.events == []


async def test_who_watches_beside_who_looks_is_encoded_for_and_leaves_at_once(stage) -> None:
    camera, tap = FakeCamera(), LumaTap()
    async with stage(camera) as it:
        with it.capture.looking(tap, lambda _: None):
            await it.until(lambda: it.capture.formats)
            with it.capture.watching("main"):
                assert camera.asked["main"].is_active
                await it.until(lambda: it.units)
            assert not camera.asked["main"].is_active
            assert camera.stops == 0


async def test_an_encoder_that_is_silent_is_restarted_though_pictures_come(stage) -> None:
    camera, tap = FakeCamera(), LumaTap()
    async with stage(camera) as it:
        with it.capture.looking(tap, lambda _: None), it.capture.watching("main"):
            await it.until(lambda: it.units)
            for count in range(1, 40):
                if camera.starts > 1:
                    break
                tap.take_frame(FRAME, count * 200_000)
                await it.clock.after(0.2)
            assert camera.starts > 1
            await it.until(lambda: it.capture.state == "live")


async def test_a_camera_that_gives_no_picture_to_who_looks_is_restarted(stage) -> None:
    camera, tap = FakeCamera(gives_first=False), LumaTap()
    async with stage(camera) as it:
        with it.capture.looking(tap, lambda _: None):
            await it.until(lambda: camera.starts > 1)
