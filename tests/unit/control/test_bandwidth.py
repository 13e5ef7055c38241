"""The estimator by itself: what it does with what a viewer says, true or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control.bandwidth import BandwidthEstimator

MS = 1_000_000
S = 1_000_000_000


class Lane:
    """Packets of 1000 bytes, one each 8 ms (1 Mb/s), reported each 64 ms or after more of them."""

    def __init__(self, estimator, start_ns=0, packets=8):
        self.estimator, self.now, self.seq, self.packets = estimator, start_ns, 0, packets

    def run(self, seconds, delay_ms=lambda _seq: 20.0, is_lost=lambda _seq: False, is_heard=True):
        for _ in range(int(seconds * S / (8 * self.packets * MS))):
            report, first = [], self.seq & 0xFFFF
            for _ in range(self.packets):
                self.estimator.on_sent(self.seq & 0xFFFF, [1000], self.now)
                arrival_us = self.now // 1000 + int(delay_ms(self.seq) * 1000)
                report.append(None if is_lost(self.seq) else arrival_us)
                self.seq += 1
                self.now += 8 * MS
            if is_heard:
                self.estimator.on_feedback(first, report, self.now)
        return self.estimator.target_bps(self.now)


def estimator(start_bps=1_000_000):
    return BandwidthEstimator(start_bps, 100_000, 10_000_000)


def test_without_a_queue_it_climbs_but_not_beyond_what_was_proven():
    target_bps = Lane(estimator()).run(10)
    assert 1_300_000 < target_bps <= 1_500_000


def test_a_growing_queue_takes_it_below_what_arrives():
    lane = Lane(estimator())
    lane.run(2)
    first = lane.seq
    # Packets leave at 1 Mb/s and arrive at 0.5: each waits 8 ms longer than the one before it.
    assert lane.run(0.6, delay_ms=lambda seq: 20 + 8 * (seq - first)) < 500_000


def test_a_drained_queue_brings_most_of_the_capacity_back():
    lane = Lane(estimator())
    lane.run(2)
    first = lane.seq
    low = lane.run(0.5, delay_ms=lambda seq: 20 + 2 * (seq - first))
    assert lane.run(1.5) > low


def test_the_clock_of_the_viewer_may_drift():
    # 200 ppm is more than any crystal; in a minute it looks like 12 ms of queue.
    lane = Lane(estimator())
    assert lane.run(60, delay_ms=lambda seq: 20 + seq * 8 * 200e-6) > 1_300_000


HOUR_MS = 3_600_000


def test_one_report_by_a_clock_an_hour_ahead_changes_nothing():
    lane = Lane(estimator())
    before = lane.run(10)
    lane.run(0.07, delay_ms=lambda _: HOUR_MS)
    assert lane.run(2) >= before


@pytest.mark.parametrize("stepped_ms", [HOUR_MS, -HOUR_MS])
def test_after_a_step_of_the_viewers_clock_a_queue_is_still_seen(stepped_ms):
    lane = Lane(estimator())
    lane.run(10)
    before = lane.run(5, delay_ms=lambda _: stepped_ms)
    first = lane.seq
    assert lane.run(1, delay_ms=lambda seq: stepped_ms + 8 * (seq - first)) < 0.4 * before


@given(st.lists(st.integers(-(2**40), 2**40), max_size=20))
def test_whatever_clock_a_viewer_had_honest_reports_bring_the_rate_back(clocks_ms):
    lane = Lane(estimator())
    for ahead_ms in clocks_ms:
        lane.run(0.07, delay_ms=lambda _, ahead_ms=ahead_ms: ahead_ms)
    assert lane.run(20) > 800_000


def test_silence_is_an_outage_and_ends_with_a_probe():
    one = estimator()
    lane = Lane(one)
    before = lane.run(5)
    lane.run(1, is_heard=False)
    assert one.is_stalled(lane.now)
    assert one.allowance_bytes(lane.now) == 0
    assert one.target_bps(lane.now) <= before // 2
    probe = one.probe_due(lane.now + 200 * MS)
    assert probe is not None
    assert probe.size_bytes <= 300
    lane.run(0.2)
    assert not one.is_stalled(lane.now)
    assert one.target_bps(lane.now) < 0.7 * before
    assert one.probe_due(lane.now).rate_bps >= 0.7 * before


@pytest.mark.parametrize(("usual", "is_out"), [([True], True), ([True, False, False], False)])
def test_a_quarter_of_a_second_of_silence_is_an_outage_where_reports_are_not_often_lost(usual, is_out):
    one = estimator()
    lane = Lane(one)
    for is_heard in usual * 60:
        lane.run(0.07, is_heard=is_heard)
    lane.run(0.07)
    lane.run(0.07)
    assert not one.is_stalled(lane.now)
    lane.run(0.26, is_heard=False)
    assert one.is_stalled(lane.now) == is_out


@pytest.mark.parametrize("packets", [8, 32, 50, 62])
def test_a_receiver_that_reports_seldom_is_no_outage_and_has_a_window_for_it(packets):
    one = estimator()
    lane = Lane(one, packets=packets)
    assert lane.run(20) > 1_300_000
    one.set_max_bps(1_000_000)
    for _ in range(packets):
        assert not one.is_stalled(lane.now)
        assert one.allowance_bytes(lane.now) > 0
        one.on_sent(lane.seq & 0xFFFF, [1000], lane.now)
        lane.seq += 1
        lane.now += 8 * MS
    assert one.is_stalled(lane.now + 260 * MS)


def test_packets_on_their_way_use_the_window_up():
    one = estimator()
    lane = Lane(one)
    target_bps = lane.run(2)
    open_bytes = one.allowance_bytes(lane.now)
    assert 0.08 * target_bps / 8 < open_bytes < 0.25 * target_bps / 8
    for seq in range(lane.seq, lane.seq + 100):
        one.on_sent(seq & 0xFFFF, [1000], lane.now)
    assert one.allowance_bytes(lane.now) == 0


def test_a_probe_that_arrives_as_it_left_raises_the_target():
    one = estimator()
    lane = Lane(one)
    before = lane.run(0.3)
    probe = one.probe_due(lane.now)
    assert probe.rate_bps > before
    report, sent_bytes, first = [], 0, lane.seq
    while sent_bytes < probe.size_bytes:
        one.on_sent(lane.seq, [1000], lane.now, probe.id)
        report.append(lane.now // 1000 + 20_000)
        lane.now += 8_000_000_000_000 // probe.rate_bps
        lane.seq, sent_bytes = lane.seq + 1, sent_bytes + 1000
    assert one.probe_due(lane.now) is None
    one.on_feedback(first, report, lane.now + 40 * MS)
    assert one.target_bps(lane.now) >= 0.85 * probe.rate_bps


def test_numbers_wrap_around():
    lane = Lane(estimator())
    lane.seq = 65_000
    assert lane.run(20) > 1_300_000


def test_eight_percent_lost_from_the_start_are_no_reason_to_stop():
    assert Lane(estimator()).run(20, is_lost=lambda seq: seq % 12 == 0) > 800_000


def test_loss_that_comes_with_our_rate_throttles():
    lane = Lane(estimator())
    before = lane.run(5)
    assert lane.run(3, is_lost=lambda seq: seq % 3 == 0) < 0.75 * before


def test_a_viewer_with_receiver_reports_alone_is_followed():
    one = estimator()
    for second in range(10):
        one.on_receiver_report(0.0, 0.1, second * S)
    risen = one.target_bps(10 * S)
    assert 1_300_000 < risen < 1_700_000
    for second in range(10, 15):
        one.on_receiver_report(0.5, 0.1, second * S)
    assert one.target_bps(15 * S) < 0.5 * risen
    assert one.loss == 0.5


def test_a_viewer_that_never_reports_on_each_packet_is_followed_by_its_receiver_reports():
    one = estimator()
    lane = Lane(one)
    lane.run(2, is_heard=False)
    one.on_receiver_report(0.0, 0.1, lane.now)
    lane.run(0.9, is_heard=False)
    one.on_receiver_report(0.0, 0.1, lane.now)
    assert one.target_bps(lane.now) <= 500_000  # half of it, and no more: next to nothing has left
    assert one.allowance_bytes(lane.now) == 0
    for _ in range(10):
        lane.run(1, is_heard=False)
        one.on_receiver_report(0.0, 0.1, lane.now)
        assert one.allowance_bytes(lane.now) > 20_000
        assert one.probe_due(lane.now) is None
    assert one.target_bps(lane.now) > 1_300_000
    lane.run(0.2)
    lane.run(1, is_heard=False)
    assert one.is_stalled(lane.now)  # since it has reported


def test_receiver_reports_of_loss_alone_do_not_end_the_wait_for_others():
    one = estimator()
    lane = Lane(one)
    for _ in range(5):
        lane.run(1, is_heard=False)
        one.on_receiver_report(0.5, 0.1, lane.now)
    assert one.allowance_bytes(lane.now) == 0


def test_a_viewers_own_estimate_limits_for_a_while():
    one = estimator()
    one.on_remb(300_000, 0)
    assert one.target_bps(1 * S) == 300_000
    assert one.target_bps(6 * S) == 1_000_000
    one.on_remb(0, 6 * S)
    assert one.target_bps(6 * S) == 100_000


arrivals = st.lists(st.one_of(st.none(), st.integers(-(2**50), 2**50)), max_size=40)


@given(st.lists(st.tuples(st.integers(0, 300), arrivals, st.integers(0, 500)), max_size=40))
def test_whatever_a_viewer_reports_the_target_stays_in_its_bounds(reports):
    one, now, seq = estimator(), 0, 0
    for base_seq, report, wait_ms in reports:
        now += wait_ms * MS
        if probe := one.probe_due(now):
            assert 0 < probe.size_bytes <= 200_000
        for _ in range(8):
            one.on_sent(seq & 0xFFFF, [1000], now, probe.id if probe else None)
            seq += 1
        one.on_feedback(base_seq, report, now)
        assert 50_000 <= one.target_bps(now) <= 10_000_000
        assert 0 <= one.allowance_bytes(now) <= 10_000_000
    lane = Lane(one, now)
    lane.seq = seq
    assert lane.run(20) > 800_000


@pytest.mark.parametrize("report", [(0, []), (5, [None]), (5, [0]), (40_000, [10])])
def test_a_report_about_nothing_changes_nothing(report):
    one = estimator()
    one.on_feedback(*report, 1 * S)
    assert one.target_bps(1 * S) == 1_000_000
    assert one.probe_due(1 * S) is None


def test_where_reports_are_often_lost_more_may_be_on_its_way():
    def allowance(heard):
        lane = Lane(estimator())
        for is_heard in heard:
            lane.run(0.07, is_heard=is_heard)
        lane.estimator.set_max_bps(500_000)  # the window follows the target
        return lane.estimator.allowance_bytes(lane.now)

    heard = [True] * 96
    assert allowance([True, False, True] * 32) >= 1.5 * allowance(heard)
    assert allowance([*heard[:48], False, *heard[48:]]) == allowance(heard)


def test_what_lost_feedback_covered_counts_as_delivered():
    lane = Lane(estimator())
    for _ in range(100):
        lane.run(0.064, is_heard=False)
        target_bps = lane.run(0.064)
    assert target_bps > 1_200_000


@given(st.lists(st.booleans(), max_size=80), st.integers(0, 400))
def test_no_pattern_of_lost_reports_stops_a_sender_for_ever(is_heard, delay_ms):
    one, seq, flying, sent_ns = estimator(), 0, [], []
    steps = [*is_heard, *[True] * 80]
    for step, heard in enumerate(steps):
        for now in range(step * 60 * MS, (step + 1) * 60 * MS, 10 * MS):
            probe = one.probe_due(now)
            if probe or one.allowance_bytes(now) > 0:
                one.on_sent(seq & 0xFFFF, [probe.size_bytes if probe else 1200], now, probe and probe.id)
                flying.append((seq & 0xFFFF, now + delay_ms * MS))
                sent_ns += [] if probe else [now]
                seq += 1
        now = (step + 1) * 60 * MS
        arrived = [at_ns // 1000 for _, at_ns in flying if at_ns <= now]
        first = flying[0][0] if arrived else 0
        del flying[: len(arrived)]
        if heard and arrived:
            one.on_feedback(first, arrived, now)
    late = [at for at in sent_ns if at >= (len(steps) - 30) * 60 * MS]
    assert len(late) * 1200 * 8 / 1.8 >= 100_000
