"""Unit tests give the time as an argument, or move a clock of their own (`tests/fakes/clock.py`)."""

import ast
import asyncio
import selectors
from contextlib import suppress
from pathlib import Path

import pytest
from parts.waiting import no_waiting

UNIT = Path(__file__).parents[1]


@pytest.fixture
def _no_waiting():
    """In place of the one for all unit tests: one of these waits, to be seen."""


def sleeps(source: str) -> list[int]:
    """The lines that sleep for longer than one turn of the event loop."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if is_sleep(ast.unparse(call.func)) and not is_a_turn(call)]


def is_sleep(function: str) -> bool:
    return function.rsplit(".", maxsplit=1)[-1] == "sleep" or function == "threading.Timer"


def is_a_turn(call: ast.Call) -> bool:
    return [ast.literal_eval(it) for it in call.args if isinstance(it, ast.Constant)] == [0]


def is_slow(source: str) -> bool:
    return any(
        isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.slow"
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.parametrize("file", sorted(UNIT.rglob("*.py")), ids=lambda file: str(file.relative_to(UNIT)))
def test_no_unit_test_sleeps_or_is_slow(file):
    source = file.read_text()
    assert not sleeps(source)
    assert not is_slow(source), "slow tests have folders of their own"


@pytest.mark.parametrize(
    "line", ["time.sleep(1)", "await asyncio.sleep(0.001)", "sleep(s)", "threading.Timer(1, go)", "x.sleep()"]
)
def test_a_sleep_is_seen(line):
    assert sleeps(f"async def test():\n    {line}") == [2]


def test_a_turn_of_the_loop_is_none():
    assert sleeps("async def test():\n    await asyncio.sleep(0)") == []


def test_a_timer_that_is_waited_for_is_seen(monkeypatch):
    passed_s = [0.0]

    def select(_self, timeout=None):
        passed_s[0] += timeout or 0.0
        return []

    async def wait():
        asyncio.get_running_loop().time = lambda: passed_s[0]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 60)

    monkeypatch.setattr(selectors.DefaultSelector, "select", select)
    with pytest.raises(AssertionError, match="waits for real time, 60 s in all"), no_waiting():
        asyncio.run(wait())


def test_a_limit_that_is_not_reached_is_none():
    with no_waiting():
        asyncio.run(asyncio.wait_for(asyncio.to_thread(int), 60))
