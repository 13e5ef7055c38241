"""What delays say of the queue."""

import random

import pytest

from agent.control.delay import DelayDetector, Usage


def feed(detector, delays_ms, start_ms=0):
    """One report each 60 ms."""
    now_ms, seen = start_ms, []
    for delay_ms in delays_ms:
        seen.append(detector.update(delay_ms, int((now_ms + delay_ms) * 1000)))
        now_ms += 60
    return seen


def test_a_queue_that_fills_stands_and_drains():
    detector = DelayDetector()
    assert set(feed(detector, [30] * 20)) == {Usage.NORMAL}
    assert feed(detector, [30 + 10 * i for i in range(12)], 1200)[-1] is Usage.OVER
    assert detector.queue_ms > 60
    assert feed(detector, [150 - 20 * i for i in range(5)], 1920)[-1] is Usage.UNDER
    assert feed(detector, [30] * 12, 2220)[-1] is Usage.NORMAL


def test_what_was_overused_is_normal_only_once_the_queue_has_gone():
    detector = DelayDetector()
    feed(detector, [30] * 20)
    feed(detector, [90] * 8, 1200)
    between_ms = 30 + 0.75 * detector.threshold_ms
    assert feed(detector, [between_ms] * 12, 1680)[-1] is Usage.UNDER
    fresh = DelayDetector()
    feed(fresh, [30] * 20)
    assert feed(fresh, [30 + 0.75 * fresh.threshold_ms] * 12, 1200)[-1] is Usage.NORMAL


def test_a_longer_route_is_overuse_for_a_while_only():
    detector = DelayDetector()
    feed(detector, [30] * 20)
    seen = feed(detector, [110] * 60, 1200)
    assert Usage.OVER in seen
    assert set(seen[-20:]) == {Usage.NORMAL}


def test_noise_raises_the_threshold():
    calm, noisy = DelayDetector(), DelayDetector()
    feed(calm, [30] * 100)
    feed(noisy, [30 + 25 * (i % 2) for i in range(100)])
    assert noisy.threshold_ms > 1.4 * calm.threshold_ms


def test_noise_of_any_size_is_learnt_and_a_queue_in_it_is_still_seen():
    detector, rng = DelayDetector(), random.Random(3)
    seen = feed(detector, [60 + rng.gauss(0, 40) for _ in range(300)])
    assert detector.noise_ms == pytest.approx(40, rel=0.4)
    assert seen[100:].count(Usage.OVER) <= 2
    assert feed(detector, [60 + 15 * i + rng.gauss(0, 40) for i in range(30)], 18_000)[-1] is Usage.OVER


def test_a_queue_that_comes_and_goes_is_no_noise():
    detector = DelayDetector()
    cycle = [30] * 40 + [30 + 20 * i for i in range(10)] + [230 - 20 * i for i in range(10)]
    feed(detector, cycle * 4)
    assert detector.noise_ms <= 4


def test_a_route_that_has_become_longer_is_told_from_a_queue():
    detector, longer = DelayDetector(), []
    feed(detector, [30] * 20)
    for index in range(20):
        feed(detector, [230], 1200 + 60 * index)
        longer.append(detector.is_longer)
    assert longer.count(True) == 1
    assert longer.index(True) <= 13
    feed(detector, [30] * 20, 2400)
    for index in range(60):
        feed(detector, [130 + 8 * (index % 12)], 3600 + 60 * index)
        assert not detector.is_longer
