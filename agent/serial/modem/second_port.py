"""The second AT port of a modem that ModemManager has: how warm it is, which ModemManager does not tell.

udev keeps that port from ModemManager (`70-pinhole-modem.rules`). Nothing is set by it, and no news is asked
for.
"""

import asyncio
import logging
from pathlib import Path

from agent.errors import ModemError
from agent.model.tasks import TaskGroup
from agent.serial.modem import commands
from agent.serial.modem.answers import read_answer
from agent.serial.modem.reading import merge
from agent.serial.modem.talk import Talk
from agent.serial.modem.vendors import Vendor, vendor_of
from agent.serial.port import OpenPort

log = logging.getLogger(__name__)

LOOK_S = 10.0
"""Until it is looked for again, of a modem that may have none."""
POLL_S, RETRY_S = 60.0, 30.0


class SecondPort:
    """One modem's. All methods belong to the event loop's thread."""

    def __init__(self, port: str, open_port: OpenPort | None = None) -> None:
        """That it was lost is no event: ModemManager says what became of the modem."""
        self._port = Path(port)
        self._talk = Talk(
            "the modem's second port",
            port,
            lambda *_: None,
            open_port,
            on_opened=self._forget,
            on_lost=self._forget,
        )
        self._vendor: Vendor | None = None
        self.temperature_c: float | None = None
        """As it said last; None where nobody knows."""

    async def run(self) -> None:
        """Until cancelled. Nothing is opened or logged as long as there is no such port."""
        while not self._is_there():  # noqa: ASYNC110  # the kernel tells nobody without a cost of its own
            await asyncio.sleep(LOOK_S)
        async with TaskGroup() as group:
            group.create_task(self._talk.line.run(), name="modem-second-line")
            group.create_task(self._serve(), name="modem-second-talk")

    async def _serve(self) -> None:
        while True:
            await self._talk.opened.wait()
            try:
                await self._poll()
            except ModemError as exc:
                self.temperature_c = None
                log.debug("the modem does not tell how warm it is: %s", exc)
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(POLL_S)

    async def _poll(self) -> None:
        if self._vendor is None:
            await self._talk.ask(commands.ECHO_OFF)
            asked = [await self._talk.ask(each) for each in (commands.MAKER, commands.MODEL)]
            identity = merge(*map(read_answer, asked))
            self._vendor = vendor_of(identity.maker or "", identity.model or "")
        vendor = self._vendor
        said = merge(*[vendor.read(await self._talk.ask(each)) for each in vendor.heat])
        self.temperature_c = said.temperature_c

    def _forget(self) -> None:
        """Another modem may be in its place."""
        self._vendor, self.temperature_c = None, None

    def _is_there(self) -> bool:
        try:
            return self._port.exists()
        except OSError:
            return False
