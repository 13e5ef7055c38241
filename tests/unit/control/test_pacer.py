"""What leaves when: order, spread, bounds, and frames dropped as a whole."""

from hypothesis import given
from hypothesis import strategies as st

from agent.control.pacer import MAX_BLOCKED_AGE_NS, MAX_QUEUE_MS, PACKET_OVERHEAD_BYTES, Pacer
from agent.control.probe import Probe
from agent.model.media import RtpFrame
from agent.model.pacing import Media, Padding, Repair, Resend

MS = 1_000_000
OPEN = 10**9
PACKET = 1000 - PACKET_OVERHEAD_BYTES


def frame(seq, packets=1, key=False):
    return RtpFrame((bytes(PACKET),) * packets, seq * 3000, key, PACKET * packets)


def pacer_at(target_bps, pacing_bps=None):
    pacer = Pacer()
    pacer.set_rate(target_bps, pacing_bps or target_bps * 2, 0)
    return pacer


def drain(pacer, start_ns, stop_ns, allowance=OPEN):
    """Take at the times it asks for; (at_ns, departure)."""
    now, out = start_ns, []
    while now <= stop_ns:
        out += [(now, departure) for departure in pacer.take(now, allowance)]
        at = pacer.next_ns()
        if at is None:
            break
        now = max(at, now + 1)
    return out


def media_of(out):
    """(at_ns, (frame, index)) of each packet of media."""
    return [
        (at, (departure.frame.rtp_time // 3000, index))
        for at, departure in out
        if isinstance(departure, Media)
        for index in range(departure.first, departure.first + departure.count)
    ]


def test_a_picture_leaves_at_once_where_the_path_takes_bursts():
    pacer = Pacer()
    pacer.set_rate(4_000_000, 6_000_000, 0, in_bursts=True)
    pacer.push(frame(0, 60, key=True), 100 * MS)
    at_ms = [at // MS for at, _ in media_of(drain(pacer, 100 * MS, 1000 * MS))]
    assert at_ms == [100] * 31 + [140] * 29, "a keyframe in bursts of 40 ms at its rate"
    pacer.push(frame(1, 14), 300 * MS)
    (picture,) = pacer.take(300 * MS, OPEN)
    assert (picture.first, picture.count) == (0, 14)


def test_what_a_busy_machine_calls_late_leaves_at_once_and_an_empty_queue_earns_nothing():
    on_time, late = pacer_at(1_000_000, 2_000_000), pacer_at(1_000_000, 2_000_000)
    for pacer in (on_time, late):
        pacer.push(frame(0, 40, key=True), 0)
        pacer.take(0, OPEN)
    sent = sum(len(on_time.take(at * MS, OPEN)) for at in range(1, 25))
    run = late.take(24 * MS, OPEN)
    assert sum(departure.count for departure in run) >= sent - 1
    idle = pacer_at(1_000_000, 2_000_000)
    idle.take(0, OPEN)
    idle.push(frame(0, 40, key=True), 500 * MS)
    (first,) = idle.take(500 * MS, OPEN)
    assert first.count <= 2


def test_a_probe_is_spread_and_a_resend_soon_also_where_the_path_takes_bursts():
    pacer = Pacer()
    pacer.set_rate(4_000_000, 6_000_000, 0, in_bursts=True)
    pacer.probe(Probe(5, 8_000_000, 10_000))
    assert 5 * MS <= drain(pacer, 100 * MS, 1000 * MS)[-1][0] - 100 * MS <= 11 * MS
    pacer.push(frame(0, 60, key=True), 300 * MS)
    pacer.take(300 * MS, OPEN)
    pacer.resend(7, 1000, 300 * MS)
    assert pacer.next_ns() <= 304 * MS


def test_a_keyframe_is_spread_at_the_pacing_rate():
    pacer = pacer_at(1_000_000, 2_000_000)  # a packet of 1000 bytes takes 4 ms
    pacer.push(frame(0, 20, key=True), 0)
    out = drain(pacer, 0, 1000 * MS)
    assert [index for _, (_, index) in media_of(out)] == list(range(20))
    for (at, _), n in zip(media_of(out), range(20), strict=True):
        assert abs(at - n * 4 * MS) <= 4 * MS
    assert pacer.next_ns() is None
    assert pacer.queue_ms == 0


@given(st.lists(st.integers(1, 12), min_size=1, max_size=10), st.integers(1_000_000, 50_000_000))
def test_all_leaves_in_order_and_never_faster_than_the_rate_and_a_burst(sizes, pacing_bps):
    pacer = pacer_at(100_000_000, pacing_bps)
    for seq, packets in enumerate(sizes):
        pacer.push(frame(seq, packets, key=seq == 0), 0)
    out = drain(pacer, 0, 10**10)
    assert [packet for _, packet in media_of(out)] == [(s, i) for s, n in enumerate(sizes) for i in range(n)]
    for sent, (at, _) in enumerate(media_of(out), 1):
        assert (sent - 2) * 8000 * 10**9 <= pacing_bps * (at + 4 * MS)


def test_retransmissions_go_first_within_a_quarter_of_the_target():
    pacer = pacer_at(800_000)
    pacer.push(frame(0, 3, key=True), 0)
    assert [pacer.resend(seq, 1000, 0) for seq in range(40)] == [True] * 6 + [False] * 34
    first = [departure for _, departure in drain(pacer, 0, 40 * MS)]
    assert [type(departure) for departure in first[:7]] == [Resend] * 6 + [Media]
    for at_s in range(1, 11):  # a second gives 25 000 bytes, which may pile up
        taken = [pacer.resend(seq, 1000, at_s * 1000 * MS) for seq in range(40)]
        assert taken.count(False) == 15
        drain(pacer, at_s * 1000 * MS, at_s * 1000 * MS + 400 * MS)


def test_what_an_outage_lost_is_resent_at_once_although_the_target_has_fallen_since():
    pacer = pacer_at(1_600_000)
    pacer.set_rate(1_600_000, 2_400_000, 2000 * MS)
    pacer.set_rate(400_000, 600_000, 2000 * MS)
    assert all(pacer.resend(seq, 1000, 2000 * MS) for seq in range(40))
    pacer.set_rate(400_000, 600_000, 20_000 * MS)
    taken = [pacer.resend(100 + seq, 1000, 20_000 * MS) for seq in range(40)]
    assert taken.count(False) >= 27, "but not for good"


def test_while_the_path_seems_out_only_what_is_asked_for_leaves():
    pacer = pacer_at(1_600_000)
    pacer.push(frame(0, 1, key=True), 0)
    pacer.resend(7, 1000, 0)
    assert pacer.take(1 * MS, 0) == []
    assert pacer.next_ns() is None
    assert pacer.take(10 * MS, 0, is_out=True) == [Resend(7, None)]
    assert pacer.next_ns() is None


def test_what_is_asked_for_again_while_it_waits_is_sent_once():
    pacer = pacer_at(8_000_000)
    for _ in range(3):
        pacer.resend(7, 1000, 0)
    assert [departure.seq for _, departure in drain(pacer, 0, 40 * MS)] == [7]
    pacer.resend(7, 1000, 40 * MS)
    assert [departure.seq for _, departure in drain(pacer, 40 * MS, 80 * MS)] == [7]


def test_of_two_copies_the_second_also_keeps_a_request_from_being_queued_again():
    pacer = pacer_at(1_000_000)
    pacer.resend(7, 1000, 0, copies=2)
    assert len(pacer.take(0, 1)) == 1
    pacer.resend(7, 1000, 1 * MS, copies=2)
    assert len([d for _, d in drain(pacer, 1 * MS, 1000 * MS) if isinstance(d, Resend)]) == 1


def test_where_the_link_loses_much_by_itself_each_loss_is_made_good():
    """A packet that is not sent again costs a keyframe."""
    refused = []
    for usual_loss in (0.0, 0.2, 1.0):
        pacer = Pacer()
        pacer.set_rate(800_000, 1_600_000, 0, usual_loss=usual_loss)
        refused.append(0)
        for at_s in range(1, 11):  # 20 of a second's 100 packets, twice
            for tenth in range(4):
                now_ns = (10 * at_s + 2 * tenth) * 100 * MS
                taken = [pacer.resend(seq, 1000, now_ns, copies=2) for seq in range(5)]
                refused[-1] += taken.count(False)
                drain(pacer, now_ns, now_ns + 150 * MS)
    assert refused[0] >= 10 * 5
    assert refused[1:] == [0, 0]


def test_a_resend_that_waited_too_long_is_forgotten():
    pacer = pacer_at(1_000_000)
    pacer.resend(7, 1000, 0)
    assert pacer.take(500 * MS, OPEN) == []
    assert not pacer.is_waiting


def test_what_was_forgotten_has_cost_nothing_of_the_budget():
    pacer = pacer_at(1_000_000)
    assert not all(pacer.resend(seq, 1000, 0) for seq in range(500))
    pacer.take(500 * MS, 0)
    assert pacer.resend(1000, 1000, 500 * MS)


def test_what_is_too_late_goes_with_all_that_needs_it():
    pacer = pacer_at(800_000)  # a frame of 10 packets is 100 ms
    pacer.push(frame(0, 1, key=True), 0)
    drain(pacer, 0, 20 * MS)
    for seq in range(1, 5):
        pacer.push(frame(seq, 10), 30 * MS)
    assert pacer.take(31 * MS, OPEN) == []
    assert pacer.dropped_frames == 4
    assert pacer.wants_keyframe
    pacer.push(frame(5, 1), 40 * MS)
    assert drain(pacer, 40 * MS, 100 * MS) == []
    assert pacer.dropped_frames == 5
    pacer.push(frame(6, 1, key=True), 120 * MS)
    pacer.push(frame(7, 1), 121 * MS)
    assert not pacer.wants_keyframe
    assert [seq for _, (seq, _) in media_of(drain(pacer, 121 * MS, 200 * MS))] == [6, 7]


def test_a_large_keyframe_may_take_its_time_and_its_followers_too():
    pacer = pacer_at(800_000, 1_200_000)
    pacer.push(frame(0, 50, key=True), 0)  # 500 ms at the target, 333 ms at the pacing rate
    now, sent = 0, []
    for seq in range(1, 60):
        now = seq * 33 * MS
        sent += drain(pacer, now - 33 * MS, now - 1)
        pacer.push(frame(seq, 3), now)
    sent += drain(pacer, now, now + 1000 * MS)
    assert pacer.dropped_frames == 0
    assert len(media_of(sent)) == 50 + 59 * 3


def test_without_an_allowance_nothing_leaves_and_old_frames_are_dropped():
    pacer = pacer_at(1_000_000)
    pacer.push(frame(0, 30, key=True), 0)
    assert pacer.take(1 * MS, 0) == []
    assert pacer.next_ns() is None
    assert pacer.take((MAX_QUEUE_MS + 1) * MS, 0) == []
    assert pacer.dropped_frames == 1
    assert not pacer.wants_keyframe  # it could not leave either
    pacer.take((MAX_QUEUE_MS + 2) * MS, OPEN)
    assert pacer.wants_keyframe


def test_the_little_that_waits_where_pictures_are_held_is_cheaper_than_a_keyframe_for_a_while():
    pacer = pacer_at(1_000_000)
    pacer.push(frame(0, 2, key=True), 0)
    pacer.take((MAX_QUEUE_MS + 1) * MS, 0)
    assert pacer.dropped_frames == 0
    pacer.take(MAX_BLOCKED_AGE_NS + MS, 0)
    assert pacer.dropped_frames == 1


def test_the_allowance_bounds_a_burst():
    pacer = pacer_at(100_000_000)
    pacer.push(frame(0, 30, key=True), 0)
    assert [departure.count for departure in pacer.take(10 * MS, 3000)] == [3]


def test_a_probe_leaves_at_its_own_rate_with_media_first_and_padding_after():
    pacer = pacer_at(1_000_000, 1_500_000)
    pacer.push(frame(0, 3, key=True), 0)
    pacer.probe(Probe(5, 4_000_000, 10_000))
    out = drain(pacer, 0, 1000 * MS)
    media = [departure for _, departure in out if isinstance(departure, Media)]
    assert [type(departure) for _, departure in out[: len(media) + 1]] == [Media] * len(media) + [Padding]
    assert len(media_of(out)) == 3
    assert all(departure.probe == 5 for _, departure in out)
    padding = sum(departure.size_bytes for _, departure in out if isinstance(departure, Padding))
    assert padding == 7000
    assert out[-1][0] <= 22 * MS  # 10 000 bytes at 4 Mb/s take 20 ms


def test_a_probe_passes_a_closed_allowance_with_what_waits_or_else_padding():
    pacer, picture = pacer_at(1_000_000), frame(0, 1, key=True)
    pacer.push(picture, 0)
    pacer.probe(Probe(0, 1_000_000, 200))
    assert pacer.take(1 * MS, 0) == [Media(picture, 0, 1, 0)], "a gap behind it shows at once"
    pacer.probe(Probe(0, 1_000_000, 200))
    assert pacer.take(80 * MS, 0) == [Padding(200, 0)]


def test_parity_follows_its_picture_and_small_pictures_share_it():
    pacer = Pacer(repairs=lambda packets: 1 if packets < 10 else 2)
    pacer.set_rate(8_000_000, 80_000_000, 0)
    for seq, packets in enumerate((12, 5, 1, 2, 1, 1, 1)):
        pacer.push(frame(seq, packets, key=seq == 0), 0)
    order = []
    for at, d in drain(pacer, 0, 1000 * MS):
        is_media = isinstance(d, Media)
        order += [packet for _, packet in media_of([(at, d)])] if is_media else [(d.count, d.part, d.parts)]
    assert order == [
        *((0, index) for index in range(12)), (12, 0, 2), (12, 1, 2),
        *((1, index) for index in range(5)), (5, 0, 1),
        (2, 0), (3, 0), (3, 1), (4, 0), (4, 0, 1),
        (5, 0), (6, 0),
    ]  # fmt: skip
    assert 0 < pacer.repair_share < 0.34


def test_parity_of_what_was_dropped_is_dropped_too():
    pacer = Pacer(repairs=lambda _: 1)
    pacer.set_rate(800_000, 800_000, 0)
    pacer.push(frame(0, 60, key=True), 0)
    drain(pacer, 0, 2000 * MS)
    pacer.push(frame(1, 60), 2000 * MS)
    pacer.push(frame(2, 60), 2300 * MS)
    assert not any(isinstance(d, Repair) for _, d in drain(pacer, 2300 * MS, 4000 * MS))
