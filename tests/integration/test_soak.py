"""What a year would make large, made visible in minutes: memory, descriptors, threads."""

import asyncio
import os
import sys
import time

import psutil
import pytest
from data.footage import write
from parts.coturn import SECRET, coturn
from parts.mosquitto import mosquitto
from parts.portal import PASSWORD, USER
from parts.stack import running_stack

from agent.client.session import SignIn
from agent.client.watch import Wish, run_watch

MIB = 2**20
CYCLES, WARM_UP = 100, 10
RELAYED_CYCLES = 500
SETTLE_S = 3.0
PATIENCE_S = 30.0
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""Of asyncio's own pool, at most."""
MINUTES = 10


async def grown_bytes(stack, cycles, *, relay_only=False):
    """How much larger so many viewers make the agent, which must be left with what it had open."""
    agent = psutil.Process(stack.agent.pid)
    wish = Wish(portal=stack.url, sign_in=SignIn(USER, PASSWORD), seconds=0.2, relay_only=relay_only)
    for cycle in range(WARM_UP + cycles):
        if cycle == WARM_UP:
            await asyncio.sleep(SETTLE_S)
            before_bytes, descriptors, threads = agent.memory_info().rss, agent.num_fds(), agent.num_threads()
        await run_watch(wish, json_wanted=True)
        if cycle % 100 == 99:
            print(
                f"{cycle + 1} viewers: {agent.memory_info().rss / MIB:.1f} MiB", file=sys.stderr, flush=True
            )
    async with asyncio.timeout(PATIENCE_S):  # what has ended is closed a moment later
        while agent.num_fds() > descriptors:
            await asyncio.sleep(0.1)
    assert agent.num_threads() <= threads + POOL_THREADS, "a busy pool grows to its bound, no further"
    await asyncio.sleep(SETTLE_S)
    return agent.memory_info().rss - before_bytes


@pytest.mark.timeout(400)
async def test_a_hundred_viewers_leave_nothing_behind():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        assert await grown_bytes(stack, CYCLES) < 3 * MIB


@pytest.mark.slow
@pytest.mark.timeout(2400)
async def test_five_hundred_relayed_viewers_leave_nothing_behind_on_either_side(tmp_path):
    secret = tmp_path / "turn-secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    with coturn() as turn, mosquitto() as broker:
        settings = (
            f'[portal.turn]\nurls = ["{turn.url("udp")}", "{turn.url("tcp")}"]\nsecret_file = "{secret}"\n'
        )
        with running_stack(f'url = "{broker.settings().url}"', portal=settings) as stack:
            grown = await grown_bytes(stack, RELAYED_CYCLES, relay_only=True)
            made, gone = turn.allocations()
            assert made >= 2 * RELAYED_CYCLES, "both ends relay"
            assert gone == made
            assert "viewer connected: relay to relay" in stack.log("agent")
            assert grown < 5 * MIB


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 200)
def test_ten_minutes_of_replayed_footage_take_no_more_memory_than_one(tmp_path):
    footage = tmp_path / "footage.h264"
    write(footage, seconds=20, size=(1280, 720), fps=30, seed=1)
    with (
        mosquitto() as broker,
        running_stack(f'url = "{broker.settings().url}"', camera=f'source = "replay:{footage}"') as stack,
    ):
        agent = psutil.Process(stack.agent.pid)
        viewer = stack.start_watch("--seconds", str(MINUTES * 60))
        time.sleep(60)
        first_bytes = agent.memory_info().rss
        for minute in range(1, MINUTES):
            time.sleep(60 if minute < MINUTES - 1 else 45)
            last_bytes = agent.memory_info().rss
            print(f"minute {minute + 1} of {MINUTES}: {last_bytes / MIB:.1f} MiB", flush=True)
        code, _, said = stack.end_watch(viewer)
        assert code == 0, said
        assert last_bytes - first_bytes < 2 * MIB
