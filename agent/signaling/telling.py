"""When a device tells its events: the oldest first, one message at a time, each until it is confirmed."""

import asyncio
import random
from collections.abc import Callable

from agent.model.event import Event

FIRST_RETRY_S, MAX_RETRY_S = 10.0, 120.0
"""Without a word of any portal: a slow link is given its time, then a portal that is away or too old. So few
copies wait at the broker before they expire."""
PAUSE_S = 1.0
"""After a confirmation: so 32 events, or 8 KiB, a second. That floods no slow link, and is far from what a
portal takes of one device (`quota.py`)."""
SPREAD_S = 3.0
"""After a connection: a fleet that comes back at once tells its events one after the other."""


class Pace:
    """When the next message may go. Pure."""

    def __init__(self) -> None:
        self.next_s = 0.0
        self.retry_s = FIRST_RETRY_S

    def on_connected(self, now_s: float, draw: float) -> None:
        """There is a way again; `draw` is random, from 0 to 1."""
        self.next_s, self.retry_s = now_s + SPREAD_S * draw, FIRST_RETRY_S

    def on_told(self, now_s: float) -> None:
        """A message is under way."""
        self.next_s = now_s + self.retry_s
        self.retry_s = min(2 * self.retry_s, MAX_RETRY_S)

    def on_confirmed(self, now_s: float) -> None:
        """It has arrived."""
        self.next_s, self.retry_s = now_s + PAUSE_S, FIRST_RETRY_S


class Telling:
    """Belongs to one event loop. `tell` sends one message."""

    def __init__(
        self,
        oldest: Callable[[], tuple[Event, ...]],
        tell: Callable[[tuple[Event, ...]], None],
        is_connected: Callable[[], bool],
    ) -> None:
        self._oldest = oldest
        self._tell = tell
        self._is_connected = is_connected
        self._pace = Pace()
        self._wake = asyncio.Event()

    def on_events(self) -> None:
        """There is something to tell."""
        self._wake.set()

    def on_connected(self) -> None:
        """The broker is there again."""
        self._pace.on_connected(_now_s(), random.random())  # noqa: S311  spreads a fleet, keeps no secret
        self._wake.set()

    def on_confirmed(self) -> None:
        """A portal has what was told."""
        self._pace.on_confirmed(_now_s())
        self._wake.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            self._wake.clear()
            now_s = _now_s()
            if self._is_connected() and now_s >= self._pace.next_s and (events := self._oldest()):
                self._tell(events)
                self._pace.on_told(now_s)
            wait_s = self._pace.next_s - _now_s()
            try:
                async with asyncio.timeout(wait_s if wait_s > 0 else None):
                    await self._wake.wait()
            except TimeoutError:
                continue


def _now_s() -> float:
    return asyncio.get_running_loop().time()
