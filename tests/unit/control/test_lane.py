"""A viewer's control from its first frame on."""

from agent.control.lane import LaneControl
from agent.model.media import RtpFrame
from agent.model.pacing import Media, Resend

MS = 1_000_000
START = 10_000_000 * MS
"""Of a device that has run for hours."""


def frame(seq, *, key=False, packets=1):
    return RtpFrame((b"x" * 1000,) * packets, seq * 3000, is_keyframe=key, size_bytes=1000 * packets)


def make():
    return LaneControl(1_500_000, 100_000, 3_000_000)


def media(departures):
    return [
        (d.frame.rtp_time // 3000, index)
        for d in departures
        if isinstance(d, Media)
        for index in range(d.first, d.first + d.count)
    ]


def test_what_comes_during_the_handshake_waits_for_its_end():
    lane = make()
    lane.push(frame(0, key=True, packets=5), START)
    for seq in range(1, 6):
        lane.push(frame(seq), START + seq * 33 * MS)
    assert lane.dropped_frames == 0
    left, now = [], START + 200 * MS
    while len(left) < 10 and now < START + 400 * MS:
        left += media(lane.take(now))
        now = lane.next_ns(now)
    assert left == [(0, index) for index in range(5)] + [(seq, 0) for seq in range(1, 6)]


def test_a_viewer_who_never_reports_wakes_nobody_often():
    lane, now, calls = make(), START, 0
    lane.push(frame(0, key=True, packets=40), now)
    while now < START + 60_000 * MS:
        for departure in lane.take(now):
            lane.on_sent(calls & 0xFFFF, [1000] * getattr(departure, "count", 1), now, departure.probe)
        calls, before, now = calls + 1, now, lane.next_ns(now)
        assert now > before
    assert calls <= 60 * 15


def test_what_is_asked_for_before_the_first_report_leaves():
    """The first reports were lost, and the path seems to be out."""
    lane = make()
    lane.on_sent(0, [1000] * 100, START, None)
    asked_ns = START + 1500 * MS
    for seq in range(5):
        lane.resend(seq, 1000, asked_ns)
    left = [departure for at in range(0, 100, 5) for departure in lane.take(asked_ns + at * MS)]
    assert sum(isinstance(departure, Resend) for departure in left) == 5, "and not one each 150 ms"


def test_a_viewer_who_asks_on_and_reports_no_more_is_sent_little_after_three_seconds():
    lane, resent = make(), []
    lane.on_sent(0, [1000], START, None)
    lane.on_feedback(0, [1000], START + 50 * MS)
    lane.on_sent(1, [1000] * 100, START + 60 * MS, None)
    for tenth in range(5, 100):
        now = START + tenth * 100 * MS
        for seq in range(10):
            lane.resend(10 * tenth + seq, 1000, now)
        resent.append(sum(isinstance(departure, Resend) for departure in lane.take(now)))
    assert sum(resent[:25]) > 50
    assert max(resent[27:]) == 1, "in the place of what looks for the end of the outage"


def test_a_viewer_without_a_keyframe_asks_for_one_until_it_comes():
    lane = make()
    lane.push(frame(0), START)
    assert lane.viewer(START).wants_keyframe
    lane.push(frame(1, key=True), START)
    assert not lane.viewer(START).wants_keyframe
    lane.want_keyframe()
    assert lane.viewer(START).wants_keyframe
    lane.push(frame(2, key=True), START)
    assert not lane.viewer(START).wants_keyframe


def test_a_picture_that_waits_holds_the_next_ones_up_until_it_has_left():
    changes = []
    lane = LaneControl(1_500_000, 100_000, 3_000_000, lambda: changes.append(lane.is_held_up))
    lane.push(frame(0, key=True, packets=60), START)
    now = START
    while not media(lane.take(now)) or lane.is_waiting:
        now = lane.next_ns(now)
    assert not changes, "a keyframe takes its time"
    lane.on_sent(0, [1100] * 60, now, None)
    lane.on_feedback(0, [now // 1000] * 10, now)  # the rest is on its way
    lane.push(frame(1, packets=60), now)
    came = now
    lane.take(now)
    while not changes:
        now = lane.next_ns(now)
        lane.take(now)
    assert changes == [True]
    assert now - came <= 50 * MS, "although nothing may leave"
    lane.on_feedback(10, [now // 1000] * 50, now)
    while lane.is_waiting:
        lane.take(now)
        now = lane.next_ns(now)
    assert changes == [True, False]


def test_there_is_always_a_next_time_to_look():
    lane = make()
    lane.take(START)
    assert START < lane.next_ns(START) <= START + 250 * MS
    lane.push(frame(0, key=True, packets=20), START)
    assert lane.take(START)
    assert START < lane.next_ns(START) <= START + 100 * MS, "something waits"
