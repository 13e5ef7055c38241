"""Viewers share a camera and cannot harm each other."""

import asyncio

import pytest

from agent.media.fanout import MAX_QUEUED_FRAMES, Fanout
from agent.model.media import RtpFrame


def frame(seq, *, key=False):
    return RtpFrame((b"x",), seq * 3000, seq, 0, is_keyframe=key, size_bytes=1)


@pytest.fixture
def requests():
    return []


@pytest.fixture
def fanout(requests):
    return Fanout(lambda: requests.append("keyframe"))


async def take(subscription, count):
    return [(await asyncio.wait_for(subscription.next(), 1)).seq for _ in range(count)]


async def test_a_new_viewer_asks_for_a_keyframe_and_begins_there(fanout, requests):
    with fanout.subscribed() as viewer:
        assert requests == ["keyframe"]
        fanout.push(frame(1))
        fanout.push(frame(2, key=True))
        fanout.push(frame(3))
        assert await take(viewer, 2) == [2, 3]


async def test_a_viewer_that_falls_behind_goes_on_at_a_keyframe_alone(fanout, requests):
    with fanout.subscribed() as slow, fanout.subscribed() as quick:
        requests.clear()
        fanout.push(frame(0, key=True))
        seen = await take(quick, 1)
        for seq in range(1, MAX_QUEUED_FRAMES + 3):
            fanout.push(frame(seq))
            seen += await take(quick, 1)
        assert seen == list(range(MAX_QUEUED_FRAMES + 3)), "the quick viewer misses nothing"
        assert requests == ["keyframe"]
        assert slow.dropped_frames == MAX_QUEUED_FRAMES + 3
        fanout.push(frame(100, key=True))
        assert await take(slow, 1) == [100]


async def test_a_stalled_lane_drops_what_waits(fanout, requests):
    with fanout.subscribed() as viewer:
        fanout.push(frame(0, key=True))
        fanout.push(frame(1))
        requests.clear()
        viewer.resync()
        fanout.push(frame(2))
        fanout.push(frame(3, key=True))
        assert requests == ["keyframe"]
        assert await take(viewer, 1) == [3]
        assert viewer.dropped_frames == 3


async def test_a_viewer_that_left_gets_nothing_more(fanout):
    with fanout.subscribed() as viewer:
        assert len(fanout) == 1
    fanout.push(frame(0, key=True))
    assert len(fanout) == 0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(viewer.next(), 0.01)
