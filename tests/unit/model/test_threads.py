"""Calls that hang are left behind, and are no more than so many."""

import asyncio
import threading

import pytest

from agent.model.threads import MAX_LEFT, HungCallError, call_in_thread

LONG_S = 60.0


async def test_calls_that_hang_are_bounded_and_there_is_room_again_once_one_returns():
    gates = [threading.Event() for _ in range(MAX_LEFT)]
    try:
        for gate in gates:
            with pytest.raises(HungCallError, match="hung did not return within"):
                await call_in_thread("hung", 0.0, lambda gate=gate: gate.wait(LONG_S))
        with pytest.raises(HungCallError, match="no more are tried"):
            await call_in_thread("hung", LONG_S, lambda: 1)
        assert await call_in_thread("another", LONG_S, lambda: 2) == 2
        [*_, last] = [one for one in threading.enumerate() if one.name == "hung"]
        gates[-1].set()
        last.join(LONG_S)
        assert await call_in_thread("hung", LONG_S, lambda: 3) == 3
    finally:
        for gate in gates:
            gate.set()


async def test_one_that_nobody_waits_for_any_more_counts_too():
    gate = threading.Event()
    try:
        for _ in range(MAX_LEFT):
            task = asyncio.create_task(call_in_thread("given up", LONG_S, lambda: gate.wait(LONG_S)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(HungCallError, match="no more are tried"):
            await call_in_thread("given up", LONG_S, lambda: 1)
    finally:
        gate.set()
