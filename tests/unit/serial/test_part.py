"""A part that fails is logged, told, and begun anew; nothing else of the agent ends."""

import asyncio
import contextlib
from itertools import pairwise

import pytest
from fakes.clock import LoopClock

from agent.config import PtzSettings
from agent.model.part import MAX_PAUSE_S, Part, told
from agent.model.pauses import STEADY_S
from agent.model.sections import GnssSection, ModemSection, PtzSection
from agent.serial.ptz import wiring


async def pass_time(seconds):
    """By the loop's clock, which the test moves."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class Failing:
    """What fails as often as it is run, after some time."""

    def __init__(self, lives_s=0.0):
        self.lives_s, self.began_s = lives_s, []

    async def run(self):
        self.began_s.append(asyncio.get_running_loop().time())
        await pass_time(self.lives_s)
        raise RuntimeError("label empty or too long")


async def run_for(part, seconds):
    clock = LoopClock(lambda: False)
    task = asyncio.create_task(part.run())
    end_s = asyncio.get_running_loop().time() + seconds
    await clock.until(lambda: asyncio.get_running_loop().time() >= end_s)
    assert not task.done()
    task.cancel()
    await clock.until(task.done)
    assert task.cancelled()


@pytest.mark.parametrize(
    ("lives_s", "pauses"), [(0.0, [1, 2, 4, 8, 16, 32, MAX_PAUSE_S]), (STEADY_S + 1, [1, 1])]
)
async def test_it_is_begun_anew_after_pauses_that_are_bounded(lives_s, pauses, caplog):
    failing = Failing(lives_s)
    await run_for(Part("ptz", failing.run, lambda: None), 190)
    began_s = failing.began_s
    waited = [later - before - lives_s for before, later in pairwise(began_s)]
    assert waited[: len(pauses)] == pytest.approx(pauses, abs=0.5)
    assert "RuntimeError: label empty or too long" in caplog.text


async def test_the_section_tells_why():
    said = []
    part = Part("gnss", Failing().run, lambda: said.append(part.problem))
    await run_for(part, 2)
    assert said[:2] == [
        "gnss of the agent has failed, and is begun anew: RuntimeError: label empty or too long",
        "",
    ]
    part.problem = said[0]
    assert told(lambda: ModemSection(state="connected"), [part]).reason == said[0]
    gnss = told(lambda: GnssSection(state="fix"), [part])
    assert (gnss.state, gnss.problem) == ("absent", said[0])
    assert told(lambda: PtzSection(state="absent"), [part]).state == "absent"
    part.problem = ""
    assert told(lambda: ModemSection(reason="as it was"), [part]).reason == "as it was"


class BrokenWire:
    """Ends by a fault of its own; runs well from the second time on."""

    problem = ""

    def __init__(self, on_opened):
        self.on_opened, self.runs, self.frames = on_opened, 0, []

    async def run(self):
        self.runs += 1
        self.frames.append([self.on_opened()])
        await pass_time(1.0)
        if self.runs == 1:
            raise RuntimeError("broken")
        await asyncio.Event().wait()

    async def write(self, data):
        await pass_time(0.01)
        self.frames[-1].append(data)

    def confirm(self):
        pass


async def test_a_head_hears_a_stop_at_the_end_and_before_all_else_of_the_next_run(monkeypatch):
    wires = []

    def make_wire(_settings, _on_bytes, on_opened, _on_lost, **_):
        wires.append(BrokenWire(on_opened))
        return wires[-1]

    monkeypatch.setattr(wiring, "make_wire", make_wire)

    class Store:
        def load(self):
            return None

        def keep(self, *_, **__): ...

        def try_again(self, _now_s): ...

    def clock():
        return asyncio.get_running_loop().time()

    ptz = wiring.build(
        PtzSettings(port="/dev/none"),
        Store(),
        clock=clock,
        tell=print,
        on_change=lambda: None,
        on_event=print,
    )
    states = []
    part = Part("ptz", ptz.runner.run, lambda: states.append(ptz.desk.section().state))
    await run_for(part, 5)
    (wire,) = wires
    stop = b"\xff\x01\x00\x00\x00\x00\x01"
    first, second = wire.frames
    assert first[0] == first[-1] == second[0] == stop
    assert states[0] == "absent"
    assert wire.runs == 2
