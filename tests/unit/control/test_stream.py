"""All viewers of a camera with two streams."""

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from agent.control import stream as module
from agent.control.demand import Limits, Viewer
from agent.control.stream import StreamControl
from agent.model.media import Need, RtpFrame

MAIN = Limits(100_000, 2_000_000, 30.0, 1280 * 720, can_rescale=True, can_skip=True)
PREVIEW = Limits(100_000, 500_000, 15.0, 640 * 360, can_rescale=True, can_skip=True)
S = 1_000_000_000


@dataclass
class Camera:
    """Takes demands, and gives a picture of each stream when told to."""

    limits: dict = field(default_factory=lambda: {"main": MAIN, "preview": PREVIEW})
    asked: dict = field(default_factory=dict)
    keyframes: list = field(default_factory=list)
    held: dict = field(default_factory=dict)
    read: set = field(default_factory=set)
    sinks: dict = field(default_factory=lambda: {"main": [], "preview": []})
    at: int = 0

    def demand(self, stream, bitrate_bps, _fps_share, _scale):
        self.asked[stream] = bitrate_bps

    def hold(self, stream, *, is_held):
        self.held[stream] = is_held

    def made_bps(self, _stream):
        return None

    def request_keyframe(self, stream, need):
        self.keyframes.append((stream, need))

    @contextmanager
    def subscribe(self, stream, sink):
        self.sinks[stream].append(sink)
        yield
        self.sinks[stream].remove(sink)

    def picture(self):
        self.at += 3000
        for sinks in self.sinks.values():
            frame = RtpFrame((b"x",), self.at, is_keyframe=True, size_bytes=1)
            for sink in tuple(sinks):
                sink(frame)

    @property
    def encoded(self):
        return {stream for stream, sinks in self.sinks.items() if sinks}


class Lane:
    """A viewer's lane whose link the test sets."""

    def __init__(self, _start_bps, _min_bps, _max_bps, on_held_up):
        self.on_held_up = on_held_up
        self.mbps, self.max_bps, self.is_stalled, self.wants_keyframe = 5.0, None, False, False
        self.is_held_up = False

    def set_max_bps(self, max_bps):
        self.max_bps = max_bps

    def viewer(self, _now_ns):
        return Viewer(int(self.mbps * 1e6), 0.0, 0, self.is_stalled, self.wants_keyframe)


@pytest.fixture
def camera():
    return Camera()


@pytest.fixture
def play(monkeypatch, camera):
    """Let seconds pass: `play(control, seconds)`."""
    monkeypatch.setattr(module, "LaneControl", Lane)
    now_ns = 0
    monkeypatch.setattr(module.time, "monotonic_ns", lambda: now_ns)

    def play(control, seconds=10):
        nonlocal now_ns
        for _ in range(int(seconds * 20)):
            now_ns += S // 20
            control.follow()
            camera.picture()

    return play


@contextmanager
def watching(control, wanted="main", mbps=5.0):
    with control.viewer(wanted) as one, one.streaming(lambda _: None):
        one.lane.mbps = mbps
        yield one


def make(camera, uplink_bps=None):
    return StreamControl(
        camera, lambda: camera.limits, camera.subscribe, uplink_bps, is_read=camera.read.__contains__
    )


def test_the_wish_decides_and_may_change(camera, play):
    control = make(camera)
    with watching(control, "preview") as one:
        play(control)
        assert (one.stream, camera.encoded, camera.asked) == ("preview", {"preview"}, {"preview": 500_000})
        assert one.lane.max_bps == 750_000, "its link is not probed for more than a preview"
        one.wanted = "main"
        play(control, 1)
        assert (one.stream, camera.encoded) == ("main", {"main"})
    assert camera.encoded == set()


def test_a_slow_viewer_gets_the_preview_and_the_fast_one_loses_nothing(camera, play):
    control = make(camera)
    with watching(control) as fast:
        play(control)
        alone_bps = camera.asked["main"]
        with watching(control, mbps=0.4) as slow:
            play(control)
            assert (fast.stream, slow.stream) == ("main", "preview")
            assert camera.asked["main"] == alone_bps
            assert 300_000 < camera.asked["preview"] < 400_000
            slow.lane.mbps = 4.0
            play(control)
            assert (slow.stream, camera.encoded) == ("main", {"main"})


def test_many_slow_viewers_decide_no_more_than_one(camera, play):
    control = make(camera)
    with watching(control) as fast, watching(control, mbps=0.4) as one, watching(control, mbps=0.3) as other:
        play(control)
        assert [v.stream for v in (fast, one, other)] == ["main", "preview", "preview"]
        assert camera.asked["main"] == 2_000_000


def test_alone_on_a_slow_link_main_follows_down_to_its_floor(camera, play):
    control = make(camera)
    with watching(control, mbps=0.4) as one:
        play(control)
        assert (one.stream, camera.asked["main"] < 400_000) == ("main", True)


def test_below_the_floor_of_a_hardware_encoder_the_preview_serves(camera, play):
    camera.limits["main"] = Limits(1_000_000, 2_000_000, 30.0, 1280 * 720, can_rescale=False, can_skip=True)
    control = make(camera)
    with watching(control, mbps=0.25) as one:
        play(control)
        assert (one.stream, camera.encoded) == ("preview", {"preview"})
        one.lane.mbps = 1.5
        play(control)
        assert one.stream == "main"


def test_a_camera_with_one_stream_gives_it_to_all(camera, play):
    del camera.limits["preview"]
    control = make(camera)
    with watching(control, "preview") as one, watching(control, mbps=0.2) as slow:
        play(control)
        assert (one.stream, slow.stream) == ("main", "main")


def test_a_viewer_whose_path_is_out_stays_where_it_is(camera, play):
    control = make(camera)
    with watching(control), watching(control) as lost:
        play(control)
        lost.lane.mbps, lost.lane.is_stalled = 0.1, True
        play(control)
        assert lost.stream == "main"


def test_all_viewers_together_stay_within_the_uplink(camera, play):
    control = make(camera, uplink_bps=2_500_000)
    with watching(control), watching(control), watching(control, "preview"):
        play(control)
        assert 2 * camera.asked["main"] + camera.asked["preview"] < 2_500_000 * 0.92
        assert camera.asked["main"] > 700_000


def test_a_new_viewer_gets_a_keyframe(camera):
    control = make(camera)
    with watching(control):
        assert camera.keyframes == [("main", Need.START)]
        with watching(control, "preview"):
            assert camera.keyframes[1:] == [("preview", Need.START)]


def test_who_lost_a_picture_asks_until_it_has_one(camera, play):
    control = make(camera)
    with watching(control) as one, watching(control, "preview"):
        play(control, 1)
        camera.keyframes.clear()
        one.lane.wants_keyframe = True
        play(control, 0.2)
        assert camera.keyframes == [("main", Need.REPAIR)] * 4, "how often it is forced, the camera decides"
        one.lane.wants_keyframe = False
        play(control, 1)
        assert len(camera.keyframes) == 4


def test_who_would_spoil_it_for_all_is_refused(camera):
    control = make(camera, uplink_bps=1_500_000)
    assert control.refusal("main") is None
    with control.viewer("main"), control.viewer("main"):
        assert control.refusal("preview") is None, "a small one fits"
        assert control.refusal("main") == "the camera's uplink of 1.5 Mb/s has no room for another viewer"
    assert make(camera).refusal("main") is None


def hold_up(*viewers, is_held_up=True):
    for one in viewers:
        one.lane.is_held_up = is_held_up
        one.lane.on_held_up()


def test_pictures_are_held_at_once_while_one_waits_for_everybody(camera, play):
    control = make(camera)
    with watching(control) as one, watching(control) as other, watching(control, "preview"):
        play(control, 1)
        hold_up(one)
        assert not any(camera.held.values()), "who is slow alone holds up nobody else"
        hold_up(other)
        assert camera.held == {"main": True}
        hold_up(one, is_held_up=False)
        assert camera.held == {"main": False}


def test_a_picture_comes_through_each_second_so_that_the_camera_is_seen_to_live(camera, play):
    control = make(camera)
    with watching(control) as one:
        play(control, 1)
        hold_up(one)
        play(control, 0.5)
        assert camera.held["main"], "the pictures of `play` came from before"
        ns = module.time.monotonic_ns() + S
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.time, "monotonic_ns", lambda: ns)
            control.follow()
            assert not camera.held["main"]
            camera.picture()
            assert camera.held["main"]


def test_who_leaves_holds_up_nobody(camera, play):
    control = make(camera)
    with watching(control) as one:
        play(control, 1)
        hold_up(one)
    assert camera.held == {"main": False}


def test_who_looks_back_holds_up_no_live_picture(camera, play):
    control = make(camera)
    with watching(control) as one:
        play(control, 1)
        hold_up(one)
        assert camera.held == {"main": True}
        one.leave_live()
        play(control, 0.1)
        assert camera.held == {"main": False}, "nobody who is live is left"
        hold_up(one)
        assert camera.held == {"main": False}
        with watching(control) as other:
            hold_up(other)
            assert camera.held == {"main": True}, "and whose link is full decides alone"
            hold_up(one, is_held_up=False)
            assert camera.held == {"main": True}


def test_the_first_keyframe_is_made_for_a_viewers_link_and_waits_for_nobody(camera, play):
    control = make(camera)
    with control.keeping("main", 2_000_000):
        assert camera.asked["main"] == 2_000_000
        with watching(control) as one:
            assert camera.asked["main"] < 2_000_000, "before the keyframe is forced"
            play(control, 1)
            hold_up(one)
            assert camera.held == {"main": True}
            with watching(control):
                assert camera.held == {"main": False}


def test_nothing_is_held_where_every_picture_is_wanted_or_none_can_be_left_out(camera, play):
    control = make(camera)
    with watching(control) as one:
        camera.read.add("main")
        hold_up(one)
        assert not camera.held, "somebody records"
        camera.read.clear()
        camera.limits["main"] = replace(MAIN, can_skip=False)
        play(control, 1)
        assert not camera.held
        camera.limits["main"] = MAIN
        play(control, 0.1)
        assert camera.held == {"main": True}


async def test_nothing_is_followed_while_nobody_watches(camera, monkeypatch):
    looks, control = [], StreamControl(camera, lambda: camera.limits, camera.subscribe)
    monkeypatch.setattr(control, "follow", lambda: looks.append(1))
    monkeypatch.setattr(module, "SILENT_S", 0)
    task = asyncio.create_task(control.run())

    async def turns():
        looks.clear()
        for _ in range(10):
            await asyncio.sleep(0)
        return len(looks)

    assert not await turns()
    with control.viewer("main"):
        assert await turns()
    await turns()
    assert not await turns()
    task.cancel()
    await asyncio.wait([task])


async def test_the_viewers_are_looked_at_right_after_a_picture(camera, monkeypatch):
    looks, control = [], StreamControl(camera, lambda: camera.limits, camera.subscribe)
    pictures, now_ns = [], 0
    monkeypatch.setattr(control, "follow", lambda **_: looks.append(len(pictures)))
    monkeypatch.setattr(module, "SILENT_S", 60)
    monkeypatch.setattr(module.time, "monotonic_ns", lambda: now_ns)
    task = asyncio.create_task(control.run())
    with control.viewer("main") as viewer, viewer.streaming(pictures.append):
        for _ in range(7):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            now_ns += 33_000_000
            camera.picture()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert (len(pictures), looks) == (7, [0, 0, 2, 4, 6]), "at once, then every second at 30 a second"
    task.cancel()
    await asyncio.wait([task])


def test_what_is_recorded_is_not_left_as_the_last_viewer_had_it(camera, play):
    control = StreamControl(camera, lambda: camera.limits, camera.subscribe)
    with control.keeping("main", 1_500_000):
        assert camera.asked["main"] == 1_500_000
        with control.viewer("main") as one, one.streaming(lambda _: None):
            one.lane.mbps = 0.3
            camera.limits = {"main": MAIN}  # no preview that would serve instead
            play(control, 20)
            assert camera.asked["main"] < 400_000, "who watches decides"
        assert camera.asked["main"] == 1_500_000
    with control.viewer("main") as one, one.streaming(lambda _: None):
        one.lane.mbps = 0.3
        play(control, 20)
    assert camera.asked["main"] < 400_000, "nobody records: who comes back finds it as it was"
