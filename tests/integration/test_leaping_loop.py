"""The loop that has lives of years pass in seconds: its clock is as far from zero as such a life is long."""

import asyncio

import pytest
from fakes.leaping_loop import LeapingLoop


async def due_at_once():
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    loop.call_at(loop.time(), called.set)
    await called.wait()


@pytest.mark.parametrize("now_s", [2.0**24, 2.0**30])
def test_timers_are_called_where_a_float_tells_no_nanosecond(now_s):
    loop = LeapingLoop(bool)
    loop.now_s = now_s + 1 / 3
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(asyncio.sleep(7200.1))
        runner.run(due_at_once())
    assert loop.now_s == pytest.approx(now_s + 7200.4, abs=1.0)
