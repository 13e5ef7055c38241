"""Whatever is cut while a head moves, it stands still within half a second: by the real runner and line.

`tests/unit/serial/test_ptz_cuts.py` has the head's core alone be cut more often, and in more ways.
"""

import asyncio
from random import Random

import pytest
from fakes.leaping_loop import LeapingLoop
from fakes.ptz_head import PelcoHead, ViscaCamera
from parts.cut_head import LINK_DELAY_S, Room
from parts.terminal import is_busy

STILL_S = 0.5
RETRY_S = 0.15
"""One more for each frame that the wire lost meanwhile: the next stop makes it good."""
LOSS = 0.01
EPSILON_S = 1e-6


async def lose_packets(_room, viewer, _random):
    """Nothing of the viewer's arrives any more, who goes on."""
    viewer.is_cut = True
    return viewer.last_s


async def kill_viewer(room, viewer, _random):
    """It is silent, and its session's end is seen much later."""
    viewer.die()
    room.loop.call_later(3, viewer.channels.close)
    return viewer.last_s


async def stall(room, viewer, random):
    """Its words come late, all at once and in any order; then none any more."""
    viewer.stall()
    await asyncio.sleep(LINK_DELAY_S[1])
    if random.random() < 0.5:
        await until_still(room, viewer.last_s)
    await asyncio.sleep(random.uniform(0, 1.5))
    viewer.resume()
    viewer.die()
    return viewer.last_s


async def let_go(_room, viewer, _random):
    """The stick springs back, and the words of that may be lost."""
    viewer.let_go()
    await asyncio.sleep(0.2)
    return viewer.last_s


async def close(room, viewer, _random):
    """The channel, or its session."""
    viewer.close()
    return room.loop.time()


async def shut_down(room, _viewer, random):
    """SIGTERM, with the viewer going on; the service is there again later."""
    since_s = room.loop.time()
    await room.agent.shut_down()
    await until_still(room, since_s)
    await asyncio.sleep(random.uniform(0, 2))
    room.wire.first = b""
    return await room.start()


async def kill(room, _viewer, random):
    """SIGKILL: nobody can tell the head, until the service is there again."""
    room.kill()
    await asyncio.sleep(random.uniform(0.3, 4))
    return await room.start()


async def replug(room, viewer, random):
    """The port goes and comes again; the viewer goes on all the time, or died meanwhile."""
    room.wire.unplug()
    room.wire.first = b""
    await asyncio.sleep(random.uniform(0.05, 3))
    dies = random.random() < 0.5
    if dies:
        viewer.die()
    room.wire.plug()
    opened_s = await room.opened()
    if not dies:
        await asyncio.sleep(random.uniform(0.3, 1))
        viewer.die()
    return max(opened_s, viewer.last_s)


CUTS = (lose_packets, kill_viewer, stall, let_go, close, shut_down, kill, replug)
HEADS = {
    "pelco-d": lambda random: PelcoHead("pelco-d", loss=LOSS, random=random, echo=True),
    "pelco-p": lambda random: PelcoHead("pelco-p", loss=LOSS, random=random),
    "visca": lambda random: ViscaCamera(loss=LOSS, random=random, numbered=False),
}


async def until_still(room, since_s):
    """It stands by then: half a second, and a little more for each frame that the wire lost."""
    for _ in range(2):
        lost = sum(when_s >= since_s - 0.05 for when_s in room.head.lost)
        left_s = since_s + STILL_S + RETRY_S * lost - room.loop.time()
        await asyncio.sleep(max(0.0, left_s) + EPSILON_S)
    assert not room.head.is_moving, f"since {since_s}: {room.head.velocity}"


async def live(room, random, cuts):
    """So many cuts, one after the other; by name how many there were while the head moved."""
    seen = dict.fromkeys((cut.__name__ for cut in CUTS), 0)
    await room.start()
    for number in range(cuts):
        cut, viewer = random.choice(CUTS), room.viewer(random)
        await asyncio.sleep(random.uniform(0.3, 1.2))
        seen[cut.__name__] += room.head.is_moving
        try:
            await until_still(room, await cut(room, viewer, random))
            motions = room.head.motions
            await asyncio.sleep(random.choice((0.1, 1, 1, 4)))
            assert (room.head.is_moving, room.head.motions) == (False, motions), "it moved again"
        except AssertionError as exc:
            raise AssertionError(f"cut {number}, {cut.__name__}: {exc}") from exc
        viewer.close()
        room.head.frames.clear()
        room.head.lost.clear()
    await room.end()
    return seen


@pytest.mark.parametrize("protocol", HEADS)
@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param(100, id="some"),
        pytest.param(3334, id="ten-thousand-in-all", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_it_stands_still_within_half_a_second_of_any_cut(protocol, cuts, tmp_path, monkeypatch):
    random = Random(f"{protocol} {cuts}")

    async def run():
        loop = asyncio.get_running_loop()
        head = HEADS[protocol](random)
        room = Room(tmp_path, {"protocol": protocol, "zoom_max": 10}, head, loop, monkeypatch)
        return await live(room, random, cuts)

    with asyncio.Runner(loop_factory=lambda: LeapingLoop(is_busy)) as runner:
        seen = runner.run(run())
    assert min(seen.values()) >= cuts / 50, f"each of them came while it moved: {seen}"
    assert sum(seen.values()) > 0.9 * cuts
