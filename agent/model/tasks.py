"""Groups of tasks that behave alike on every Python we run on, and tasks whose end is the program's."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, Self, TypeVar

from agent.errors import PinholeError

T = TypeVar("T")
log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 8.0
"""How long a program may take to close, whatever made it end."""


class TaskGroup(asyncio.TaskGroup):
    """asyncio's own, but its block lasts as long as its tasks.

    Up to Python 3.12 an error that comes while asyncio's group waits behind its block leaves a cancel request
    on the parent for good: `cancelling()` stays 1. On 3.11.2, which Debian 12 has, every later
    `asyncio.timeout` of that parent then raises CancelledError instead of TimeoutError. Within the block an
    error is counted right by every version.
    """

    def __init__(self) -> None:
        super().__init__()
        self._children: set[asyncio.Task[Any]] = set()
        self._asked_before = 0

    async def __aenter__(self) -> Self:
        self._asked_before = _current_task().cancelling()
        await super().__aenter__()
        return self

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """As asyncio's."""
        task = super().create_task(coro, name=name, context=context)
        self._children.add(task)
        task.add_done_callback(self._children.discard)
        return task

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while error is None and self._children:
                await asyncio.wait(self._children)
        except asyncio.CancelledError as cancelled:
            kind, error, trace = type(cancelled), cancelled, cancelled.__traceback__
        try:
            await super().__aexit__(kind, error, trace)
        except BaseExceptionGroup:
            # Errors hide a cancellation that came with them; from 3.13 on asyncio repeats it likewise.
            if (parent := _current_task()).cancelling() > self._asked_before:
                parent.uncancel()
                parent.cancel()
            raise


class EndedError(PinholeError):
    """A task that has to last as long as the program has ended before it."""


class EssentialTasks(TaskGroup):
    """Tasks without which a program is none: the first end of one, by whatever way, is an error of the group.

    The block ends with `until_one_ends`, and may then close in order. A program that does not get to the end
    of that within STOP_TIMEOUT_S is ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_closing = False
        self._deadline: asyncio.TimerHandle | None = None
        self.ended = ""
        """Which task was the first to end, and how; empty while all live."""

    def start(self, coro: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Make a task that has to last until the block closes."""
        task = self.create_task(self._must_last(coro), name=name)
        task.add_done_callback(lambda _: coro.close())  # where it was cancelled before it began
        return task

    async def until_one_ends(self, asked: asyncio.Event | None = None) -> None:
        """Wait for the cancellation that the end of a task brings, or another; from then on tasks may end.

        Returns where somebody asked for the end.
        """
        try:
            await (asked or asyncio.Event()).wait()
        finally:
            self._is_closing = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closing = True
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            if self._deadline:
                self._deadline.cancel()

    async def _must_last(self, coro: Coroutine[Any, Any, None]) -> None:
        try:
            await coro
        except asyncio.CancelledError:
            if self._may_end:
                raise
            self._note_end("was cancelled")
        except BaseException:
            if not self._may_end:
                self._note_end("failed")
            raise
        else:
            if self._may_end:
                return
            self._note_end("returned")
        raise EndedError(self.ended)

    @property
    def _may_end(self) -> bool:
        return self._is_closing or bool(self.ended)

    def _note_end(self, how: str) -> None:
        self.ended = f"the task {_current_task().get_name()} {how}, and nothing goes on without it"
        self._deadline = give_up_later()


def give_up_later() -> asyncio.TimerHandle:
    """End the process if it is still there after STOP_TIMEOUT_S.

    What hangs must not keep a device, or its service manager, waiting: systemd starts it again.
    """
    return asyncio.get_running_loop().call_later(STOP_TIMEOUT_S, _give_up)


def _give_up() -> None:
    names = sorted(task.get_name() for task in asyncio.all_tasks())
    log.critical(f"did not end within {STOP_TIMEOUT_S:g} s, gives up on: {', '.join(names)}")
    os._exit(1)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
