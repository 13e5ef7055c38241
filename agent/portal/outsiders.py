"""Who is not signed in gets the database in turns, so that their flood holds nobody else up.

Whose request is being served is known where it comes in (`api/route.py`), and matters where the database is
asked (`store.py`): in between it goes with the task.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from agent.model.log_limit import LogLimit

OUTSIDER: ContextVar[str] = ContextVar("outsider", default="")
"""From which network the request comes, where nobody knows yet whose it is; else empty."""
AT_ONCE = 2
"""Half of the store's threads."""
MAX_WAITING, MAX_WAITING_OF_ONE = 512, 64
"""Of all networks, and of one."""
LOG_INTERVAL_S = 10.0

log = logging.getLogger(__name__)


class Outsiders:
    """Their turns."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting: Counter[str] = Counter()
        self._refused = LogLimit(LOG_INTERVAL_S)

    def has_room(self) -> bool:
        """Whether this task may wait for a turn; an insider's always may."""
        network = OUTSIDER.get()
        if self._waiting[network] < MAX_WAITING_OF_ONE and self._waiting.total() < MAX_WAITING:
            return True
        if network and self._refused.note(time.monotonic()):
            log.warning(
                "requests without a sign-in are refused (%d so far): there are too many, now from %s",
                self._refused.count,
                network,
            )
        return not network

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one, where this is an outsider's task."""
        network = OUTSIDER.get()
        if not network:
            yield
            return
        self._waiting[network] += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting[network] -= 1
            self._waiting += Counter()  # forgets who waits for nothing
