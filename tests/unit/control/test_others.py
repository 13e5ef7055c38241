"""Whose queue it is: what is asked, when, and what the answer says."""

import pytest

from agent.control.others import ASKING_NS, FLAT_NS, STANDS_NS, STEPS, Others

S = 1_000_000_000
RTT_NS = 200_000_000


@pytest.fixture
def cut():
    """A queue stands on a link of 3 Mb/s, and at 10 s we send a third of that."""
    others = Others()
    others.begin(3_000_000)
    assert not others.update(2_000_000, 9 * S, 9 * S + RTT_NS), "it may yet drain"
    others.update(1_000_000, 10 * S - RTT_NS, 10 * S)
    return others


def follow(others, sent_ns):
    """One report of what left then."""
    return others.update(1_000_000, sent_ns, sent_ns + RTT_NS)


def test_a_train_is_sent_once_what_left_after_the_cut_still_meets_a_queue(cut):
    assert not follow(cut, 10 * S + STANDS_NS - 1)
    assert follow(cut, 10 * S + STANDS_NS)
    cut.on_asked(10 * S + STANDS_NS + RTT_NS)
    assert not follow(cut, 10 * S + STANDS_NS + RTT_NS), "the first one is on its way"
    assert follow(cut, 10 * S + 2 * STANDS_NS + RTT_NS)
    assert not follow(cut, 10 * S + ASKING_NS), "it is a longer route"


@pytest.mark.parametrize(("train_bps", "is_others"), [(1_050_000, False), (2_500_000, True)])
def test_a_train_that_is_faster_than_all_else_was_among_others(cut, train_bps, is_others):
    follow(cut, 10 * S + STANDS_NS)
    assert cut.on_train(train_bps, 1_000_000, 11 * S) == cut.is_on == is_others


def test_a_train_that_nobody_asked_for_says_nothing():
    others = Others()
    others.begin(3_000_000)
    assert not others.on_train(3_000_000, 100_000, 11 * S)


@pytest.mark.parametrize(("low_ms", "is_route"), [(190.0, True), (150.0, False)])
def test_a_queue_that_stands_still_is_a_longer_route(cut, low_ms, is_route):
    follow(cut, 10 * S + STANDS_NS)
    cut.on_train(2_500_000, 1_000_000, 11 * S)
    assert not cut.is_route(200.0, 20.0, 12 * S)
    assert not cut.is_route(low_ms, 20.0, 11 * S + FLAT_NS - 1)
    assert cut.is_route(200.0, 20.0, 11 * S + FLAT_NS) == is_route


@pytest.mark.parametrize(
    ("targets_bps", "arrived_bps", "lost", "is_ours"),
    [
        ((600_000, 480_000), (500_000, 490_000), 0.0, True),
        ((800_000, 640_000), (500_000, 490_000), 0.3, True),  # overfilled by far
        ((600_000, 480_000), (500_000, 430_000), 0.0, False),  # it follows what we send: others have the rest
        ((600_000, 550_000), (500_000, 490_000), 0.0, False),  # nothing has made us send less
        ((1_500_000, 1_200_000), (500_000, 490_000), 0.0, False),  # a calm scene
    ],
)
def test_what_stands_still_under_a_cut_is_all_that_the_link_carries(
    cut, targets_bps, arrived_bps, lost, is_ours
):
    follow(cut, 10 * S + STANDS_NS)
    cut.on_train(2_500_000, 1_000_000, 11 * S)
    found = [
        cut.is_ours(targets_bps[i % 2], arrived_bps[i % 2], lost, 11 * S + i * S // 8)
        for i in range(STEPS + 10)
    ]
    assert found == (STEPS - 1) * [False] + 11 * [is_ours]


def test_it_ends_with_the_queue(cut):
    follow(cut, 10 * S + STANDS_NS)
    cut.on_train(2_500_000, 1_000_000, 11 * S)
    cut.end()
    assert (cut.is_on, cut.is_asking, cut.before_bps) == (False, False, 0)
    assert not follow(cut, 20 * S)
