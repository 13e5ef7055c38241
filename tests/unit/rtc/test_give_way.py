"""A file beside a live picture takes what is left of the link, and lets go at once."""

import pytest

from agent.rtc.give_way import DELAY_S, FLOOR_BPS, MOST_BPS, START_BPS, STEP_S, GiveWay, Link

CALM = Link(0, 0.05, 0.0)


def test_while_the_link_is_calm_it_grows_to_the_most():
    way = GiveWay()
    for _ in range(round(10 / STEP_S)):
        way.look(CALM)
    assert way.rate_bps == MOST_BPS


@pytest.mark.parametrize(
    "crowded", [Link(100, 0.05, 0.0), Link(0, 0.05 + 2 * DELAY_S, 0.0), Link(0, 0.05, 0.1)],
    ids=["queue", "delay", "loss"],
)  # fmt: skip
def test_at_the_first_sign_it_gives_way_within_200_ms(crowded):
    way = GiveWay()
    for _ in range(100):
        way.look(CALM)
    before_bps = way.rate_bps
    for _ in range(round(0.2 / STEP_S)):
        way.look(crowded)
    assert way.rate_bps <= before_bps / 4
    for _ in range(30):
        way.look(crowded)
    assert way.rate_bps == FLOOR_BPS, "it never stops for good"


def test_a_link_that_is_slow_by_itself_is_not_taken_for_crowded():
    way = GiveWay()
    for _ in range(20):
        way.look(Link(0, 0.8, None))
    assert way.rate_bps > START_BPS


def test_without_a_word_of_the_link_it_goes_on():
    way = GiveWay()
    assert way.look(Link()) > START_BPS
