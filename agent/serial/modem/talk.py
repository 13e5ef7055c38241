"""One command after the other over an AT port, each with its own answer. See `at.py` for the talk."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from agent.errors import LineError, ModemError
from agent.serial.modem import commands
from agent.serial.modem.at import LEAVE_PROMPT, Answer, Channel, Event, News, Prompt, redact
from agent.serial.modem.commands import Command
from agent.serial.port import Line, LineSettings, OnLineEvent, OpenPort

log = logging.getLogger(__name__)

BAUD = 115200
"""What modems that have a UART expect; one on USB takes any."""
MAX_MISSES = 3
"""Commands in a row without an answer: the port is sick."""
QUIET_S = 1.1
"""Silence around `+++`, and before the first command after one that was missed."""


class Talk:
    """With one modem, by one port. All methods belong to the event loop's thread."""

    def __init__(
        self,
        name: str,
        port: str,
        on_event: OnLineEvent,
        open_port: OpenPort | None = None,
        *,
        on_opened: Callable[[], None],
        on_lost: Callable[[], None] = lambda: None,
        on_news: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_news` gets a line that nobody asked for."""
        self.line = Line(
            LineSettings(name, port, BAUD, dtr=True),  # without it SIM7600 and EC25 tell no news
            self._on_bytes,
            on_opened=self._on_opened,
            on_lost=self._on_lost,
            on_event=on_event,
            open_port=open_port,
        )
        self._tell_opened, self._tell_lost, self._tell_news = on_opened, on_lost, on_news
        self.opened = asyncio.Event()
        """The port is open."""
        self.misses = 0
        """In a row."""
        self._channel = Channel()
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Answer | Prompt] | None = None
        self._is_in_step = False
        """No answer to an earlier command can come any more."""

    @property
    def away(self) -> str:
        """Why nothing can be asked."""
        return self.line.problem or "the modem's port is not open"

    @property
    def is_busy(self) -> bool:
        """A command has yet to be answered."""
        return self._turn.locked()

    async def do(self, command: Command) -> None:
        """Raises ModemError where it is refused."""
        answer = await self.ask(command)
        if not answer.is_ok:
            raise ModemError(f"the modem refuses {command.text}: {answer.result}")

    async def ask(self, command: Command) -> Answer:
        """One command after the other. Raises ModemError where nothing comes, or the port is away."""
        async with self._turn:
            if self.line.state != "open":
                raise ModemError(self.away)
            if not self._is_in_step:
                await self._get_in_step()
            return await self._exchange(command)

    async def _get_in_step(self) -> None:
        """Wait for what may still come of an earlier command; leave a prompt, and at last data mode."""
        if self._channel.is_at_prompt:
            self._channel.is_at_prompt = False
            with contextlib.suppress(LineError):  # which the next command meets too
                await self.line.write(LEAVE_PROMPT)
        await asyncio.sleep(QUIET_S)
        if self.misses == MAX_MISSES - 1:
            with contextlib.suppress(ModemError):
                await self._exchange(commands.ESCAPE, counts=False)
                await asyncio.sleep(QUIET_S)
                await self._exchange(commands.HANG_UP, counts=False)
            with contextlib.suppress(ModemError):  # where it took the escape for the begin of a command
                await self._exchange(commands.ATTENTION, counts=False)
        await self._exchange(commands.FUNCTION)
        self._is_in_step = True

    async def _exchange(self, command: Command, *, counts: bool = True) -> Answer:
        self._answer = asyncio.get_running_loop().create_future()
        try:
            await self._send(command)
            async with asyncio.timeout(command.limit_s):
                answer = await self._answered()
        except TimeoutError as exc:
            if counts:
                self._note_miss(command)
            raise ModemError(f"the modem does not answer {command.text}") from exc
        except LineError as exc:
            raise ModemError(str(exc)) from exc
        finally:
            self._answer = None
            if self._channel.expire(float("inf")):  # by a time-out, or since who asked was cancelled
                self._is_in_step = False
        if self._channel.is_in_data_mode:
            self._is_in_step, self.misses = False, MAX_MISSES - 1
            raise ModemError("the modem's port carries data, not commands")
        if counts:
            self.misses = 0
            self.line.confirm()
        return answer

    async def _answered(self) -> Answer:
        """What was sent, or asked for by a prompt; two at most."""
        assert self._answer
        event = await self._answer
        while isinstance(event, Prompt):
            self._answer = asyncio.get_running_loop().create_future()
            await self.line.write(event.body)
            event = await self._answer
        return event

    async def _send(self, command: Command) -> None:
        data = self._channel.send(command, asyncio.get_running_loop().time())
        await self.line.write(data)

    def _note_miss(self, command: Command) -> None:
        self.misses += 1
        log.debug(f"modem: {command.text} was not answered")
        if self.misses >= MAX_MISSES:
            self.misses = 0
            self.line.reopen(f"{MAX_MISSES} commands in a row were not answered")

    def _on_bytes(self, data: bytes) -> None:
        for event in self._channel.feed(data):
            self._on(event)

    def _on(self, event: Event) -> None:
        match event:
            case Answer() | Prompt():
                if self._answer and not self._answer.done():
                    self._answer.set_result(event)
            case News(line):
                log.debug(f"modem: {redact(line)}")
                self._tell_news(line)

    def _on_opened(self) -> bytes:
        self._channel.reset()
        self._is_in_step = False
        self.opened.set()
        self._tell_opened()
        return b""

    def _on_lost(self, why: str) -> None:
        self.opened.clear()
        if self._answer and not self._answer.done():
            self._answer.set_exception(LineError(f"the modem's port was lost: {why}"))
        self._tell_lost()
