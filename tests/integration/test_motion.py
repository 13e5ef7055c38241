"""Motion through a real camera: a film is decoded, made small, looked at and told; and hours of weather."""

import asyncio
import contextlib
import time
from fractions import Fraction
from functools import partial

import av
import numpy as np
import pytest
from parts import clips
from parts.tflite import write_detector

from agent.attention import Attention
from agent.camera.capture import Capture
from agent.camera.masking import Masking
from agent.camera.select import open_camera
from agent.config import CameraSettings, DeviceSettings, MotionSettings, Settings
from agent.device.journal import Journal
from agent.model.motion import Tuning
from agent.motion.detector import Detector

WIDTH, HEIGHT, FPS = 640, 360, 10
WALK = clips.Walk(17.0, 4.0, 0.2, 0.85, 0.3, 0.0, 0.4, 60.0)
ENOUGH_S = 90.0
"""A camera that starts on a busy machine, and a film of half a minute."""


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Somebody walks through a yard with trees in the wind."""
    path = tmp_path_factory.mktemp("film") / "yard.mp4"
    scene = clips.Scene(3).add(clips.Wind(3, trees=1, strength=0.5)).add(WALK)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "26"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(30 * FPS):
            small = scene.picture(index / FPS)
            large = np.kron(np.clip(small, 0, 255).astype(np.uint8), np.ones((5, 5), np.uint8))
            frame = av.VideoFrame.from_ndarray(
                np.vstack([large, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)]), format="yuv420p"
            )
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


async def run(film, folder, masking, until, *, is_enabled=True, **motion):
    """An agent's camera and what looks at it, until something is so; all that was told."""
    camera = CameraSettings(source=f"replay:{film}", linger_s=0)
    settings = Settings(
        camera=camera,
        device=DeviceSettings(state_dir=folder),
        motion=MotionSettings(enabled=is_enabled, merge_gap_s=0, quiet_s=3, **motion),
    )
    units, told = [], []
    capture = Capture(
        partial(open_camera, camera, masking),
        camera,
        on_unit=lambda *unit: units.append(unit),
        on_state=lambda *_: None,
        on_event=lambda *_: None,
    )
    journal = Journal(folder / "events", "boot")
    attention = Attention(
        settings,
        capture,
        masking.luma,
        journal,
        is_turning=lambda: False,
        on_begun=lambda event, at_us: told.append(("begun", event, at_us)),
        on_seen=lambda event: told.append(("seen", event)),
        on_ended=lambda event, at_us: told.append(("ended", event, at_us)),
        on_change=lambda: None,
    )
    tasks = [asyncio.create_task(work) for _, work in [("camera", capture.run()), *attention.work()]]
    try:
        await until(capture, told)
    finally:
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    events = [noted.event for noted, _ in journal._waiting()]
    journal.close()
    return told, events, units, attention


async def until_told(_capture, told):
    async with asyncio.timeout(ENOUGH_S):
        while [what for what, *_ in told if what != "seen"][:2] != ["begun", "ended"]:
            await asyncio.sleep(0.1)


async def test_a_walk_in_a_film_is_told_and_nothing_is_encoded_for_it(film, tmp_path):
    began_us = time.monotonic_ns() // 1000
    told, events, units, _ = await run(film, tmp_path, Masking(), until_told)
    (_, event, at_us), (_, same, over_us) = told[:2]
    assert event == same
    assert at_us - began_us > 15e6, "the trees were none"
    assert 0 <= over_us - at_us < 6e6
    assert [(one.kind, one.thumbnail) for one in events[:2]] == [("motion", event), ("motion-ended", None)]
    assert events[1].details["begun"] == event
    assert units == []


async def test_who_walks_is_labelled_while_it_lasts_by_a_network_on_the_cpu(film, tmp_path):
    classes = tmp_path / "classes.txt"
    classes.write_text("person\n")
    network = write_detector(tmp_path / "n.tflite", [(0.1, 0.1, 0.9, 0.9)], [0])
    how = {"network": network, "classes": classes, "min_score": 0.05}
    _, events, units, attention = await run(film, tmp_path, Masking(), until_told, **how)
    seen = [one for one in events if one.details.get("label") == "person"]
    assert seen[0].kind in ("motion", "motion-seen"), "before it is over"
    assert seen[-1].kind == "motion-ended"
    assert seen[-1].message.startswith("Person is over")
    assert attention.sections["motion"]().problem == ""
    assert units == []


async def test_a_network_that_is_none_is_told_and_motion_goes_on(film, tmp_path):
    (tmp_path / "n.tflite").write_bytes(b"none")
    how = {"network": tmp_path / "n.tflite", "classes": tmp_path / "n.tflite"}
    _, events, _, attention = await run(film, tmp_path, Masking(), until_told, **how)
    assert [one.kind for one in events[:2]] == ["motion", "motion-ended"]
    assert "n.tflite cannot be used" in attention.sections["motion"]().problem


async def test_without_the_setting_the_camera_rests(film, tmp_path):
    async def until_it_rests(capture, _told):
        async with asyncio.timeout(ENOUGH_S):
            while not capture.kind:
                await asyncio.sleep(0.05)

    masking = Masking()
    _, events, _, attention = await run(film, tmp_path, masking, until_it_rests, is_enabled=False)
    assert not masking.luma.is_wanted
    assert list(attention.work()) == []
    assert (attention.sections, events) == ({}, [])
    assert not (tmp_path / "motion.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("weather", [clips.Wind, clips.Rain])
def test_an_hour_of_weather_has_one_false_alarm_at_most(weather):
    alarms = []
    for seed in range(10, 16):
        detector, last_s = Detector(Tuning()), -100.0
        for luma in clips.Scene(seed).add(weather(seed)).play(600):
            at_s = luma.capture_us / 1e6
            if detector.on_picture(luma).is_moving:
                alarms += [(seed, at_s)] if at_s - last_s > 10 else []
                last_s = at_s
    assert len(alarms) <= 1, alarms


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("contrast", [12, 25, 50])
def test_walks_are_found(contrast):
    missed = []
    for seed in range(60):
        one = clips.random_walk(np.random.default_rng(1000 + seed), contrast, 20.0)
        detector = Detector(Tuning())
        samples = clips.Scene(seed).add(one).play(one.end_s + 1)
        if not any(detector.on_picture(luma).is_moving for luma in samples):
            missed.append(seed)
    assert len(missed) <= 3, missed
