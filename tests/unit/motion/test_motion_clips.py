"""Walks are found, and weather is not; the hours are in `tests/integration/test_motion.py`."""

import numpy as np
import pytest
from parts import clips
from parts.clips import Scene

from agent.model.motion import Tuning, Zone
from agent.motion.detector import Detector

CALM_S = 17.0
"""Before anything happens: what always moves is known by then."""


def found(scene: Scene, seconds: float, tuning: Tuning | None = None) -> list[float]:
    """When something was seen to move."""
    detector = Detector(tuning or Tuning())
    return [luma.capture_us / 1e6 for luma in scene.play(seconds) if detector.on_picture(luma).is_moving]


def walk(seed: int, contrast: float) -> tuple[Scene, clips.Walk]:
    one = clips.random_walk(np.random.default_rng(2000 + seed), contrast, CALM_S)
    return Scene(seed).add(one), one


@pytest.mark.parametrize("contrast", [12, 25, 50])
def test_walks_over_a_fifth_of_the_width_are_found(contrast):
    missed = []
    for seed in range(12):
        scene, one = walk(seed, contrast)
        seen = found(scene, one.end_s + 1)
        assert all(one.begin_s <= at <= one.end_s + 1 for at in seen)
        missed += [] if seen else [seed]
    assert len(missed) <= 1, missed


def test_somebody_who_comes_closer_is_found():
    class Comer:
        def __call__(self, picture, at_s):
            share = (at_s - CALM_S) / 8
            if not 0 <= share <= 1:
                return None
            size = 0.15 + 0.6 * share
            return clips.Walk(at_s, 1.0, 0.5, 0.5 + size / 2, 0.0, 0.0, size, -45.0)(picture, at_s)

    assert found(Scene(3).add(Comer()), CALM_S + 8)
    assert not found(Scene(3), CALM_S + 8)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Scene(1).add(clips.Wind(1)), id="wind in trees"),
        pytest.param(lambda: Scene(2).add(clips.Rain(2)), id="rain"),
        pytest.param(lambda: Scene(4, level=40, noise=25), id="noise of a sensor at night"),
        pytest.param(lambda: Scene(5).add(clips.Clouds(5)), id="clouds"),
        pytest.param(
            lambda: Scene(6, level=40).add(clips.Lightning([10 + 7.1 * each for each in range(11)])),
            id="lightning",
        ),
    ],
)
def test_weather_is_no_motion(make):
    assert not found(make(), 90)


@pytest.mark.parametrize("seed", range(3))
def test_a_switch_to_infrared_is_no_motion(seed):
    assert not found(Scene(seed).add(clips.Switch(seed, 20)), 35)


def test_who_walks_soon_after_the_switch_is_found():
    one = clips.Walk(42.0, 4.0, 0.3, 0.8, 0.3, 0.0, 0.4, 60.0)
    assert found(Scene(1).add(clips.Switch(1, 20)).add(one), 47)


@pytest.mark.parametrize("seed", range(3))
def test_headlights_that_sweep_over_the_yard_are_no_motion(seed):
    scene = Scene(seed, level=60)
    for index, (seconds, way) in enumerate([(2.5, 1), (1.5, -1), (5.0, 1)]):
        scene.add(clips.Headlights(CALM_S + 12 * index, seconds, way))
    assert not found(scene, CALM_S + 36)


def test_walks_in_wind_and_in_rain_are_found():
    for seed in range(2):
        for weather in (clips.Wind(seed), clips.Rain(seed)):
            one = clips.Walk(40.0, 3.5, 0.3, 0.9, 0.25, 0.0, 0.4, 50.0)
            seen = found(Scene(seed).add(weather).add(one), 45)
            assert any(one.begin_s <= at <= one.end_s + 1 for at in seen)


def test_many_who_walk_the_same_way_are_no_leaves():
    walks = [clips.Walk(CALM_S + 10 * each, 4.0, 0.3, 0.8, 0.2, 0.0, 0.35, 25.0) for each in range(8)]
    scene = Scene(3)
    for one in walks:
        scene.add(one)
    seen = found(scene, walks[-1].end_s)
    assert all(any(one.begin_s <= at <= one.end_s for at in seen) for one in walks)


def test_a_car_that_has_parked_is_no_motion_any_more():
    one = clips.Walk(CALM_S, 2.0, 0.2, 0.8, 0.25, 0.0, 0.35, 60.0)
    there = clips.Walk(CALM_S + 2, 60.0, 0.45, 0.8, 0.0, 0.0, 0.35, 60.0)

    class Parked:
        def __call__(self, picture, at_s):
            return there(picture, CALM_S + 2) if at_s > CALM_S + 2 else None  # its wheels stand

    seen = found(Scene(2).add(one).add(Parked()), CALM_S + 30)
    assert seen
    assert max(seen) < CALM_S + 5


LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("zone", "is_found"),
    [
        (Zone("door", LEFT), True),
        (Zone("street", tuple((x + 0.5, y) for x, y in LEFT)), False),
        (Zone("flag", LEFT, is_ignored=True), False),
        (Zone("door", LEFT, min_size_percent=20.0), False),
        (Zone("door", LEFT, sensitivity=0), False),
    ],
)
def test_motion_counts_in_zones_alone(zone, is_found):
    one = clips.Walk(CALM_S, 3.0, 0.15, 0.8, 0.2, 0.0, 0.35, 20.0)
    assert bool(found(Scene(3).add(one), CALM_S + 4, Tuning(zones=(zone,)))) is is_found


def test_the_zone_is_named():
    detector = Detector(Tuning(zones=(Zone("door", LEFT), Zone("all", ((0, 0), (1, 0), (1, 1), (0, 1))))))
    one = clips.Walk(CALM_S, 3.0, 0.15, 0.8, 0.2, 0.0, 0.35, 40.0)
    motions = [detector.on_picture(luma) for luma in Scene(3).add(one).play(CALM_S + 4)]
    assert {motion.zones for motion in motions if motion.is_moving} == {("all", "door")}


def test_its_own_turning_is_no_motion_and_afterwards_all_is_new():
    detector, scene = Detector(Tuning()), Scene(1)
    for luma in scene.play(CALM_S):
        assert not detector.on_picture(luma).is_moving
    detector.on_moving(is_moving=True, now_us=round(CALM_S * 1e6))
    for shift, luma in enumerate(scene.play(3, CALM_S)):
        turned = luma.data[shift:] + luma.data[:shift]
        motion = detector.on_picture(clips.Luma(turned, 32, 18, luma.capture_us))
        assert (motion.is_moving, motion.note) == (False, "turning")
    detector.on_moving(is_moving=False, now_us=round((CALM_S + 3) * 1e6))
    for luma in Scene(9).play(20, CALM_S + 3):
        assert not detector.on_picture(luma).is_moving


def test_a_camera_that_was_away_begins_anew():
    detector = Detector(Tuning())
    for luma in Scene(1).play(20):
        detector.on_picture(luma)
    assert detector.on_picture(next(Scene(2).play(1, begin_s=60))).note == "learning"
    assert detector.on_picture(next(Scene(2).play(1, begin_s=30))).note == "learning", (
        "a clock that went back"
    )


def test_another_size_of_picture_begins_anew():
    detector = Detector(Tuning())
    for luma in Scene(1).play(20):
        detector.on_picture(luma)
    assert detector.on_picture(clips.Luma(bytes(32 * 24), 32, 24, 20_000_000)).note == "learning"
