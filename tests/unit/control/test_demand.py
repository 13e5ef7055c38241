"""One demand from many viewers."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from agent.control.demand import HEALTHY, Demand, Limits, Viewer, media_bps, share_bps
from agent.model.media import Need

S = 1_000_000_000
X264 = Limits(100_000, 4_000_000, 30.0, 1280 * 720, can_rescale=True, can_skip=True)
PICAMERA = Limits(1_000_000, 4_000_000, 30.0, 1280 * 720, can_rescale=False, can_skip=True)


def viewer(mbps, **rest):
    usual = {"loss": 0.0, "queue_ms": 0, "is_stalled": False, "wants_keyframe": False}
    return Viewer(target_bps=int(mbps * 1e6), **(usual | rest))


def settle(demand, viewers, start_s=0.0, seconds=10.0):
    for step in range(int(seconds * 20)):
        last = demand.update(viewers, int((start_s + step / 20) * S))
    return last


def test_a_slow_viewer_does_not_decide_for_a_fast_one():
    alone = settle(Demand(X264, 1_000_000), [viewer(3)])
    assert settle(Demand(X264, 1_000_000), [viewer(3), viewer(0.4)]) == alone


def test_the_fastest_of_many_does_not_decide_for_all():
    assert media_bps([viewer(0.5), viewer(1.1), viewer(4)]) == share_bps(viewer(1.1))


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=12))
def test_at_least_half_can_carry_what_is_sent_and_not_much_more_could_be(targets):
    viewers = [viewer(target) for target in targets]
    bps = media_bps(viewers)
    shares = [share_bps(one) for one in viewers]
    assert 2 * sum(share >= bps for share in shares) >= len(shares)
    assert 2 * sum(share > bps / HEALTHY + 1 for share in shares) < len(shares)


@given(st.lists(st.floats(0.05, 0.5), max_size=8), st.lists(st.floats(1, 20), min_size=1, max_size=8))
def test_whom_the_preview_serves_as_well_decides_nothing(slow, fast):
    viewers = [viewer(target) for target in fast]
    assert media_bps(viewers + [viewer(target) for target in slow], 500_000) == media_bps(viewers, 500_000)


@given(
    st.lists(st.lists(st.floats(0.02, 20), max_size=5), min_size=1, max_size=200),
    st.sampled_from([X264, PICAMERA, dataclasses.replace(PICAMERA, can_skip=False)]),
)
def test_whatever_the_links_do_the_encoder_is_asked_for_what_it_can(history, limits):
    demand, at = Demand(limits, 1_500_000), 0
    for targets in history:
        asked = demand.update([viewer(target) for target in targets], at)
        at += S // 5
        assert limits.floor_bps <= asked.bitrate_bps <= limits.max_bps
        assert asked.bitrate_bps >= int(limits.min_bps * asked.fps_share)
        assert (asked.fps_share, asked.scale) in limits.ladder


def test_who_carries_nearly_as_much_is_waited_for():
    assert media_bps([viewer(2.6), viewer(3)]) == share_bps(viewer(2.6))
    assert media_bps([viewer(2), viewer(3)]) == share_bps(viewer(3))


def test_a_scene_that_needs_less_keeps_its_rate_and_size_on_any_link():
    demand = Demand(X264, 2_000_000)
    demand.made_bps = 250_000
    assert settle(demand, [viewer(0.4)]).fps_share == 1.0
    demand.made_bps = 350_000
    assert settle(demand, [viewer(0.4)], 10).fps_share == 0.5


def test_a_dip_that_costs_a_scene_little_costs_no_picture():
    demand = Demand(X264, 2_000_000)
    demand.made_bps = 550_000
    assert settle(demand, [viewer(1.5)]).fps_share == 1.0
    demand.made_bps = 500_000
    assert settle(demand, [viewer(0.53)], 10, 4).fps_share == 1.0
    assert settle(demand, [viewer(0.53)], 14, 4).fps_share == 0.5


def test_all_pictures_are_back_when_the_scene_needs_no_more_than_it_has():
    demand = Demand(X264, 2_000_000)
    assert settle(demand, [viewer(0.5)]).fps_share == 0.5
    demand.made_bps = 560_000
    assert settle(demand, [viewer(0.65)], 10, 10).fps_share == 0.5
    demand.made_bps = 300_000
    assert settle(demand, [viewer(0.65)], 20, 10).fps_share == 1.0


def test_a_hardware_encoder_skips_pictures_below_its_floor_and_comes_back():
    demand = Demand(PICAMERA, 2_000_000)
    assert settle(demand, [viewer(2)]).fps_share == 1.0
    slow = settle(demand, [viewer(0.7)], 10)
    assert (slow.fps_share, slow.scale) == (0.5, 1.0)
    assert slow.bitrate_bps == share_bps(viewer(0.7))
    assert settle(demand, [viewer(2)], 20).fps_share == 1.0


def test_a_viewer_whose_path_is_out_has_no_voice_beside_another():
    gone = viewer(0.2, is_stalled=True)
    assert media_bps([gone, gone, viewer(2)]) == share_bps(viewer(2))
    assert media_bps([gone]) == share_bps(gone)


def test_loss_and_backlog_leave_room():
    assert share_bps(viewer(1)) > share_bps(viewer(1, loss=0.02)) > share_bps(viewer(1, loss=0.1))
    assert share_bps(viewer(1, loss=0.1)) == share_bps(viewer(1, loss=0.9))
    assert share_bps(viewer(1, queue_ms=60)) == share_bps(viewer(1))
    assert share_bps(viewer(1, queue_ms=10_000)) == share_bps(viewer(1)) // 2


def test_down_at_once_and_up_in_steps():
    demand = Demand(X264, 2_000_000)
    assert demand.update([viewer(0.5)], 0).bitrate_bps == share_bps(viewer(0.5))
    first = demand.update([viewer(4)], S // 20).bitrate_bps
    assert first <= 1.25 * share_bps(viewer(0.5))
    assert demand.update([viewer(4)], S // 20 + 1).bitrate_bps == first
    assert settle(demand, [viewer(4)], 1, 2).bitrate_bps == share_bps(viewer(4))


def test_small_changes_are_not_passed_on():
    demand = Demand(X264, 1_000_000)
    before = settle(demand, [viewer(1)]).bitrate_bps
    assert demand.update([viewer(1.02)], 11 * S).bitrate_bps == before
    assert demand.update([viewer(0.98)], 12 * S).bitrate_bps == before


def test_the_floor_is_the_encoders():
    assert settle(Demand(PICAMERA, 2_000_000), [viewer(0.2)]).bitrate_bps == 333_333
    assert settle(Demand(X264, 2_000_000), [viewer(0.01)]).bitrate_bps == 33_333
    assert settle(Demand(X264, 2_000_000), [viewer(50)]).bitrate_bps == 4_000_000


def test_frame_rate_goes_first_then_size_and_both_come_back():
    demand = Demand(X264, 2_000_000)
    full = settle(demand, [viewer(2)])
    assert (full.fps_share, full.scale) == (1.0, 1.0)
    poor = settle(demand, [viewer(0.4)], 10)
    assert (poor.fps_share, poor.scale) == (0.5, 1.0)
    worse = settle(demand, [viewer(0.15)], 20)
    assert (worse.fps_share, worse.scale) == (0.5, 0.5)
    back = settle(demand, [viewer(2)], 30, 30)
    assert (back.fps_share, back.scale) == (1.0, 1.0)


def test_a_rate_at_the_border_does_not_swing_the_picture():
    demand = Demand(X264, 2_000_000)
    rungs = {
        demand.update([viewer(0.62 + 0.08 * (step // 40 % 2))], step * S // 20).fps_share
        for step in range(40, 2400)
    }
    assert rungs in ({1.0}, {1.0, 0.5})
    settled = {
        demand.update([viewer(0.62 + 0.08 * (step // 40 % 2))], step * S // 20).fps_share
        for step in range(2400, 4800)
    }
    assert len(settled) == 1


def test_an_encoder_that_cannot_rescale_keeps_its_picture():
    demand = settle(Demand(dataclasses.replace(X264, can_skip=False), 2_000_000), [viewer(0.1)])
    assert (demand.fps_share, demand.scale) == (1.0, 1.0)


def need(*viewers):
    return Demand(X264, 2_000_000).update(viewers, 0).keyframe


def test_a_slow_viewer_alone_is_no_reason_for_many_keyframes_while_others_watch():
    fast, slow = viewer(3, wants_keyframe=True), viewer(0.4, wants_keyframe=True)
    assert need(viewer(3), viewer(0.4)) is None
    assert need(viewer(3), slow) is Need.SLOW_REPAIR
    assert need(fast, slow) is need(fast, viewer(0.4)) is need(slow) is need(slow, slow) is Need.REPAIR


def test_without_viewers_nothing_changes():
    demand = Demand(X264, 1_500_000)
    assert demand.update([], 0).bitrate_bps == 1_500_000
    assert not demand.update([], 1).keyframe
