"""The second AT port beside ModemManager: opened where it is, asked how warm the modem is, and no more."""

import asyncio
import contextlib

import pytest
from fakes.clock import LoopClock
from fakes.modem import PluggedModem, SimModem
from parts.terminal import SocketWire, is_busy

from agent.config import Settings
from agent.serial.modem import second_port
from agent.serial.modem.second_port import POLL_S, SecondPort


@contextlib.asynccontextmanager
async def running(folder, **modem):
    clock, sim = LoopClock(is_busy), SimModem(**modem)
    wire = SocketWire(folder / "pinhole-modem")
    port = SecondPort(str(wire.link), wire.open_port)
    sim.power_cycle(clock.now_s - 60)
    plugged = asyncio.create_task(PluggedModem(sim, wire).run())
    asked = asyncio.create_task(port.run())
    try:
        yield clock, sim, port
    finally:
        for task in (asked, plugged):
            task.cancel()
            await asyncio.wait((task,))
        wire.unplug()


@pytest.mark.parametrize(
    ("modem", "degrees"),
    [
        ({"maker": "Quectel", "model": "EG25"}, 36),
        ({"maker": "SIMCOM INCORPORATED", "model": "SIMCOM_SIM7600E-H"}, 29),
    ],
)
async def test_how_warm_it_is_and_nothing_else_is_asked(tmp_path, modem, degrees):
    async with running(tmp_path, **modem) as (clock, sim, port):
        assert await clock.until(lambda: port.temperature_c) == degrees
        await clock.after(2 * POLL_S + 5)
        heat = "AT+QTEMP" if degrees == 36 else "AT+CPMUTEMP"
        assert sim.got == ["AT+CFUN?", "ATE0", "AT+CGMI", "AT+CGMM", heat, heat, heat]


async def test_of_a_modem_that_has_gone_nobody_knows_it_and_it_is_asked_anew(tmp_path):
    async with running(tmp_path) as (clock, sim, port):
        await clock.until(lambda: port.temperature_c)
        sim.strike("vanished", clock.now_s)
        await clock.until(lambda: port.temperature_c is None)
        sim.power_cycle(clock.now_s)
        await clock.until(lambda: port.temperature_c == 36)
        assert sim.got.count("AT+CGMI") == 2


async def test_a_modem_that_does_not_answer_leaves_no_old_temperature(tmp_path):
    async with running(tmp_path) as (clock, sim, port):
        await clock.until(lambda: port.temperature_c)
        sim.strike("silent", clock.now_s)
        await clock.until(lambda: port.temperature_c is None)


async def test_where_there_is_none_nothing_is_opened_or_logged(tmp_path, caplog):
    clock, opened = LoopClock(), []
    port = SecondPort(str(tmp_path / "pinhole-modem"), opened.append)
    task = asyncio.create_task(port.run())
    await clock.after(60)
    task.cancel()
    await asyncio.wait((task,))
    assert (opened, caplog.messages) == ([], [])
    assert second_port.LOOK_S < POLL_S
    assert Settings().modem.port == "/dev/pinhole-modem", "as the udev rule names it"
