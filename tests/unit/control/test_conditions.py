"""What each kind of link must give its viewer: floors with a margin for other seeds."""

import pytest
from unit.control.conditions import CONDITIONS, SETTLE_S, link
from unit.control.simulator import simulate


def run(name, seed):
    """The run, and the share of the link's capacity that arrived."""
    condition = CONDITIONS[name]
    done = condition.run(seed)
    return done, done.mean_bps(SETTLE_S, condition.seconds) / condition.mean_bps


@pytest.mark.parametrize(("ms", "share", "frozen_s"), [(20, 0.85, 0.5), (50, 0.75, 0.5), (100, 0.55, 5)])
def test_jitter_starves_nobody(ms, share, frozen_s):
    done, used = run(f"jitter-{ms}", 1)
    assert used >= share
    assert done.freezes()[1] <= frozen_s


def test_a_busy_sender_sees_no_queue_where_there_is_none():
    done, used = run("busy-cpu", 1)
    assert used >= 0.7
    assert done.delay_ms(0.95) <= 150
    assert done.dropped_frames == 0


@pytest.mark.parametrize("name", ["policer", "policer-3"])
def test_a_policer_is_not_overrun_again_and_again(name):
    runs = [run(name, seed) for seed in (1, 2, 3)]
    assert min(used for _, used in runs) >= 0.8
    assert sum(done.lost_packets / done.sent_packets for done, _ in runs) / 3 <= 0.04
    assert sum(done.freezes()[1] for done, _ in runs) / 3 <= 1.5


def test_a_policer_that_falls_is_no_link_that_loses():
    for seed in (1, 2, 3):
        done, _ = run("policer-falls", seed)
        assert done.lost_packets <= 0.06 * done.sent_packets
        assert done.freezes()[1] <= 7
        assert done.samples[-1].target_bps <= 2_200_000


def test_after_a_short_outage_the_picture_goes_on_within_two_round_trips():
    """A third of a second fourteen times: what was lost is known, asked for and there after two more."""
    runs = [run("outages", seed) for seed in (1, 2, 3)]
    assert min(used for _, used in runs) >= 0.8
    assert sum(done.freezes()[1] for done, _ in runs) / 3 <= 14 * (0.3 + 2 * 0.13)


def test_bursts_of_loss_that_are_the_links_own_do_not_throttle():
    runs = [run("bursty", seed) for seed in (1, 2, 3)]
    assert sum(used for _, used in runs) / 3 >= 0.75
    assert sum(done.freezes()[1] for done, _ in runs) / 3 <= 10


def test_a_link_that_loses_a_fifth_freezes_no_longer_than_its_round_trips_take():
    runs = [run("loss-20", seed) for seed in (1, 2, 3)]
    assert sum(used for _, used in runs) / 3 >= 0.6
    assert sum(done.freezes()[1] for done, _ in runs) / 3 <= 10
    assert sum(done.keyframes for done, _ in runs) / 3 <= 15


@pytest.mark.parametrize(("name", "share", "frozen_s"), [("far", 0.8, 4), ("farther", 0.7, 5)])
def test_a_long_route_is_no_queue(name, share, frozen_s):
    runs = [run(name, seed) for seed in (1, 2, 3)]
    assert min(used for _, used in runs) >= share
    assert sum(done.freezes()[1] for done, _ in runs) / 3 <= frozen_s


@pytest.mark.parametrize(("name", "longest_s"), [("upload", 1.5), ("upload-slow", 1.5), ("upload-deep", 4.5)])
def test_beside_an_upload_both_get_their_share(name, longest_s):
    """Where its queue is 0.8 s long, what is lost takes as long to come again."""
    runs = [CONDITIONS[name].run(seed) for seed in (1, 2, 3)]
    assert sum(done.mean_bps(SETTLE_S, 60) for done in runs) / 3 >= 300e3
    assert min(done.rival_bps(SETTLE_S, 60) for done in runs) >= 0.4 * CONDITIONS[name].mean_bps
    assert max(done.longest_freeze_s(SETTLE_S) for done in runs) <= longest_s


def test_lost_reports_do_not_look_like_a_slower_link():
    done, used = run("deaf-30", 1)
    assert used >= 0.85
    assert done.freezes()[1] <= 1


def test_a_loss_that_begins_is_soon_known_to_be_the_links_own():
    for seed in (1, 2, 3):
        done = simulate(link(4), 40, seed=seed, start_bps=1_500_000, changes=[(20, {"loss": 0.2})])
        assert min(sample.target_bps for sample in done.samples if sample.at_s >= 30) >= 2_000_000
