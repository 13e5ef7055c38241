"""Counts and times of a session."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.client.report import Clock, Meter, as_json


def test_nothing_seen_is_nulls_and_zeros():
    report = as_json(Meter(), None, None, ["offline"], (0.0, 0.0))
    assert report["first_frame_ms"] is None
    assert report["frames"] == 0
    assert report["fps"] == 0.0
    assert report["latency_ms"] is None
    assert report["bitrate_bps"] is None
    assert report["errors"] == ["offline"]


def test_a_session_of_three_seconds():
    meter = Meter(offered_at_s=10.0)
    for number in range(91):
        meter.on_frame(10.25 + number / 30, 1280, 720, 40 + number % 2)
    meter.on_received(10.0, 1_000)
    meter.on_received(13.0, 751_000)
    report = as_json(meter, "gate", "host", [], (1_000_000.0, 13.25))
    assert report["first_frame_ms"] == 250.0
    assert report["first_frame_at"] == 999_997.0
    assert report["seconds"] == 3.0
    assert report["frames"] == 91
    assert report["fps"] == 30.0
    assert report["bitrate_bps"] == 2_000_000
    assert report["latency_ms"] == {"p50": 40, "p95": 41}
    assert (report["width_px"], report["height_px"]) == (1280, 720)
    assert (report["device"], report["path"], report["errors"]) == ("gate", "host", [])


def test_one_frame_has_no_rate():
    meter = Meter(offered_at_s=0.0)
    meter.on_frame(1.0, 640, 480, None)
    assert (meter.fps, meter.seconds, meter.latency_ms(0.5)) == (0.0, 0.0, None)


@given(st.lists(st.integers(-100, 5000), min_size=1), st.floats(0.01, 1))
def test_latency_is_a_quantile_of_what_was_seen(values, share):
    meter = Meter()
    for value in values:
        meter.on_frame(0.0, 1, 1, value)
    found = meter.latency_ms(share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values) + 1e-6


@given(st.lists(st.integers()))
def test_absurd_latencies_take_no_room(values):
    meter = Meter()
    for value in values:
        meter.on_frame(0.0, 1, 1, value)
    assert meter.latencies_ms == Counter(value for value in values if abs(value) <= 60_000)


@pytest.mark.parametrize(("device_ms", "offset_ms"), [(1000.0, 0.0), (1004.0, 0.0), (6005.0, 5000.0)])
def test_only_a_real_difference_of_the_clocks_counts(device_ms, offset_ms):
    clock = Clock()
    clock.on_pong(1000.0, 1010.0, device_ms)
    assert clock.offset_ms == offset_ms


def test_the_shortest_round_trip_wins():
    clock = Clock()
    clock.on_pong(1000.0, 1010.0, 6005.0)
    clock.on_pong(2000.0, 2900.0, 7800.0)
    assert clock.offset_ms == 5000.0
