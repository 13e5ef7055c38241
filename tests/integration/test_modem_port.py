"""The AT back end on a pseudo terminal: pyserial, the kernel, the real clock, a modem that goes and comes."""

import asyncio
import contextlib

import pytest
from fakes.modem import PluggedModem, SimModem
from parts.terminal import Terminal

from agent.config import ModemSettings
from agent.serial.modem.data import DataCount, Forgets
from agent.serial.modem.wire import WireModem


@pytest.fixture
async def modem(tmp_path):
    """A modem that runs, whoever asks it, and what was told of its port."""
    loop, events = asyncio.get_running_loop(), []
    sim = SimModem()
    sim.power_cycle(loop.time() - 60)
    terminal = Terminal(tmp_path / "pinhole-modem")
    settings = ModemSettings(backend="at", port=str(terminal.link))
    asking = WireModem(
        settings, DataCount(Forgets(), str, bool), lambda: None, lambda kind, *_: events.append(kind)
    )
    tasks = [asyncio.create_task(PluggedModem(sim, terminal).run()), asyncio.create_task(asking.run())]
    try:
        yield sim, asking, events
    finally:
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        terminal.unplug()


async def until(asking, *states):
    async with asyncio.timeout(60):
        while asking.status.state not in states:
            await asyncio.sleep(0.1)


async def test_a_modem_is_told_of_lost_and_found_again_under_its_name(modem):
    sim, asking, events = modem
    loop = asyncio.get_running_loop()
    await until(asking, "connected")
    assert (asking.status.model, asking.status.band, asking.status.rsrp_dbm) == ("EG25", "B20", -97)
    sim.strike("vanished", loop.time())
    await until(asking, "absent")
    assert events == ["serial-lost"]
    sim.reauthorize(loop.time())
    sim.fault = None
    await until(asking, "registered", "connected")  # its data connection takes some seconds more
    assert events == ["serial-lost", "serial-recovered"]
