"""An event loop whose clock leaps to the next timer where nothing else is to be done: hours in no time."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

GLANCE_S = 0.002
"""How long, by the real clock, a thread's or the kernel's work is waited for before it is looked at again."""
FIRST_S = 1000.0
RESOLUTION_S = 1e-6
"""Of the clock: asyncio's nanosecond is less than a float can tell above 2**24 s, where a timer that is due
this very moment would never be called."""


class LeapingLoop(asyncio.SelectorEventLoop):
    """Sockets and pipes are real, the time is not."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        """While `is_busy`, a thread or the kernel is at work, and the time stands still."""
        self.now_s = FIRST_S
        super().__init__(_Selector(self, is_busy))
        self._clock_resolution = RESOLUTION_S
        self.set_default_executor(_AtOnce(1))

    def time(self) -> float:
        return self.now_s


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: LeapingLoop, is_busy: Callable[[], bool]) -> None:
        super().__init__()
        self._loop, self._is_busy = loop, is_busy

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        while True:
            # In this order: who is done by now has left something to be seen.
            is_busy = self._is_busy()
            events = super().select(GLANCE_S if is_busy else 0)
            if events:
                return events
            if not is_busy:
                assert timeout is not None, "everybody waits for what nobody brings"
                self._loop.now_s += timeout
                return []


class _AtOnce(ThreadPoolExecutor):
    """Work of a moment is done where it is asked for: a thread takes longer than the work."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001  # it is raised where it is awaited
            done.set_exception(exc)
        return done
