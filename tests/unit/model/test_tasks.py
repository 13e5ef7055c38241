"""Groups of tasks on every Python we run on: what an error, a return and a cancellation lead to."""

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from agent.model.tasks import EndedError, EssentialTasks, TaskGroup

PACKAGE = Path(__file__).parents[3] / "agent"
TRIALS = 3


async def fail():
    await asyncio.sleep(0)
    raise LookupError("lost")


async def last():
    await asyncio.Event().wait()


async def broken_group():
    with pytest.raises(ExceptionGroup) as error:
        async with TaskGroup() as group:
            group.create_task(fail())
    assert error.group_contains(LookupError)


async def test_a_group_that_failed_leaves_no_cancel_request():
    for _ in range(TRIALS):
        await broken_group()
    assert asyncio.current_task().cancelling() == 0


async def test_a_timeout_after_a_group_that_failed_is_a_timeout():
    await broken_group()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await last()


async def test_a_group_waits_for_tasks_that_its_tasks_made():
    done = []

    async def late():
        await asyncio.sleep(0)
        done.append("late")

    async def early(group):
        await asyncio.sleep(0)
        group.create_task(late())

    async with TaskGroup() as group:
        group.create_task(early(group))
    assert done == ["late"]


async def test_a_cancellation_that_comes_with_an_error_is_not_lost():
    reached = []

    async def stubborn():
        try:
            await last()
        finally:
            raise LookupError

    async def body():
        try:
            async with TaskGroup() as group:
                group.create_task(stubborn())
        except* LookupError:
            pass
        await asyncio.sleep(0)
        reached.append("went on")

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not reached


async def end_by_return():
    await asyncio.sleep(0)


async def end_by_cancellation():
    await asyncio.sleep(0)
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("end", "how"), [(end_by_return, "returned"), (end_by_cancellation, "was cancelled"), (fail, "failed")]
)
async def test_an_essential_task_that_ends_ends_the_block(end, how):
    closed = []

    async def program():
        async with EssentialTasks() as tasks:
            other = tasks.start(last(), name="other")
            tasks.start(end(), name="radio")
            try:
                await tasks.until_one_ends()
            finally:
                other.cancel()
                closed.append(tasks.ended)

    with pytest.raises(ExceptionGroup) as error:
        await program()
    assert error.group_contains(LookupError if end is fail else EndedError)
    (words,) = closed
    assert words.startswith(f"the task radio {how}")


async def test_essential_tasks_may_end_while_the_program_closes():
    async def program():
        async with EssentialTasks() as tasks:
            children = [tasks.start(last(), name="child") for _ in range(TRIALS)]
            try:
                await tasks.until_one_ends()
            finally:
                for child in children:
                    child.cancel()
                await asyncio.wait(children)
                assert tasks.ended == ""

    task = asyncio.create_task(program())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_a_program_that_hangs_while_it_closes_is_ended():
    program = """
import asyncio
from agent.cli.process import serve
from agent.model import tasks

tasks.STOP_TIMEOUT_S = 0

async def program():
    async with tasks.EssentialTasks() as group:
        group.start(asyncio.sleep(0), name="radio")
        try:
            await group.until_one_ends()
        finally:
            await asyncio.Event().wait()

serve(program())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent, timeout=60, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "gives up on" in done.stderr


def test_every_group_in_the_package_is_one_of_these():
    for file in sorted(PACKAGE.rglob("*.py")):
        if file == PACKAGE / "model" / "tasks.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            used = node.attr if isinstance(node, ast.Attribute) else None
            assert used != "TaskGroup", f"{file.name}:{node.lineno}: use agent.model.tasks.TaskGroup"
