"""`pinhole run`, of a camera to which so much happens: `python eventful_agent.py CONFIG COUNT`.

It goes on where one before it was killed; with a COUNT of 0 nothing more happens. It tells its events faster
than a link of 64 kb/s carries them, since a test waits for that.
"""

import asyncio
import sys
from pathlib import Path

from agent import app
from agent.config import load
from agent.signaling import telling

telling.PAUSE_S = 0.1
CONFIG, COUNT = Path(sys.argv[1]), int(sys.argv[2])


class EventfulAgent(app.Agent):
    async def run(self) -> None:
        happening = asyncio.create_task(self._happen())
        await super().run()
        await happening

    async def _happen(self) -> None:
        for number in range(len(self.journal), COUNT):
            self.journal.note("camera-failed", f"number {number}", {"number": number})
            print(number, flush=True)
            await asyncio.sleep(0.001)


app.Agent = EventfulAgent  # type: ignore[misc]
asyncio.run(app.run_agent(load(CONFIG)))
