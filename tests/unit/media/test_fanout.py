"""Every viewer gets every frame for as long as it is there."""

from agent.media.fanout import Fanout
from agent.model.media import RtpFrame


def frame(at):
    return RtpFrame((b"x",), at, is_keyframe=False, size_bytes=1)


def test_each_viewer_gets_the_same_frame_object_until_it_leaves():
    fanout, first, second = Fanout(), [], []
    with fanout.subscribed(first.append):
        fanout.push(frame(1))
        with fanout.subscribed(second.append):
            assert len(fanout) == 2
            fanout.push(frame(2))
        fanout.push(frame(3))
    fanout.push(frame(4))
    assert [f.rtp_time for f in first] == [1, 2, 3]
    assert [f.rtp_time for f in second] == [2]
    assert first[1] is second[0]
    assert len(fanout) == 0


def test_a_viewer_may_leave_while_a_frame_is_handed_out():
    fanout, seen = Fanout(), []
    leaving = fanout.subscribed(lambda _: leaving.__exit__(None, None, None))
    leaving.__enter__()
    with fanout.subscribed(seen.append):
        fanout.push(frame(1))
    assert [f.rtp_time for f in seen] == [1]
