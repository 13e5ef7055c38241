"""Marks of an L4S queue: the bound by itself, and what it does on whole simulated links."""

import pytest
from netlab.shape import Shape, random_trace
from unit.control.conditions import CONDITIONS, link
from unit.control.simulator import simulate

from agent.control.aimd import Delivery, RateControl
from agent.control.bandwidth import BandwidthEstimator
from agent.control.delay import Usage
from agent.control.marks import FIRST_WEIGHT, FORGET_NS, QUIET_NS, WEIGHT, MarkLimit

MS = 1_000_000
S = 1_000_000_000
RTT_NS = 80 * MS
START_NS = 100 * S
PACING_BPS, LEAST_BPS = 3_000_000, 150_000
SEEDS = (1, 2, 3)


def told(limit, *reports, start_ns=START_NS, every_ns=RTT_NS, pacing_bps=PACING_BPS):
    """The time after so many reports of (received, marked), one a round trip."""
    now_ns = start_ns
    for received, marked in reports:
        limit.update(received, marked, pacing_bps, LEAST_BPS, RTT_NS, now_ns)
        now_ns += every_ns
    return now_ns


def test_without_a_mark_there_is_no_bound():
    limit = MarkLimit()
    told(limit, *[(20, 0)] * 100)
    assert (limit.is_on, limit.pacing_bps, limit.target_bps, limit.share) == (False, None, None, 0.0)


def test_the_first_marks_cut_what_packets_left_at():
    limit = MarkLimit()
    told(limit, (20, 10))
    assert limit.share == 0.5 * FIRST_WEIGHT
    assert limit.pacing_bps == int(PACING_BPS * (1 - limit.share / 2))
    assert limit.target_bps < limit.pacing_bps


def test_the_mean_over_round_trips_decides_how_much():
    limit = MarkLimit()
    now_ns = told(limit, (20, 20))
    before, share = limit.pacing_bps, limit.share
    told(limit, (20, 20), start_ns=now_ns)
    assert limit.share == pytest.approx(share + (1 - share) * WEIGHT)
    assert limit.pacing_bps == pytest.approx(before * (1 - limit.share / 2), rel=0.02)


def test_there_is_one_cut_a_round_trip_with_all_reports_in_it():
    limit = MarkLimit()
    told(limit, (20, 20))
    before, share = limit.pacing_bps, limit.share
    told(limit, (10, 10), (10, 0), (20, 0), start_ns=START_NS + RTT_NS // 4, every_ns=RTT_NS // 4)
    assert limit.pacing_bps >= before
    told(limit, (10, 0), start_ns=START_NS + RTT_NS)
    assert limit.pacing_bps < before
    assert limit.share == pytest.approx(share + (10 / 50 - share) * WEIGHT)


def test_what_leaves_slower_than_the_bound_and_is_marked_all_the_same_is_cut_from_there():
    limit = MarkLimit()
    now_ns = told(limit, (20, 20))
    told(limit, (20, 20), start_ns=now_ns, pacing_bps=500_000)
    assert limit.pacing_bps < 500_000


def test_marks_now_and_then_let_it_grow_slowly_and_a_longer_time_without_faster():
    limit = MarkLimit()
    now_ns = told(limit, (20, 20), (20, 1))
    before = limit.pacing_bps
    now_ns = told(limit, *[(20, 0)] * 4, start_ns=now_ns)
    soon = limit.pacing_bps / before
    before = limit.pacing_bps
    now_ns = told(limit, *[(20, 0)] * (QUIET_NS // RTT_NS), start_ns=now_ns)
    before = limit.pacing_bps
    told(limit, *[(20, 0)] * 4, start_ns=now_ns)
    assert 1.01 < soon < 1.08
    assert limit.pacing_bps / before > soon * 1.05


def test_long_without_a_mark_the_bound_is_gone_and_the_next_mark_is_news():
    limit = MarkLimit()
    now_ns = told(limit, (20, 20))
    now_ns = told(limit, *[(20, 0)] * (FORGET_NS // RTT_NS + 1), start_ns=now_ns)
    assert not limit.is_on
    told(limit, (20, 4), start_ns=now_ns)
    assert limit.share == 0.2 * FIRST_WEIGHT


def test_a_mark_after_long_without_is_news_also_where_nothing_was_told_meanwhile():
    limit = MarkLimit()
    now_ns = told(limit, (20, 20))
    told(limit, (20, 4), start_ns=now_ns + FORGET_NS)
    assert limit.share == 0.2 * FIRST_WEIGHT


@pytest.mark.parametrize("seconds", [2, 20])
def test_however_long_all_is_marked_the_bound_is_soon_up_again(seconds):
    limit = MarkLimit()
    now_ns = told(limit, *[(20, 20)] * (seconds * S // RTT_NS))
    assert limit.target_bps == LEAST_BPS
    told(limit, *([(20, 0)] * 4 + [(20, 1)]) * (20 * S // RTT_NS // 5), start_ns=now_ns)
    assert limit.target_bps >= 1_000_000


def test_a_mark_is_no_reason_to_try_before_a_loss_is_over():
    rate = RateControl(1_500_000, LEAST_BPS, 6_000_000)
    rate.limit(1_000_000, START_NS + 60 * S)
    rate.meet(900_000, START_NS)
    for tenths in range(100):
        delivery = Delivery(rate.target_bps, rate.target_bps, rate.target_bps, RTT_NS)
        rate.update(Usage.NORMAL, 0.0, delivery, START_NS + tenths * S // 10)
    assert rate.target_bps <= 1_100_000


# ---- with all the rest


def l4s_link(mbps, queue_bytes, mark_ms=1.0, **rest):
    return link(mbps, queue_bytes, mark_ms=mark_ms, **rest)


@pytest.mark.parametrize("name", ["steady", "loss-2", "fall", "outages", "policer", "upload", "deaf-30"])
def test_where_nothing_is_marked_all_is_as_without(name):
    """A viewer that reports marks, and one that does not: packet for packet the same."""
    condition = CONDITIONS[name]
    runs = [
        simulate(condition.uplink, 30, start_bps=1_500_000, l4s=l4s, **condition.more)
        for l4s in (False, True)
    ]
    first, second = runs
    assert first.samples == second.samples
    assert first.sent == second.sent
    assert first.played == second.played


# At 1.5 Mb/s each packet takes 6.5 ms, and the queue says nothing of one that waits for another.
@pytest.mark.parametrize(
    ("mbps", "queue_bytes", "used", "wait_ms"),
    [(8, 300_000, 0.85, 6), (4, 150_000, 0.85, 12), (1.5, 60_000, 0.85, 32)],
)
def test_marks_keep_the_queue_short_and_the_link_in_use(mbps, queue_bytes, used, wait_ms):
    start_bps = min(1_500_000, int(mbps * 1e6))
    without, marked = (
        [
            simulate(
                l4s_link(mbps, queue_bytes), 40, l4s=l4s, report_ms=40, start_bps=start_bps,
                max_bps=12_000_000, seed=seed,
            )
            for seed in SEEDS
        ]
        for l4s in (False, True)
    )  # fmt: skip
    for before, after in zip(without, marked, strict=True):
        assert after.wait_ms(0.95) <= wait_ms
        assert after.wait_ms(0.95) <= 0.75 * before.wait_ms(0.95)
        assert after.delay_ms(0.95) <= before.delay_ms(0.95) + 40
        assert after.mean_bps(5, 40) >= used * mbps * 1e6
        assert after.freezes()[0] <= before.freezes()[0]
        assert after.dropped_frames == 0


@pytest.mark.parametrize(
    ("delay_ms", "mark_ms", "more"),
    [(10.0, 1.0, {}), (100.0, 1.0, {}), (30.0, 2.0, {}), (30.0, 1.0, {"loss": 0.02})],
    ids=["near", "far", "2 ms", "loss"],
)
def test_routes_of_any_length_and_losses_are_met_as_well(delay_ms, mark_ms, more):
    shape = l4s_link(4, 150_000, mark_ms, delay_ms=delay_ms, **more)
    without, marked = (
        simulate(shape, 40, l4s=l4s, report_ms=40, return_ms=delay_ms) for l4s in (False, True)
    )
    assert marked.wait_ms(0.95) <= 0.5 * without.wait_ms(0.95)
    assert marked.mean_bps(5, 40) >= 0.82 * 4e6


@pytest.mark.parametrize(("lateness_ms", "used"), [(1.0, 0.78), (2.0, 0.65)])
def test_a_sender_that_is_a_little_late_still_fills_most_of_the_link(lateness_ms, used):
    run = simulate(l4s_link(4, 150_000), 40, l4s=True, report_ms=40, lateness_ms=lateness_ms)
    assert run.mean_bps(5, 40) >= used * 4e6


def test_a_link_that_was_nearly_away_is_used_again_soon():
    changes = [(10, {"rate_bps": 0.09e6}), (30, {"rate_bps": 4e6})]
    run = simulate(l4s_link(4, 150_000), 60, l4s=True, report_ms=40, changes=changes)
    assert run.reaches(1e6, 30) <= 15


def test_steps_of_the_capacity_are_followed_with_less_of_a_queue():
    changes = [(20, {"rate_bps": 1.2e6}), (40, {"rate_bps": 3e6})]
    without, marked = (
        simulate(l4s_link(4, 150_000), 60, l4s=l4s, report_ms=40, changes=changes) for l4s in (False, True)
    )
    assert marked.wait_ms(0.95) <= 0.5 * without.wait_ms(0.95)
    assert marked.mean_bps(23, 40) >= 0.8 * 1.2e6
    assert marked.reaches(0.8 * 3e6, 40) <= 8


def test_a_radio_link_that_wanders_is_used_with_less_of_a_queue():
    shape = Shape(trace=random_trace(12, 60, 3e6), queue_bytes=300_000, delay_ms=20, mark_ms=1.0)
    without, marked = (simulate(shape, 60, l4s=l4s, report_ms=40) for l4s in (False, True))
    assert marked.wait_ms(0.95) <= 0.5 * without.wait_ms(0.95)
    assert marked.delay_ms(0.95) <= without.delay_ms(0.95)
    assert marked.mean_bps(5, 60) >= 0.6 * 3e6


def test_a_link_that_carries_all_is_not_held_back():
    run = simulate(l4s_link(20, 300_000), 40, l4s=True, report_ms=40)
    assert run.mean_bps(10, 40) >= 0.9 * 6e6


def test_a_queue_that_an_upload_fills_is_shared_though_all_of_ours_is_marked():
    """No L4S queue, where the upload would wait in another one: its marks are no reason to give way."""
    shape = l4s_link(3, 100_000, delay_ms=20)
    runs = [simulate(shape, 60, l4s=True, report_ms=40, upload_s=3.0, seed=seed) for seed in SEEDS]
    assert sum(run.mean_bps(10, 60) for run in runs) / 3 >= 300e3
    assert min(run.rival_bps(10, 60) for run in runs) >= 0.4 * 3e6


def test_after_an_outage_the_path_may_be_another_one():
    estimator, now_ns = BandwidthEstimator(1_500_000, 100_000, 6_000_000), START_NS
    for seq in range(60):
        estimator.on_sent(seq, [1000], now_ns)
        estimator.on_marks(1, 1, now_ns + 40 * MS)
        estimator.on_feedback(seq, [(now_ns + 20 * MS) // 1000], now_ns + 40 * MS)
        now_ns += 50 * MS
    assert estimator.is_marked
    estimator.on_sent(60, [1000], now_ns)
    estimator.on_feedback(60, [(now_ns + 3 * S) // 1000], now_ns + 3 * S)
    assert not estimator.is_marked
