"""A modem by its AT port: asked each minute and when it has news, told little. See `at.py` for the talk."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agent.config import ModemSettings
from agent.errors import LineError, ModemError
from agent.model.tasks import TaskGroup
from agent.serial.modem import commands
from agent.serial.modem.answers import data_context, read_answer, read_fields
from agent.serial.modem.at import LEAVE_PROMPT, Answer, Channel, Event, News, Prompt, redact
from agent.serial.modem.commands import Command
from agent.serial.modem.data import DataCount, Traffic, interface_traffic
from agent.serial.modem.reading import Reading, best_registration, merge, status_of
from agent.serial.modem.routes import port_device
from agent.serial.modem.sms import OnSms
from agent.serial.modem.status import ModemState, ModemStatus
from agent.serial.modem.vendors import STANDARD, Vendor, counted, vendor_of
from agent.serial.modem.wire_inbox import WireInbox
from agent.serial.port import Line, LineSettings, OnLineEvent, OpenPort

log = logging.getLogger(__name__)

BAUD = 115200
"""What modems that have a UART expect; one on USB takes any."""
POLL_S, SOON_S = 60.0, 15.0
"""How often it is asked; and while it carries no data, of whose return modems tell no news."""
NEWS_S = 3.0
"""News comes in bursts: RDY, CPIN, CEREG, PB DONE."""
RETRY_S = 10.0
MAX_MISSES = 3
"""Commands in a row without an answer: the port is sick."""
QUIET_S = 1.1
"""Silence around `+++`, and before the first command after one that was missed."""
RADIO_PAUSE_S = 2.0
CUT_OFF_S = 4.0
"""What switching on may take where the agent ends meanwhile: well within its `STOP_TIMEOUT_S`."""
_STARTED = ("RDY", "PB DONE", "SMS DONE", "*ATREADY", "+CFUN: 1")
"""The modem has started: what it was set to is gone."""
_CHANGED = ("+CEREG", "+CGREG", "+C5GREG", "+CREG", "+CPIN", "+CGEV", "+SIMCARD", "+QIND", "+QUSIM", "+CMTI")

_UNASKED = ModemStatus(source="at", reason="it has yet to answer")


class WireModem:
    """One modem. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: ModemSettings,
        count: DataCount,
        on_change: Callable[[], None],
        on_event: OnLineEvent,
        open_port: OpenPort | None = None,
        *,
        on_sms: OnSms | None = None,
        has_receiver: Callable[[], bool] = lambda: False,
    ) -> None:
        """`on_change` is called when its state has become another one; without `on_sms` none is read.

        `has_receiver`: somebody reads satellites by another port of it.
        """
        self.line = Line(
            LineSettings("modem", settings.port, BAUD, dtr=True),  # without it SIM7600 and EC25 tell no news
            self._on_bytes,
            on_opened=self._on_opened,
            on_lost=self._on_lost,
            on_event=on_event,
            open_port=open_port,
        )
        self._interface, self._count = settings.interface, count
        self._on_change = on_change
        self._channel = Channel()
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Answer | Prompt] | None = None
        self._inbox = WireInbox(on_sms, self._ask) if on_sms else None
        self._has_receiver = has_receiver
        self._apn = ""
        """Wanted, and not yet set."""
        self._open, self._due = asyncio.Event(), asyncio.Event()
        self._is_fresh = True
        """It has yet to be set up."""
        self._is_in_step = False
        """No answer to an earlier command can come any more."""
        self._misses = 0
        self._vendor: Vendor = STANDARD
        self._has_counter = False
        """Of its own."""
        self._identity = Reading()
        self._status = _UNASKED

    @property
    def status(self) -> ModemStatus:
        """What it said last; `absent` without a port, `failed` without an answer."""
        if self.line.problem:
            state: ModemState = "absent" if self.line.state == "absent" else "failed"
            return ModemStatus(source="at", state=state, reason=self.line.problem)
        return self._status

    @property
    def device(self) -> Path | None:
        """Its port's."""
        return port_device(self.line.settings.port)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with TaskGroup() as group:
                group.create_task(self.line.run(), name="modem-line")
                group.create_task(self._talk(), name="modem-talk")
        finally:
            self._count.close()

    async def renew_bearer(self) -> None:
        """By its context; where the network does not let its only one go, by detaching. Raises ModemError."""
        contexts = [each for line in (await self._ask(commands.CONTEXTS)).lines for each in _active(line)]
        context = next(iter(contexts), 1)
        try:
            await self._do(commands.deactivate(context))
        except ModemError:
            await self._do(commands.DETACH)
            await self._do(commands.ATTACH)
        await self._do(commands.activate(context))
        self._due.set()

    async def cycle_radio(self) -> None:
        """Off, and on again whatever comes in between. Raises ModemError."""
        try:
            try:
                await self._do(commands.RADIO_OFF)
                await asyncio.sleep(RADIO_PAUSE_S)
            except ModemError:
                await self._do(commands.RADIO_ON)
                raise
            await self._do(commands.RADIO_ON)
        except asyncio.CancelledError:  # which no fault of the modem's may take the place of
            with contextlib.suppress(ModemError, TimeoutError):
                async with asyncio.timeout(CUT_OFF_S):
                    await self._do(commands.RADIO_ON)
            raise
        self._due.set()

    async def reset_modem(self) -> None:
        """It may vanish before it has answered, but not before it was asked. Raises ModemError."""
        if self.line.state != "open":
            raise ModemError(self._away)
        try:
            await self._do(commands.RESET)
        except ModemError:
            if self.line.state == "open":
                raise
        self._is_fresh = True

    def set_apn(self, apn: str) -> None:
        """Connect by another access point name, soon and from now on."""
        self._apn = apn
        self._due.set()

    @property
    def _away(self) -> str:
        return self.line.problem or "the modem's port is not open"

    async def _talk(self) -> None:
        while True:
            await self._open.wait()
            self._due.clear()
            try:
                if self._is_fresh:
                    await self._begin()
                await self._poll()
                if self._inbox and self._status.sim == "ready":
                    await self._inbox.look()
                if self._apn:
                    await self._change_apn()
            except ModemError as exc:
                is_open = self.line.state == "open"
                if is_open:
                    self._take(ModemStatus(source="at", state="failed", reason=str(exc)))
                await asyncio.sleep(RETRY_S if is_open else 1)
            else:
                await self._pause()

    async def _pause(self) -> None:
        """Until the next poll is due, or there is news; a burst of it is one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S if self._status.state == "connected" else SOON_S):
                await self._due.wait()
                await asyncio.sleep(NEWS_S)
        self._due.clear()

    async def _begin(self) -> None:
        """Set it up; what it refuses of that it does not know."""
        self._is_fresh = False
        try:
            await self._ask(commands.ECHO_OFF)
            for command, older in zip(commands.WITH_CAUSE, commands.WITHOUT_CAUSE, strict=True):
                if not (await self._ask(command)).is_ok:
                    await self._ask(older)
            for command in (commands.NUMERIC_ERRORS, commands.OPERATOR_NAME):
                await self._ask(command)
            asked = [await self._ask(command) for command in (commands.MAKER, commands.MODEL)]
        except ModemError:
            self._is_fresh = True
            raise
        if self._inbox:
            self._inbox.begin_anew()
        self._identity = merge(*map(read_answer, asked))
        self._vendor = vendor_of(self._identity.maker or "", self._identity.model or "")
        if self._has_receiver():
            await self._switch_receiver_on()

    async def _switch_receiver_on(self) -> None:
        """Until the modem starts anew; one that is on refuses to be switched on."""
        for is_on, switch_on in self._vendor.receivers:
            answer = await self._ask(is_on)
            if not answer.is_ok:  # another kind of the maker's
                continue
            said = read_fields(answer.lines[0])[:1] if answer.lines else []
            if said != ["1"] and not (await self._ask(switch_on)).is_ok:
                log.warning(f"the modem's satellite receiver stays off: it refuses {switch_on.text}")
            return

    async def _poll(self) -> None:
        """Ask for all that is told."""
        readings = [self._identity]
        readings += [read_answer(await self._ask(each)) for each in (commands.FUNCTION, commands.SIM)]
        found = [read_answer(await self._ask(each)) for each in commands.REGISTRATIONS]
        readings.append(best_registration(found))
        readings += [read_answer(await self._ask(each)) for each in commands.STANDARD]
        traffic = await self._traffic()
        for command in self._vendor.polls:
            answer = await self._ask(command)
            if not answer.is_ok:  # as a SIM7600 says to the first AT+CPSI? after it has started
                answer = await self._ask(command)
            readings.append(self._vendor.read(answer))
        self._take(self._with_data(status_of(merge(*readings)), traffic))

    async def _change_apn(self) -> None:
        """Of the context that is for data. A refusal ends it: whoever asked for it may ask again."""
        context, kind = data_context(await self._ask(commands.ACCESS_POINTS))
        answer = await self._ask(commands.define(context, kind, self._apn))
        self._apn = ""
        if not answer.is_ok:
            log.warning(f"the modem refuses another access point name: {answer.result}")
            return
        try:
            await self.renew_bearer()
        except ModemError as exc:
            log.warning(f"there is no connection by the new access point name: {exc}")

    async def _traffic(self) -> list[Traffic]:
        """By its own counters; of a modem that has none, and never had, by the kernel's of its interface."""
        asked = [await self._ask(each) for each in self._vendor.counts]
        own = [one for one in map(counted, asked) if one]
        self._has_counter = self._has_counter or bool(own)
        if self._has_counter or not self._interface:
            return own
        traffic = interface_traffic(self._interface)
        return [traffic] if traffic else []

    def _with_data(self, status: ModemStatus, traffic: list[Traffic]) -> ModemStatus:
        if not traffic:
            return status
        self._count.add(traffic, time.monotonic())
        count = self._count.counted
        return replace(
            status,
            data_since=count.since,
            received_bytes=count.received_bytes,
            sent_bytes=count.sent_bytes,
        )

    def _take(self, status: ModemStatus) -> None:
        is_other = (status.state, status.reason) != (self._status.state, self._status.reason)
        self._status = status
        if is_other:
            log.info(f"modem: {status.state}{': ' if status.reason else ''}{status.reason}")
            self._on_change()

    async def _do(self, command: Command) -> None:
        """Raises ModemError where it is refused."""
        answer = await self._ask(command)
        if not answer.is_ok:
            raise ModemError(f"the modem refuses {command.text}: {answer.result}")

    async def _ask(self, command: Command) -> Answer:
        """One command after the other. Raises ModemError where nothing comes, or the port is away."""
        async with self._turn:
            if self.line.state != "open":
                raise ModemError(self._away)
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
        if self._misses == MAX_MISSES - 1:
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
            self._is_in_step, self._misses = False, MAX_MISSES - 1
            raise ModemError("the modem's port carries data, not commands")
        if counts:
            self._misses = 0
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
        self._misses += 1
        log.debug(f"modem: {command.text} was not answered")
        if self._misses >= MAX_MISSES:
            self._misses = 0
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
                if line in _STARTED:
                    self._is_fresh = True
                    self._due.set()
                elif line.startswith(_CHANGED):
                    self._due.set()

    def _on_opened(self) -> bytes:
        self._channel.reset()
        self._is_fresh, self._is_in_step = True, False
        self._open.set()
        self._due.set()
        return b""

    def _on_lost(self, why: str) -> None:
        self._open.clear()
        if self._answer and not self._answer.done():
            self._answer.set_exception(LineError(f"the modem's port was lost: {why}"))
        self._status = _UNASKED
        self._on_change()


def _active(line: str) -> list[int]:
    """Of `+CGACT: 1,1` the context."""
    context, _, state = line.partition(":")[2].strip().partition(",")
    return [int(context)] if state.strip() == "1" and context.isdecimal() and 1 <= int(context) <= 16 else []
