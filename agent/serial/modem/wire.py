"""A modem by its AT port: asked each minute and when it has news, told little. See `at.py` for the talk."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agent.config import ModemSettings
from agent.errors import ModemError
from agent.model.tasks import TaskGroup
from agent.serial.modem import commands
from agent.serial.modem.answers import data_context, read_answer, read_fields
from agent.serial.modem.data import DataCount, Traffic, interface_traffic
from agent.serial.modem.reading import Reading, best_registration, merge, status_of
from agent.serial.modem.routes import port_device
from agent.serial.modem.sms import OnSms
from agent.serial.modem.status import ModemState, ModemStatus
from agent.serial.modem.talk import Talk
from agent.serial.modem.vendors import STANDARD, Vendor, counted, vendor_of
from agent.serial.modem.wire_inbox import WireInbox
from agent.serial.port import OnLineEvent, OpenPort

log = logging.getLogger(__name__)

POLL_S, SOON_S = 60.0, 15.0
"""How often it is asked; and while it carries no data, of whose return modems tell no news."""
NEWS_S = 3.0
"""News comes in bursts: RDY, CPIN, CEREG, PB DONE."""
RETRY_S = 10.0
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
        self._talk = Talk(
            "modem",
            settings.port,
            on_event,
            open_port,
            on_opened=self._on_opened,
            on_lost=self._on_lost,
            on_news=self._on_news,
        )
        self.line, self._ask, self._do = self._talk.line, self._talk.ask, self._talk.do
        self._interface, self._count = settings.interface, count
        self._on_change = on_change
        self._inbox = WireInbox(on_sms, self._ask) if on_sms else None
        self._has_receiver = has_receiver
        self._apn = ""
        """Wanted, and not yet set."""
        self._due = asyncio.Event()
        self._is_fresh = True
        """It has yet to be set up."""
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
                group.create_task(self._serve(), name="modem-talk")
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
            raise ModemError(self._talk.away)
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

    async def _serve(self) -> None:
        while True:
            await self._talk.opened.wait()
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

    def _on_news(self, line: str) -> None:
        if line in _STARTED:
            self._is_fresh = True
            self._due.set()
        elif line.startswith(_CHANGED):
            self._due.set()

    def _on_opened(self) -> None:
        self._is_fresh = True
        self._due.set()

    def _on_lost(self) -> None:
        self._status = _UNASKED
        self._on_change()


def _active(line: str) -> list[int]:
    """Of `+CGACT: 1,1` the context."""
    context, _, state = line.partition(":")[2].strip().partition(",")
    return [int(context)] if state.strip() == "1" and context.isdecimal() and 1 <= int(context) <= 16 else []
