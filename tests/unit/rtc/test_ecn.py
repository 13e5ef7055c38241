"""When packets carry ECT(1), and when no more."""

import logging

import pytest

from agent.rtc.ccfb import Ecn
from agent.rtc.ecn import FULL_NS, LATER_FULL_NS, MIN_TRIAL_PACKETS, TRIAL_NS, TRIAL_PACKETS, Marking, Path
from agent.rtc.ledger import Marks

DIRECT, OTHER = ("192.0.2.1", 5000), ("192.0.2.1", 6000)


@pytest.fixture
def marking():
    return Marking()


def send(marking, count=MIN_TRIAL_PACKETS):
    marking.ledger.take(1, 0, count)


def all_bare(count):
    return Marks(count, bare=count)


def test_a_direct_path_is_marked_and_a_relayed_one_is_not(marking):
    assert marking.follow(None, 0) == Ecn.NOT_ECT
    assert marking.follow(DIRECT, 0) == Ecn.ECT_1
    assert marking.follow(None, 1) == Ecn.NOT_ECT


def test_a_path_that_carries_marks_goes_on_with_them(marking, caplog):
    caplog.set_level(logging.INFO)
    marking.follow(DIRECT, 0)
    send(marking)
    marking.on_marks(Marks(8), 100)
    assert marking.follow(DIRECT, 10 * TRIAL_NS) == Ecn.ECT_1
    marking.on_marks(Marks(90, marked=90), 10 * TRIAL_NS)
    assert marking.follow(DIRECT, 10 * TRIAL_NS) == Ecn.ECT_1, "a queue may stand for long"
    marking.on_marks(Marks(8), 10 * TRIAL_NS)
    assert caplog.messages == ["ECN works on this path"], "once"


def test_a_viewer_that_changes_between_two_paths_fills_no_log(marking, caplog):
    caplog.set_level(logging.INFO)
    for now_ns in range(0, 20, 2):
        marking.follow(DIRECT, now_ns)
        marking.on_marks(Marks(8), now_ns)
        marking.follow(OTHER, now_ns + 1)
        marking.on_marks(all_bare(TRIAL_PACKETS), now_ns + 1)
    assert caplog.messages == ["ECN works on this path", "no ECN on this path: marks do not arrive"]


def test_a_path_that_takes_marks_off_is_given_up_and_told_of(marking, caplog):
    caplog.set_level(logging.INFO)
    marking.follow(DIRECT, 0)
    marking.on_marks(all_bare(TRIAL_PACKETS - 1), 100)
    assert marking.follow(DIRECT, 200) == Ecn.ECT_1
    assert not caplog.messages
    marking.on_marks(all_bare(1), 300)
    assert marking.follow(DIRECT, 400) == Ecn.NOT_ECT
    assert caplog.messages == ["no ECN on this path: marks do not arrive"]


def test_a_slow_stream_needs_fewer_packets_after_two_seconds(marking):
    marking.follow(DIRECT, 0)
    marking.on_marks(all_bare(MIN_TRIAL_PACKETS), TRIAL_NS - 1)
    assert marking.follow(DIRECT, TRIAL_NS - 1) == Ecn.ECT_1
    marking.on_marks(all_bare(1), TRIAL_NS)
    assert marking.follow(DIRECT, TRIAL_NS) == Ecn.NOT_ECT


def test_a_picture_that_takes_its_time_says_nothing_of_the_path(marking):
    for ms in range(0, 3000, 250):
        marking.follow(DIRECT, ms * 1_000_000)
    send(marking)
    assert marking.follow(DIRECT, 3 * TRIAL_NS) == Ecn.ECT_1, "no report can have come"
    assert marking.follow(DIRECT, 4 * TRIAL_NS) == Ecn.NOT_ECT


def test_a_pause_begins_no_new_trial(marking):
    marking.follow(DIRECT, 0)
    send(marking)
    marking.on_marks(Marks(MIN_TRIAL_PACKETS), 100)
    for seconds in range(10):
        marking.follow(DIRECT, seconds * 1_000_000_000)
    send(marking, 3)  # whose report is lost
    marking.follow(DIRECT, 10_000_000_000)
    send(marking)
    trial = marking.trial
    assert marking.follow(DIRECT, 20_000_000_000) == Ecn.ECT_1
    assert (marking.state, marking.trial) == (Path.MARKING, trial)


def test_where_nothing_that_is_marked_arrives_it_ends(marking, caplog):
    caplog.set_level(logging.INFO)
    marking.follow(DIRECT, 0)
    send(marking, MIN_TRIAL_PACKETS - 1)
    assert marking.follow(DIRECT, TRIAL_NS) == Ecn.ECT_1
    assert marking.follow(DIRECT, 2 * TRIAL_NS) == Ecn.ECT_1, "too few to tell"
    send(marking, 1)
    assert marking.follow(DIRECT, 2 * TRIAL_NS) == Ecn.ECT_1
    assert marking.follow(DIRECT, 3 * TRIAL_NS) == Ecn.NOT_ECT
    assert caplog.messages == ["no ECN on this path: nothing that has a mark arrives"]


def test_a_later_outage_is_not_blamed_on_marks(marking):
    marking.follow(DIRECT, 0)
    marking.on_marks(Marks(1), 100)
    send(marking, 1000)
    assert marking.follow(DIRECT, TRIAL_NS) == Ecn.ECT_1
    assert marking.follow(DIRECT, 60 * TRIAL_NS) == Ecn.NOT_ECT, "they may be why nothing is heard"
    marking.on_marks(Marks(), 61 * TRIAL_NS)
    send(marking)
    assert marking.follow(DIRECT, 62 * TRIAL_NS - 1) == Ecn.ECT_1
    marking.on_marks(Marks(8), 62 * TRIAL_NS - 1)
    assert marking.follow(DIRECT, 63 * TRIAL_NS - 1) == Ecn.ECT_1


def test_a_route_that_changes_later_to_one_that_loses_what_is_marked_is_seen(marking):
    marking.follow(DIRECT, 0)
    marking.on_marks(Marks(1), 100)
    send(marking)
    assert marking.follow(DIRECT, TRIAL_NS) == Ecn.ECT_1
    assert marking.follow(DIRECT, 2 * TRIAL_NS) == Ecn.NOT_ECT
    marking.on_marks(Marks(), 3 * TRIAL_NS)
    assert marking.follow(DIRECT, 3 * TRIAL_NS) == Ecn.ECT_1
    send(marking)
    marking.on_marks(Marks(), 3 * TRIAL_NS)  # of what left without
    assert marking.follow(DIRECT, 3 * TRIAL_NS) == Ecn.ECT_1
    assert marking.follow(DIRECT, 4 * TRIAL_NS) == Ecn.NOT_ECT
    marking.on_marks(Marks(), 5 * TRIAL_NS)
    assert marking.follow(DIRECT, 6 * TRIAL_NS) == Ecn.NOT_ECT, "once is enough"


@pytest.mark.parametrize(("before", "full_ns"), [((), FULL_NS), ((Marks(8),), LATER_FULL_NS)])
def test_a_path_that_sets_ce_whatever_is_sent_is_given_up(marking, before, full_ns):
    marking.follow(DIRECT, 0)
    for marks in before:
        marking.on_marks(marks, 0)
    for now_ns in range(0, full_ns, TRIAL_NS // 2):
        send(marking)
        marking.on_marks(Marks(MIN_TRIAL_PACKETS, marked=MIN_TRIAL_PACKETS), now_ns)
        assert marking.follow(DIRECT, now_ns) == Ecn.ECT_1, "a queue may stand for so long"
    marking.on_marks(Marks(1, marked=1), full_ns)
    assert marking.follow(DIRECT, full_ns) == Ecn.NOT_ECT


def test_who_is_told_to_mark_no_more_does_so_until_there_is_another_path(marking):
    marking.follow(DIRECT, 0)
    trial = marking.trial
    marking.give_up("others fill its queue", 50)
    assert marking.trial != trial
    marking.on_marks(Marks(), 100)
    assert marking.follow(DIRECT, 100) == Ecn.NOT_ECT
    assert marking.follow(OTHER, 200) == Ecn.ECT_1


def test_a_route_that_changes_later_to_one_that_takes_marks_off_is_seen(marking):
    marking.follow(DIRECT, 0)
    marking.on_marks(Marks(40), 100)
    marking.on_marks(all_bare(30), 200)
    marking.on_marks(Marks(10, bare=9), 300)
    marking.on_marks(all_bare(30), 400)
    assert marking.follow(DIRECT, 500) == Ecn.ECT_1, "never so many in a row"
    marking.on_marks(all_bare(30), 600)
    assert marking.follow(DIRECT, 700) == Ecn.NOT_ECT


def test_another_path_is_tried_anew(marking):
    marking.follow(DIRECT, 0)
    marking.on_marks(all_bare(TRIAL_PACKETS), 100)
    assert marking.follow(DIRECT, 200) == Ecn.NOT_ECT
    assert marking.follow(OTHER, TRIAL_NS) == Ecn.ECT_1
    send(marking)
    assert marking.follow(OTHER, TRIAL_NS) == Ecn.ECT_1
    assert marking.follow(OTHER, 2 * TRIAL_NS - 1) == Ecn.ECT_1
    assert marking.follow(OTHER, 2 * TRIAL_NS) == Ecn.NOT_ECT
