"""Asks a head whether it is there: opens its port, tells it to stop, and listens."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial

from agent.config import PtzSettings
from agent.model.tasks import TaskGroup
from agent.serial.ptz.head import Head
from agent.serial.ptz.motion import Position
from agent.serial.ptz.runner import Runner
from agent.serial.ptz.wiring import bus_of, driver_of, limits_of, make_wire

PROBE_S = 3.0
"""Pelco-D is asked a second after its port was opened."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it."""

    problem: str
    """Why its port could not be opened, and what to do; empty where it was."""
    answers: int
    position: Position | None
    zoom_share: float | None


async def probe(settings: PtzSettings, patience_s: float = PROBE_S) -> Probe:
    """Within `patience_s` and the time that a port takes to open and to close."""
    woken, bus = asyncio.Event(), bus_of(settings)
    head = Head(driver_of(settings, bus.byte_s), bus, limits_of(settings), woken.set)
    driver = head.driver
    runner = Runner(head, partial(make_wire, settings), lambda now_s: now_s + 1, time.monotonic, woken)
    ends_s = time.monotonic() + patience_s
    problem = ""
    async with TaskGroup() as group:
        running = group.create_task(runner.run(), name="ptz")
        while time.monotonic() < ends_s and not driver.position:
            await asyncio.sleep(0.05)
            problem = problem or runner.problem
        late = f"{settings.port} did not open in time: is it plugged in, or does the network reach it?"
        problem = "" if head.is_open else problem or late
        found = Probe(problem, driver.answers, driver.position, driver.zoom_share)
        running.cancel()
    return found
