"""One timer for many lanes: those that are due at about the same time are woken together.

A wake-up of the event loop costs as much as several packets, and viewers of one stream get its frames at the
same moment, so their packets are due at nearly the same moments too.
"""

import asyncio
import time
from collections.abc import Callable

SLACK_NS = 1_000_000
"""Nobody is woken before its time, and nobody much later than this after it."""


class Alarm:
    """Belongs to one event loop. Times are `time.monotonic_ns()`."""

    def __init__(self) -> None:
        self._due_ns: dict[Callable[[], None], int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0

    def set(self, call: Callable[[], None], due_ns: int) -> None:
        """Call then, once; what was set before for the same call is forgotten."""
        self._due_ns[call] = due_ns
        if self._timer is None or due_ns < self._timer_ns:
            self._set_timer(due_ns)

    def drop(self, call: Callable[[], None]) -> None:
        """Do not call any more."""
        self._due_ns.pop(call, None)
        if not self._due_ns and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        due = [call for call, due_ns in self._due_ns.items() if due_ns <= now_ns]
        for call in due:
            if self._due_ns.pop(call, None) is not None:  # a call may drop another one
                call()
        if self._due_ns and self._timer is None:
            self._set_timer(min(self._due_ns.values()))

    def _set_timer(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = due_ns
        wait_s = (due_ns + SLACK_NS - time.monotonic_ns()) / 1e9
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._ring)
