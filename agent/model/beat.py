"""Waiting in step: who looks around now and then does so together, and a processor that rests wakes once."""

import asyncio


async def next_beat(period_s: float) -> None:
    """Sleep until the loop's clock shows a whole multiple of this period, at most one period away."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(period_s - loop.time() % period_s)
