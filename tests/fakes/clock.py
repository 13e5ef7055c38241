"""The time of an event loop, which passes when a test says so and not by itself."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STEP_S = 0.02
MOST_STEPS = 30_000
"""Whoever waits for longer waits for what never comes."""


class LoopClock:
    """Stands in for the running loop's clock, and so for all its timers and time-outs."""

    def __init__(self, is_busy: Callable[[], bool] = lambda: False, step_s: float = STEP_S) -> None:
        """While `is_busy`, a thread is at work, and the time stands still."""
        self.now_s = 1000.0
        self._is_busy, self._step_s = is_busy, step_s
        loop = asyncio.get_running_loop()
        loop.time = lambda: self.now_s  # type: ignore[method-assign]

    async def until(self, condition: Callable[[], T]) -> T:
        """Let time pass until the condition holds; returns what it is then."""
        ends_s = self.now_s + MOST_STEPS * self._step_s
        while not (found := condition()):
            assert self.now_s < ends_s, "what is waited for does not come"
            await self._step()
        return found

    async def after(self, seconds: float) -> None:
        """Let so much time pass."""
        ends_s = self.now_s + seconds
        while self.now_s < ends_s:
            await self._step()

    async def _step(self) -> None:
        for _ in range(3):  # a timer wakes a task, which wakes another
            await asyncio.sleep(0)
        if not self._is_busy():
            self.now_s += self._step_s
