"""Runs a head: has its frames written when they are due, and a stop before everything else at the end."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from agent.errors import LineError
from agent.model.tasks import TaskGroup
from agent.serial.ptz.head import Head

SHUT_S = 0.6
"""Three stops at 50 ms, on the slowest bus."""
AWAY_S = 0.05


class Wire(Protocol):
    """A serial line, or what stands for it on a network."""

    problem: str

    async def run(self) -> None: ...
    async def write(self, data: bytes) -> None: ...
    def confirm(self) -> None: ...


MakeWire = Callable[[Callable[[bytes], None], Callable[[], bytes], Callable[[str], None]], Wire]
"""`make(on_bytes, on_opened, on_lost)`."""


class Runner:
    """One head on its wire."""

    def __init__(
        self,
        head: Head,
        make_wire: MakeWire,
        tick: Callable[[float], float],
        clock: Callable[[], float],
        woken: asyncio.Event,
    ) -> None:
        """`tick(now_s)` does what else is due, and says when it wants to be called again.

        `woken` is set by whoever wants something of the head now.
        """
        self._head, self._tick, self._clock = head, tick, clock
        self._wire = make_wire(self._on_bytes, self._on_opened, lambda _: head.lost())
        self._woken, self._stopped = woken, asyncio.Event()
        self._is_ending = False

    @property
    def problem(self) -> str:
        """Why the wire is not open, and what to do; empty while it is."""
        return self._wire.problem

    async def stop(self) -> None:
        """Stand still, before the agent ends; nothing moves the head any more."""
        self._is_ending = True
        self._head.shut(self._clock())
        self._woken.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUT_S):
                await self._stopped.wait()

    async def run(self) -> None:
        """Until cancelled; then the head is told to stop, while its wire still runs.

        May be run again where it has failed: what the head then hears first is a stop.
        """
        self._head.is_shut = self._is_ending
        try:
            async with TaskGroup() as group:
                wire = group.create_task(self._wire.run(), name="ptz-wire")
                try:
                    await self._send()
                finally:
                    await self._stop_first()
                    wire.cancel()
        finally:
            self._head.lost()

    async def _send(self) -> None:
        while True:
            now_s = self._clock()
            tick_s = self._tick(now_s)
            frame = self._head.next_frame(now_s)
            if self._head.is_shut and self._head.is_told_to_stop:
                self._stopped.set()
            if frame is None:
                await self._wait(min(tick_s, self._head.wake_s(now_s)) - now_s)
            else:
                await self._write(frame)

    async def _wait(self, seconds: float) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()

    async def _write(self, frame: bytes) -> None:
        try:
            await self._wire.write(frame)
        except LineError:  # the wire says why, and opens again
            await asyncio.sleep(AWAY_S)
        else:
            if self._head.driver.answers or not self._head.driver.confirms:
                self._wire.confirm()

    async def _stop_first(self) -> None:
        if not self._head.is_shut:
            self._head.shut(self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUT_S):
                while not self._head.is_told_to_stop:
                    frame = self._head.next_frame(self._clock())
                    if frame is None:
                        await asyncio.sleep(self._head.wake_s(self._clock()) - self._clock())
                    else:
                        await self._write(frame)

    def _on_opened(self) -> bytes:
        self._woken.set()
        return self._head.opened(self._clock())

    def _on_bytes(self, data: bytes) -> None:
        self._head.feed(data, self._clock())
        self._woken.set()
