"""Commands that take a while: begun once, answered once, and bounded."""

import asyncio
import logging

import pytest

from agent.device.commands import ANSWERS, Commands
from agent.device.late import MAX_AT_WORK, MAX_OF_A_SESSION, LateCommands
from agent.device.ledger import Ledger
from agent.errors import CameraError
from agent.model.command import LATER, CommandError, Order
from agent.model.still import Picture, Snapshot

PICTURE = Picture("/9g=", 1.5, 640, 360)


def order(command="c1", way="broker", session=""):
    return Order(command, "snapshot", {}, "ann", ("watch",), way, session)


class Bench:
    def __init__(self):
        self.answers, self.begun, self.fault, self.gate = [], 0, None, asyncio.Event()
        self.late = LateCommands(lambda asked, result: self.answers.append((asked, result)))
        self.handle = self.late.handler(self.work)

    async def work(self, _order, wish):
        self.begun += 1
        assert wish == Snapshot()
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return PICTURE

    def ask(self, *arguments):
        return self.handle(order(*arguments), Snapshot())

    async def finish(self):
        self.gate.set()
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def bench():
    return Bench()


async def test_it_is_answered_when_it_is_done(bench):
    assert bench.ask() is LATER
    await asyncio.sleep(0)
    assert bench.answers == []
    await bench.finish()
    [(asked, result)] = bench.answers
    assert (asked.id, result.id, result.ok, result.code) == ("c1", "c1", True, "done")
    assert result.value == {"jpeg": "/9g=", "taken_at": 1.5, "width_px": 640, "height_px": 360}


async def test_what_is_asked_again_meanwhile_is_begun_once(bench):
    for _ in range(3):
        assert bench.ask() is LATER
    await bench.finish()
    assert (bench.begun, len(bench.answers)) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (CommandError("no-picture", "there is none"), "no-picture", "there is none"),
        (CameraError("check its cable"), "failed", "check its cable"),
        (ZeroDivisionError(), "internal", "ZeroDivisionError in the agent: see its log"),
        (CameraError("x" * 2000), "failed", "xxx"),
    ],
)
async def test_what_fails_says_why(bench, fault, code, words):
    bench.fault = fault
    bench.ask()
    await bench.finish()
    [(_, result)] = bench.answers
    assert (result.ok, result.code) == (False, code)
    assert result.message.startswith(words)


@pytest.mark.parametrize(("fault", "words"), [(None, ["'ann' had it record"]), (CameraError("none"), [])])
async def test_it_is_logged_where_it_was_done_and_once(tmp_path, caplog, fault, words):
    """As what is answered at once is."""
    gate = asyncio.Event()

    async def record(*_):
        await gate.wait()
        if fault:
            raise fault

    late = LateCommands(lambda *_: None)
    journal = Ledger(tmp_path / "commands.json", ANSWERS)
    commands = Commands({"record": late.handler(record)}, journal, lambda: 0.0)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert commands.run(Order("c1", "record", {}, "ann", ("control",), "broker")) is None
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
    assert caplog.messages == words


async def test_many_at_a_time_are_refused_and_there_is_room_again(bench):
    for number in range(MAX_AT_WORK):
        bench.ask(f"c{number}")
    with pytest.raises(CommandError) as caught:
        bench.ask("one-more")
    assert caught.value.code == "busy"
    await bench.finish()
    assert bench.ask("later") is LATER
    await bench.late.close()


async def test_one_viewer_does_not_keep_the_others_out(bench):
    for number in range(MAX_OF_A_SESSION):
        bench.ask(f"c{number}", "session", "ann's")
    with pytest.raises(CommandError, match="what you asked before") as caught:
        bench.ask("one-more", "session", "ann's")
    assert caught.value.code == "busy"
    assert bench.ask("c0", "session", "ann's") is LATER, "it is worked on"
    assert bench.ask("b0", "session", "bob's") is LATER
    for number in range(MAX_OF_A_SESSION + 1):
        assert bench.ask(f"p{number}") is LATER, "portals are not counted by sessions"
    await bench.finish()
    assert bench.ask("later", "session", "ann's") is LATER
    await bench.late.close()


async def test_at_the_end_nothing_is_at_work(bench):
    bench.ask()
    await asyncio.sleep(0)
    await bench.late.close()
    assert bench.answers == []
