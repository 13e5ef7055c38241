"""What is a step of the viewer's clock, and what an outage."""

import pytest

from agent.control.clock import ViewerClock

S = 1_000_000_000
HOUR_US = 3_600_000_000


def told(clock, sent_s, here_s, arrived_s, ahead_us=0):
    """One report."""
    newest_us = int(arrived_s * 1e6) + ahead_us
    return clock.has_stepped(newest_us - sent_s * 1e6, newest_us, int(here_s * S))


@pytest.mark.parametrize("ahead_us", [HOUR_US, -HOUR_US, 2_000_000, -2_000_000])
def test_a_step_is_seen_and_so_is_the_way_back(ahead_us):
    clock = ViewerClock()
    steps = [0, 0, ahead_us, ahead_us, 0, 0]
    seen = [told(clock, at, at + 0.1, at + 0.05, step_us) for at, step_us in enumerate(steps)]
    assert seen == [False, False, True, False, True, False]


@pytest.mark.parametrize("waits_s", [(10.0, 0.05), (0.05, 10.0), (10.0, 10.0)])
def test_an_outage_on_either_way_is_no_step(waits_s):
    clock = ViewerClock()
    for at, (there_s, back_s) in enumerate([(0.05, 0.05), waits_s, waits_s, (0.05, 0.05)]):
        assert not told(clock, at, at + there_s + back_s, at + there_s, HOUR_US)


def test_a_clock_that_drifts_between_rare_reports_has_not_stepped():
    clock = ViewerClock()
    for minute in range(10):
        assert not told(clock, 60 * minute, 60 * minute + 0.1, 60 * minute * (1 + 200e-6) + 0.05)
