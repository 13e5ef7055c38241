"""What one device may say in a while, and that it takes nothing from the others."""

import pytest

from agent.signaling.quota import (
    BURST,
    KEEP_OUT_S,
    LOUD_S,
    MAX_DEVICES,
    MAX_DROPPED,
    MAX_LOUD,
    RATE_PER_S,
    UNIT_BYTES,
    Quotas,
)

NOW_S = 1_800_000_000.0


@pytest.fixture
def quotas():
    return Quotas()


def spend(quotas, device="loud", count=10_000, size=100, now=NOW_S):
    return sum(quotas.admits(device, size, now) for _ in range(count))


def test_a_burst_is_taken_and_the_rest_is_not(quotas):
    assert spend(quotas) == BURST
    assert quotas.admits("calm", 100, NOW_S)


def test_what_is_said_later_counts_by_the_rate(quotas):
    spend(quotas)
    assert spend(quotas, now=NOW_S + 2) == 2 * RATE_PER_S
    assert spend(quotas, now=NOW_S + 3600) == BURST


def test_a_long_message_costs_as_it_is_long(quotas):
    assert spend(quotas, size=9 * UNIT_BYTES) == BURST // 10


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_clock_that_steps_silences_nobody_and_opens_no_more_than_one_burst(quotas, step_s):
    spend(quotas)
    now = NOW_S + step_s
    assert spend(quotas, now=now) <= BURST
    assert spend(quotas, now=now + 2) == 2 * RATE_PER_S


def test_who_is_loud_is_named_for_a_minute(quotas):
    spend(quotas, count=int(BURST) + 7)
    spend(quotas, "calm", count=10)
    assert quotas.loud(NOW_S + 1) == {"loud": 7}
    assert quotas.loud(NOW_S + LOUD_S + 1) == {}
    spend(quotas, count=int(BURST) + 1, now=NOW_S + 3600)
    assert quotas.loud(NOW_S - 3600) == {}, "the clock was set back"


def test_who_does_not_stop_is_kept_out_for_a_while(quotas):
    spend(quotas, count=int(BURST) + MAX_DROPPED - 1)
    assert quotas.keep_out(NOW_S) == frozenset()
    spend(quotas, count=1)
    assert quotas.keep_out(NOW_S) == {"loud"}
    assert quotas.keep_out(NOW_S + KEEP_OUT_S - 1) == {"loud"}
    assert quotas.keep_out(NOW_S + KEEP_OUT_S) == frozenset()


def test_a_clock_that_is_set_back_keeps_nobody_out_for_longer(quotas):
    spend(quotas, count=int(BURST) + MAX_DROPPED)
    assert quotas.keep_out(NOW_S) == {"loud"}
    assert quotas.keep_out(NOW_S - 86400) == frozenset()


def test_what_is_kept_is_bounded_however_many_names_there_are(quotas):
    for number in range(2 * MAX_DEVICES):
        quotas.admits(f"d{number}", 10**9, NOW_S)
    assert len(quotas._buckets) == MAX_DEVICES
    assert len(quotas.loud(NOW_S)) == MAX_LOUD
