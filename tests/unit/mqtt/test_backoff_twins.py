"""Two clients with one id: each connection ends the other's."""

import random

import pytest

from agent.mqtt.backoff import FREE_QUICK_ENDS, LONGEST_TRUCE_S, QUICK_S, Twins, pause_s


def takeovers(seconds, seed):
    """How often the id changes hands; the loser comes back after its pause."""
    random.seed(seed)
    twins, began_s, now_s, count = (Twins(), Twins()), 0.0, 0.0, 0
    holder = 0
    while True:
        loser = 1 - holder
        wait_s = twins[loser].truce_s(random.random()) or pause_s(0.0, 120.0, random.random())
        now_s += wait_s
        if now_s > seconds:
            return count
        twins[holder].on_end(now_s - began_s)
        holder, began_s, count = loser, now_s, count + 1


@pytest.mark.parametrize("seed", range(20))
def test_two_of_one_id_leave_each_other_in_peace_for_longer_and_longer(seed):
    assert takeovers(3600, seed) < 50
    assert takeovers(10 * 3600, seed) < 220


def test_a_few_quick_ends_are_no_twin():
    twins = Twins()
    for _ in range(FREE_QUICK_ENDS):
        twins.on_end(5.0)
    assert not twins.are_likely
    assert twins.truce_s(0.9) == 0.0


def test_a_broker_that_restarts_now_and_then_is_no_twin():
    twins = Twins()
    for _ in range(100):
        twins.on_end(2 * QUICK_S)
    assert not twins.are_likely


def test_a_link_that_fails_is_no_twin():
    twins = Twins()
    for _ in range(100):
        twins.on_end(5.0)
        twins.on_other_end()
    assert not twins.are_likely


def test_a_truce_is_random_and_bounded():
    twins = Twins()
    for _ in range(50):
        twins.on_end(1.0)
    assert twins.truce_s(0.0) == LONGEST_TRUCE_S / 2
    assert twins.truce_s(0.999) == pytest.approx(LONGEST_TRUCE_S, rel=0.01)
