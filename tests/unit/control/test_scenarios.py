"""Whole runs over emulated links: what a viewer would notice. Margins are wide enough for any seed."""

import pytest
from netlab.shape import Shape, random_trace
from unit.control.conditions import link
from unit.control.simulator import S, simulate

from agent.control.stream import START_BPS

MBPS = 1e6


# At 0.4 Mb/s each packet takes 24 ms.
@pytest.mark.parametrize(
    ("mbps", "queue_bytes", "queue_ms"), [(4, 150_000, 80), (1.5, 60_000, 80), (0.4, 30_000, 100)]
)
def test_a_steady_link_is_used_without_a_queue(mbps, queue_bytes, queue_ms):
    run = simulate(link(mbps, queue_bytes), 40, start_bps=min(START_BPS, int(mbps * MBPS)))
    assert run.mean_bps(5, 40) >= 0.80 * mbps * MBPS
    assert run.queue_ms(0.95) <= queue_ms
    assert run.freezes()[0] == 0
    assert run.dropped_frames == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_jittery_link_that_loses_two_percent_is_not_throttled(seed):
    shape = link(1.5, delay_ms=50, jitter_ms=20, loss=0.02)
    run = simulate(shape, 60, seed=seed)
    assert run.mean_bps(5, 60) >= 0.75 * 1.5 * MBPS
    assert run.queue_ms(0.95) <= 80
    assert run.delay_ms(0.95) <= 160


def test_parity_pays_where_packets_are_lost_and_a_retransmission_takes_long():
    shape = link(1.5, delay_ms=50, jitter_ms=20, loss=0.02)
    without, protected = (
        [simulate(shape, 60, seed=seed, parity=parity) for seed in (1, 2, 3)] for parity in (False, True)
    )
    assert sum(run.freezes()[0] for run in protected) <= sum(run.freezes()[0] for run in without) / 2
    assert all(
        one.delay_ms(0.95) < other.delay_ms(0.95) - 40 for one, other in zip(protected, without, strict=True)
    )


def test_parity_costs_nothing_where_it_would_not_pay():
    assert simulate(link(1.5, delay_ms=50), 30).parity_bytes == 0, "nothing is lost"
    near = simulate(link(1.5, delay_ms=5, loss=0.02), 30, return_ms=5)
    assert near.parity_bytes == 0, "what is lost comes again within two pictures"


def test_a_second_copy_of_a_resend_spares_freezes_where_there_is_no_parity():
    shape = link(1.5, delay_ms=20, loss=0.02)
    once, twice = (
        sum(simulate(shape, 60, seed=seed, copies=copies, parity=False).freezes()[0] for seed in (1, 2, 3))
        for copies in (1, 2)
    )
    assert twice < once


def test_steps_of_the_capacity_are_followed():
    changes = [(20, {"rate_bps": 1.2 * MBPS}), (40, {"rate_bps": 3 * MBPS})]
    run = simulate(link(4, 200_000), 60, changes=changes)
    assert run.mean_bps(5, 20) >= 0.85 * 4 * MBPS
    assert run.mean_bps(22, 40) >= 0.80 * 1.2 * MBPS
    assert run.mean_bps(45, 60) >= 0.85 * 3 * MBPS
    assert run.target_below(1.25 * MBPS, 20) <= 1.0
    assert run.reaches(0.85 * 3 * MBPS, 40) <= 5.0
    assert run.queue_ms(0.95) <= 150


def test_an_outage_is_met_with_silence_and_the_rate_is_back_soon():
    changes = [
        (15, {"rate_bps": 0.4 * MBPS}),
        (25, {"rate_bps": 1.5 * MBPS}),
        (35, {"is_up": False}),
        (40, {"is_up": True}),
    ]
    run = simulate(link(1.5, delay_ms=50), 60, changes=changes)
    count, frozen_s = run.freezes()
    assert count <= 4
    assert frozen_s <= 6.5
    assert run.reaches(0.80 * 1.5 * MBPS, 40) <= 5.0
    assert run.mean_bps(17, 25) >= 0.85 * 0.4 * MBPS
    silent = [sent for sent in run.sent if 37 * S <= sent < 40 * S]
    assert 5 <= len(silent) <= 40  # enough to notice the end of it, too few to flood what comes back


@pytest.mark.parametrize("loss", [0.05, 0.08])
def test_loss_that_is_not_ours_does_not_throttle(loss):
    run = simulate(link(1.5, loss=loss), 60)
    assert run.mean_bps(5, 60) >= 0.60 * 1.5 * MBPS


def test_a_link_without_a_queue_to_speak_of_is_not_overrun():
    run = simulate(link(1.5, queue_bytes=9_000), 60)
    assert run.lost_packets <= 0.04 * run.sent_packets
    assert run.mean_bps(5, 60) >= 0.70 * 1.5 * MBPS


def test_lost_feedback_is_not_lost_media():
    run = simulate(link(1.5), 40, feedback_loss=0.2)
    assert run.mean_bps(5, 40) >= 0.75 * 1.5 * MBPS
    assert run.queue_ms(0.95) <= 120


def test_a_longer_route_is_no_queue():
    run = simulate(link(1.5), 40, changes=[(15, {"delay_ms": 110.0})])
    assert run.mean_bps(22, 40) >= 0.75 * 1.5 * MBPS


def test_a_wandering_link_is_used_better_and_quicker_than_at_a_fixed_rate():
    ours_ms = fixed_ms = 0.0
    for seed in (1, 2, 3, 4):
        shape = Shape(trace=random_trace(seed, 60, 1.5 * MBPS), queue_bytes=100_000, delay_ms=30)
        ours = simulate(shape, 60)
        fixed = simulate(shape, 60, start_bps=1_200_000, min_bps=1_200_000, max_bps=1_200_001)
        ours_ms, fixed_ms = ours_ms + ours.delay_ms(0.95), fixed_ms + fixed.delay_ms(0.95)
        assert ours.mean_bps(5, 60) >= 0.6 * 1.5 * MBPS
    assert ours_ms < 0.7 * fixed_ms


def test_a_calm_scene_costs_little_and_a_busy_one_finds_its_rate_proven():
    run = simulate(link(3, 150_000), 30, share=0.2)
    assert run.padding_bytes * 8 / 30 <= 0.05 * 3 * MBPS
    assert run.samples[-1].target_bps >= 0.6 * 3 * MBPS
    assert run.queue_ms(0.95) <= 40


def test_a_run_repeats_exactly():
    first, second = (
        simulate(link(1.5, jitter_ms=10, loss=0.01), 5, upload_s=1, lateness_ms=2) for _ in range(2)
    )
    assert first.played == second.played
    assert first.rival == second.rival
    assert first.samples == second.samples


@pytest.mark.parametrize("seed", [4, 5])
def test_after_a_short_fall_the_link_is_soon_used_again(seed):
    falls = (15, 25, 35)
    changes = [
        change
        for at in falls
        for change in ((at, {"rate_bps": 0.2 * MBPS}), (at + 1.5, {"rate_bps": 3 * MBPS}))
    ]
    run = simulate(link(3, 100_000), 45, changes=changes, seed=seed)
    assert max(run.reaches(2.2 * MBPS, at + 1.5) for at in falls) <= 4


def test_where_the_capacity_falls_to_a_sixth_few_pictures_come_late():
    changes = [
        change
        for at in range(6, 36, 4)
        for change in ((at, {"rate_bps": 1 * MBPS}), (at + 1, {"rate_bps": 6 * MBPS}))
    ]
    runs = [simulate(link(6, 300_000), 38, changes=changes, seed=seed) for seed in (1, 2, 3)]
    assert sum(run.delay_ms(0.95) for run in runs) / 3 <= 390
    assert min(run.mean_bps(5, 38) for run in runs) >= 2 * MBPS


@pytest.mark.parametrize("from_s", [0, 3])
def test_when_an_upload_is_over_the_link_is_ours_again_without_a_queue(from_s):
    """Whether it was there before us or not."""
    run = simulate(link(3, 100_000), 50, upload_s=from_s, upload_until_s=25)
    assert run.mean_bps(15, 25) >= 0.2 * 3 * MBPS
    assert run.mean_bps(32, 50) >= 0.85 * 3 * MBPS
    assert run.queue_ms(0.95, 32) <= 80


@pytest.mark.parametrize(
    ("mbps", "queue_bytes", "loss"),
    [(0.5, 60_000, 0), (0.5, 100_000, 0), (0.5, 100_000, 0.02), (0.7, 100_000, 0), (0.3, 60_000, 0)],
)
def test_when_an_upload_is_over_on_a_link_that_fell_meanwhile_the_queue_goes(mbps, queue_bytes, loss):
    """It is full of our own by then, and no other end of it comes."""
    changes = [(15, {"rate_bps": mbps * MBPS})]
    run = simulate(link(3, queue_bytes, loss=loss), 60, changes=changes, upload_s=3, upload_until_s=20)
    assert run.queue_ms(0.95, 40) <= 250
    assert run.mean_bps(40, 60) >= 0.7 * mbps * MBPS


def test_a_longer_and_noisy_route_is_not_taken_for_an_upload():
    run = simulate(link(1.5, 100_000, jitter_ms=20), 60, changes=[(15, {"delay_ms": 180.0})])
    assert run.mean_bps(25, 60) >= 0.75 * 1.5 * MBPS
    assert run.queue_ms(0.95, 25) <= 120


def test_a_link_that_dips_all_the_time_is_not_probed_after_each_dip():
    changes = [
        change
        for at in range(6, 40, 2)
        for change in ((at, {"rate_bps": 0.4 * MBPS}), (at + 0.4, {"rate_bps": 2 * MBPS}))
    ]
    run = simulate(link(2, 200_000), 40, changes=changes)
    assert run.padding_bytes * 8 / 40 <= 0.027 * 2 * MBPS
    assert run.mean_bps(5, 40) >= 0.45 * MBPS
