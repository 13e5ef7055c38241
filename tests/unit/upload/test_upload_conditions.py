"""When recordings may leave, and what they wait for."""

from dataclasses import replace

import pytest

from agent.model.hours import parse_hours
from agent.upload.conditions import QUIET_S, Now, Rules, why_not

SUNDAY, MONDAY = 6, 0
GOOD = Now(MONDAY, 3 * 60, is_clock_set=True, viewers=0, left_s=1e9, signal="good", used_bytes=0)
NIGHTS = (parse_hours("mon-fri 22:00-05:00"),)


def test_nothing_is_in_the_way_of_who_set_no_rule():
    assert why_not(Rules(), GOOD) == ""
    assert why_not(Rules(), replace(GOOD, signal="poor", used_bytes=10**12)) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"viewers": 1}, "viewer"),
        ({"left_s": QUIET_S - 0.1}, "viewer"),
        ({"left_s": QUIET_S}, ""),
        ({"is_clock_set": False}, "clock"),
    ],
)
def test_who_watches_and_a_wrong_clock_are_always_in_the_way(changes, why):
    assert why_not(Rules(), replace(GOOD, **changes)) == why


@pytest.mark.parametrize(
    ("weekday", "minute", "why"),
    [
        (MONDAY, 22 * 60, ""),
        (MONDAY, 21 * 60 + 59, "hours"),
        (1, 4 * 60 + 59, ""),
        (1, 5 * 60, "hours"),
        (SUNDAY, 23 * 60, "hours"),
        (MONDAY, 3 * 60, "hours"),  # the night before began on a Sunday
    ],
)
def test_hours_are_the_devices_own_and_reach_over_midnight(weekday, minute, why):
    assert why_not(Rules(hours=NIGHTS), replace(GOOD, weekday=weekday, minute=minute)) == why


@pytest.mark.parametrize("least", ["weak", "fair", "good"])
@pytest.mark.parametrize("signal", ["poor", "weak", "fair", "good"])
def test_a_signal_is_enough_from_the_least_on(least, signal):
    order = ["poor", "weak", "fair", "good"]
    expected = "" if order.index(signal) >= order.index(least) else "signal"
    assert why_not(Rules(least_signal=least), replace(GOOD, signal=signal)) == expected


@pytest.mark.parametrize("signal", ["", "splendid"])
def test_without_a_modem_that_tells_no_signal_is_in_the_way(signal):
    assert why_not(Rules(least_signal="good"), replace(GOOD, signal=signal)) == ""


def test_a_plans_share_is_used_up_by_whatever_was_sent():
    rules = Rules(plan_bytes=500)
    assert why_not(rules, replace(GOOD, used_bytes=499)) == ""
    assert why_not(rules, replace(GOOD, used_bytes=500)) == "plan"
