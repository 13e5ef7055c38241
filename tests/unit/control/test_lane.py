"""A viewer's control from its first frame on."""

from agent.control.lane import LaneControl
from agent.model.media import RtpFrame
from agent.model.pacing import Media

MS = 1_000_000
START = 1_000 * MS


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


def test_there_is_always_a_next_time_to_look():
    lane = make()
    lane.take(START)
    assert START < lane.next_ns(START) <= START + 250 * MS
    lane.push(frame(0, key=True, packets=20), START)
    assert lane.take(START)
    assert START < lane.next_ns(START) <= START + 100 * MS, "something waits"
