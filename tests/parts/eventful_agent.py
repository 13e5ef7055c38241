"""`pinhole run`, of a camera to which so much happens: `python eventful_agent.py CONFIG COUNT`.

It goes on where one before it was killed; with a COUNT of 0 nothing more happens. It tells its events faster
than a link of 64 kb/s carries them, since a test waits for that.
"""

import asyncio
import sys
from pathlib import Path

from agent.app import Agent
from agent.config import load
from agent.signaling import telling

telling.PAUSE_S = 0.1


async def main(config: Path, count: int) -> None:
    agent = Agent(load(config))

    async def happen() -> None:
        for number in range(len(agent.journal), count):
            agent.journal.note("camera-failed", f"number {number}", {"number": number})
            print(number, flush=True)
            await asyncio.sleep(0.001)

    happening = asyncio.create_task(happen())
    await agent.run()
    await happening


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
