import itertools

import pytest

from agent.device.vitals import LIVE_SILENCE_S, STEP_S, Vitals, judge

STATES = ("idle", "starting", "live", "failed")


def vitals(**changes) -> Vitals:
    values = {
        "ended": "",
        "is_connected": True,
        "broker": "mqtt://broker:1883",
        "camera": "idle",
        "camera_kind": "picamera",
        "problem": "",
        "is_watched": False,
        "quiet_s": 0.0,
        "start_s": 13.0,
        "viewers": 0,
        "now_unix_s": 1.8e9,
    }
    return Vitals(**(values | changes))


@pytest.mark.parametrize(("camera", "is_watched"), list(itertools.product(STATES, (False, True))))
def test_how_long_each_state_may_be_quiet(camera, is_watched):
    bound_s = {"live": LIVE_SILENCE_S, "starting": STEP_S}.get(camera, STEP_S if is_watched else None)
    for quiet_s in (0.0, 9.9, 10.1, 59.9, 60.1, 1e6):
        expected = bound_s is None or quiet_s <= bound_s
        assert judge(vitals(camera=camera, is_watched=is_watched, quiet_s=quiet_s)).is_alive is expected


@pytest.mark.parametrize("is_connected", [False, True])
@pytest.mark.parametrize("camera", STATES)
def test_nothing_that_is_missing_makes_it_dead(camera, is_connected):
    verdict = judge(vitals(camera=camera, is_connected=is_connected))
    assert verdict.is_alive
    assert verdict.words.startswith("serving" if is_connected and camera != "failed" else "degraded")


def test_the_words_name_what_is_missing():
    words = judge(
        vitals(is_connected=False, broker="no route", camera="failed", problem="no camera is attached")
    ).words
    assert (
        words == "degraded; no broker: no route; camera failed (picamera): no camera is attached; 0 viewers"
    )


def test_the_words_when_all_is_well():
    words = judge(vitals(camera="live", is_watched=True, viewers=1)).words
    assert words == "serving; broker connected (mqtt://broker:1883); camera live (picamera); 1 viewer"


def test_the_words_when_it_is_stuck():
    assert judge(vitals(camera="live", quiet_s=60)).words.startswith("stuck; ")


def test_a_clock_that_is_not_set_degrades_and_is_named():
    words = judge(vitals(now_unix_s=86_400.0)).words
    assert words.startswith("degraded; ")
    assert words.endswith("; the clock is not set: it says 1970-01-02")


def test_a_camera_that_loads_its_network_for_minutes_is_alive():
    assert judge(vitals(camera="starting", quiet_s=500.0, start_s=600.0)).is_alive
    assert not judge(vitals(camera="starting", quiet_s=1300.0, start_s=600.0)).is_alive
    assert not judge(vitals(camera="live", quiet_s=11.0, start_s=600.0)).is_alive
