"""Commands that take a while: each is worked on in a task of its own, and answered when it is done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from agent.device.commands import Handler, note_done
from agent.errors import MessageError, PinholeError
from agent.model.command import COMMANDS, LATER, CommandError, Nothing, Order, encode_result
from agent.model.signal import Result
from agent.model.text import clip

log = logging.getLogger(__name__)

MAX_AT_WORK, MAX_OF_A_SESSION = 16, 4
"""Of all viewers and portals together, and of one viewer, who cannot keep the others out."""

Work = Callable[[Order, Any], Awaitable[Any]]
"""`work(order, arguments)` returns the table's result, or LATER where somebody else answers, or raises
CommandError or another PinholeError."""


class LateCommands:
    """What is asked again while it is worked on, by the same id, is not begun again."""

    def __init__(self, answer: Callable[[Order, Result], None]) -> None:
        """`answer` brings the result to who asked."""
        self._answer = answer
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._sessions: dict[str, str] = {}
        """Whose each is."""

    def handler(self, work: Work) -> Handler:
        """A handler that has the work done."""

        def handle(order: Order, arguments: Any) -> object:
            if order.id not in self._at_work:
                self._check_room(order.session)
                task = asyncio.create_task(self._do(work, order, arguments), name=f"command {order.name}")
                self._at_work[order.id], self._sessions[order.id] = task, order.session
                task.add_done_callback(lambda _: self._forget(order.id))
            return LATER

        return handle

    async def close(self) -> None:
        """Give up what is not done."""
        tasks = list(self._at_work.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_room(self, session: str) -> None:
        if len(self._at_work) >= MAX_AT_WORK:
            raise CommandError("busy", "the camera has much to do: try again in a moment")
        if session and list(self._sessions.values()).count(session) >= MAX_OF_A_SESSION:
            raise CommandError("busy", "the camera still does what you asked before: try again in a moment")

    def _forget(self, command: str) -> None:
        self._at_work.pop(command, None)
        self._sessions.pop(command, None)

    async def _do(self, work: Work, order: Order, arguments: Any) -> None:
        kind = COMMANDS[order.name]
        try:
            value = await work(order, arguments)
            note_done(order)
            if value is LATER:
                return
            told = encode_result(kind, Nothing() if value is None else value)
            result = Result(0, order.id, kind.name, ok=True, code="done", value=told)
        except PinholeError as exc:
            code = exc.code if isinstance(exc, MessageError) else "failed"
            result = Result(0, order.id, kind.name, ok=False, code=code, message=clip(str(exc)))
        except Exception as exc:
            log.exception("the command %s failed", kind.name)
            words = f"{type(exc).__name__} in the agent: see its log"
            result = Result(0, order.id, kind.name, ok=False, code="internal", message=words)
        self._answer(order, result)
