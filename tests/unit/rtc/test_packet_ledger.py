"""Reports by source become what transport-wide feedback says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rtc.ccfb import CongestionFeedback, Ecn, SourceReport
from agent.rtc.ledger import MAX_AGE_PACKETS, RING_PACKETS, Ledger, Marks

VIDEO, RTX, SOUND = 1, 2, 3


def said(ssrc, begin_seq, *packets):
    """What is said of a source: of each packet the time and the ECN field, or None."""
    times = [None if one is None else one[0] for one in packets]
    return SourceReport(ssrc, begin_seq & 0xFFFF, times, [0 if one is None else one[1] for one in packets])


def report(*sources):
    return CongestionFeedback(sources)


@pytest.fixture
def ledger():
    one = Ledger()
    one.begin_trial(1)
    return one


def bare(*times):
    return [None if at is None else (at, Ecn.ECT_1) for at in times]


def test_sources_are_merged_in_the_order_of_departure(ledger):
    assert ledger.take(VIDEO, 65534, 2) == 1
    assert ledger.take(SOUND, 7, 1) == 3
    assert ledger.take(VIDEO, 0, 1) == 4
    assert ledger.take(RTX, 100, 1) == 5
    found = ledger.settle(
        report(said(RTX, 100, *bare(50)), said(VIDEO, 65534, *bare(10, None, 40)), said(SOUND, 7, *bare(30)))
    )
    assert (found.base_seq, list(found.arrivals_us)) == (1, [10, None, 30, 40, 50])


def test_what_no_source_speaks_of_before_the_newest_is_lost(ledger):
    ledger.take(VIDEO, 0, 2)
    ledger.settle(report(said(VIDEO, 0, *bare(10, 20))))
    ledger.take(RTX, 5, 1)  # the only one of its source
    ledger.take(VIDEO, 2, 1)
    found = ledger.settle(report(said(VIDEO, 2, *bare(40))))
    assert (found.base_seq, list(found.arrivals_us)) == (3, [None, 40])


def test_a_report_that_was_lost_leaves_open_what_it_covered(ledger):
    ledger.take(VIDEO, 0, 6)
    ledger.settle(report(said(VIDEO, 0, *bare(10, 20))))
    found = ledger.settle(report(said(VIDEO, 4, *bare(50, 60))))
    assert (found.base_seq, list(found.arrivals_us)) == (5, [50, 60])


def test_what_overtook_another_is_reported_again_and_counted_once(ledger):
    ledger.take(VIDEO, 0, 4)
    first = ledger.settle(report(said(VIDEO, 0, (10, Ecn.CE), None, (30, Ecn.ECT_1))))
    again = ledger.settle(report(said(VIDEO, 1, (35, Ecn.CE), (30, Ecn.ECT_1), (40, Ecn.NOT_ECT))))
    assert first.marks == Marks(received=2, marked=1)
    assert (again.base_seq, list(again.arrivals_us)) == (4, [40])
    assert again.marks == Marks(received=1, bare=1)


def test_marks_are_of_the_trial_under_way(ledger):
    ledger.take(VIDEO, 0, 1)
    ledger.begin_trial(2)
    ledger.take(VIDEO, 1, 1)
    ledger.begin_trial(0)
    ledger.take(VIDEO, 2, 1)
    ledger.begin_trial(2)
    found = ledger.settle(report(said(VIDEO, 0, *[(10, Ecn.CE)] * 3)))
    assert found.marks == Marks(received=1, marked=1)
    assert len(found.arrivals_us) == 3


def test_another_sources_and_unknown_numbers_say_nothing(ledger):
    ledger.take(VIDEO, 0, 2)
    assert ledger.settle(report(said(99, 0, *bare(1, 2)))) is None
    assert ledger.settle(report(said(VIDEO, 500, *bare(1, 2)))) is None
    assert ledger.settle(report()) is None


def test_what_is_too_old_is_forgotten_though_its_number_comes_again(ledger):
    ledger.take(RTX, 9, 1)
    for seq in range(0, MAX_AGE_PACKETS, 64):
        ledger.take(VIDEO, seq, 64)
    assert ledger.settle(report(said(RTX, 9, *bare(1)))) is None
    old_seq = MAX_AGE_PACKETS - RING_PACKETS - 1
    assert ledger.settle(report(said(VIDEO, old_seq, *bare(1)))) is None
    assert ledger.settle(report(said(VIDEO, old_seq + 1, *bare(1)))) is not None


@given(
    st.lists(st.tuples(st.sampled_from([VIDEO, RTX, SOUND]), st.integers(1, 12)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_any_order_of_sources_gives_each_packet_its_own_arrival(runs, rng):
    ledger, next_seq, sent = Ledger(), dict.fromkeys((VIDEO, RTX, SOUND), 65530), []
    for ssrc, count in runs:
        first = ledger.take(ssrc, next_seq[ssrc] & 0xFFFF, count)
        sent += [(first + i & 0xFFFF, ssrc, next_seq[ssrc] + i) for i in range(count)]
        next_seq[ssrc] += count
    at = {(ssrc, seq): rng.choice((None, number * 100)) for number, ssrc, seq in sent}
    at[sent[-1][1:]] = 1_000_000
    sources = [
        said(ssrc, 65530, *bare(*(at[ssrc, seq] for seq in range(65530, end))))
        for ssrc, end in next_seq.items()
    ]
    rng.shuffle(sources)
    found = ledger.settle(report(*sources))
    assert (found.base_seq, len(found.arrivals_us)) == (sent[0][0], len(sent))
    assert list(found.arrivals_us) == [at[ssrc, seq] for _, ssrc, seq in sent]
