"""Asks gpsd, or reads the receiver's own port, and says where the device is as far as others may know."""

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from agent.config import GnssSettings
from agent.model.clock import EARLIEST_UNIX_S
from agent.model.event import EventKind
from agent.model.sections import GnssSection
from agent.model.signal import Detail
from agent.model.tasks import TaskGroup
from agent.serial.gnss import gpsd
from agent.serial.gnss.fix import Publication, Receiver
from agent.serial.gnss.gpsd import Gpsd
from agent.serial.gnss.nmea import Reader
from agent.serial.port import Line, LineSettings

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often what was heard is looked at: a receiver speaks each second."""
ASK_S = 3.0
"""gpsd is on this machine, and says at once what it is."""
LIST_S = 30.0
"""How often gpsd is asked what it still reads, which shows too that it hangs."""
RETRY_S = 10.0
SETTLED_S = 3.0
"""What gpsd tells sooner after the port was plugged anew may still be of the old one."""
LINE_S = 0.01
"""At most one line of gpsd's in this time: it says a few a second, and what floods us else costs a core."""
BAUDS = (9600, 115_200, 38_400, 4800)
"""By how many receivers are delivered with them."""
HEARING_S, MAX_DOUBLINGS = 4.0, 4
"""How long one rate is listened to; where none of them gave a sentence, twice as long each round."""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Plugging = tuple[int, int]
"""Of a port: each time its device node is another one, by inode and time."""


async def _open_gpsd() -> Connection:
    return await asyncio.open_connection(gpsd.HOST, gpsd.PORT, limit=gpsd.MAX_LINE_BYTES)


class Locator:
    """One receiver, whoever reads its port."""

    def __init__(
        self,
        settings: GnssSettings,
        on_change: Callable[[], None],
        on_event: Callable[[EventKind, str, dict[str, Detail]], None] = lambda _, __, ___: None,
        open_gpsd: Callable[[], Awaitable[Connection]] = _open_gpsd,
    ) -> None:
        """`on_change`: the section has. `open_gpsd` raises OSError where it is not there."""
        self._settings, self._on_change, self._open_gpsd = settings, on_change, open_gpsd
        self._bauds = cycle((settings.baud,) if settings.baud else BAUDS)
        self._line: Line | None = None
        if settings.port:
            wanted = LineSettings("gnss", settings.port, next(self._bauds))
            self._line = Line(wanted, self._on_bytes, on_event=on_event)
        self._reader, self._receiver = Reader(), Receiver(EARLIEST_UNIX_S)
        self._publication = Publication(settings.publish_decimals)
        self._gpsd: Gpsd | None = None
        """None while it is not gpsd that is heard."""
        self._told = ""
        """What came of gpsd the last time."""
        self._is_mute = False
        """The port is there, and no rate gives a sentence any more."""
        self._section = GnssSection(state="absent", problem="nobody was asked yet")

    def section(self) -> GnssSection:
        """What the portal is told. It changes with what matters, and not with each satellite."""
        return self._section

    async def run(self) -> None:
        """Until cancelled."""
        async with TaskGroup() as group:
            group.create_task(self._hear(), name="gnss-hear")
            while True:
                await asyncio.sleep(LOOK_S)
                self._look(_now_s(), time.time())

    async def _hear(self) -> None:
        """Ask gpsd where it reads this receiver: of two who read one port each gets half of it."""
        while True:
            if not await self._hear_gpsd() and self._line:
                await self._hear_port(self._line)
            await asyncio.sleep(RETRY_S)

    async def _hear_gpsd(self) -> bool:
        """Until it ends; False at once where it is not there, or does not read our port."""
        try:
            async with asyncio.timeout(ASK_S):
                reader, writer = await self._open_gpsd()
        except OSError:
            return False
        said = Gpsd(EARLIEST_UNIX_S, self._is_ours)
        try:
            writer.write(gpsd.WATCH)
            async with asyncio.timeout(ASK_S):
                while not said.is_gpsd or not said.lists:
                    await _take_line(reader, said)
            if self._line and not said.devices:
                return False
            said.begin(_now_s())
            self._gpsd = said
            await self._follow(said, reader, writer)
        except (OSError, ValueError) as exc:  # ValueError: a line without an end
            self._tell(f"gpsd is not heard any more: {str(exc) or type(exc).__name__}")
            return self._gpsd is not None
        else:
            self._tell(f"gpsd does not read {self._settings.port} any more")
            return False
        finally:
            self._gpsd = None
            writer.close()

    def _tell(self, words: str) -> None:
        """Once: it is tried again each 10 s."""
        if words != self._told:
            self._told = words
            log.info(words)

    async def _follow(self, said: Gpsd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until our port is there and gpsd does not read it. Raises OSError where it has ended or hangs.

        One that lists the port, and has said nothing since that was plugged anew, holds on to the old one.
        """
        plugging = _HeardPlugging(self._plugged())

        async def take_line() -> None:
            before_s = said.heard_s
            await _take_line(reader, said)
            if said.heard_s > before_s:
                plugging.hear(self._plugged(), said.heard_s)

        while said.devices or not os.access(self._settings.port, os.F_OK):
            if plugging.is_unheard(self._plugged(), _now_s()) and said.is_silent(_now_s()):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIST_S):
                    while True:
                        await take_line()
            lists = said.lists
            writer.write(gpsd.WATCH)
            async with asyncio.timeout(ASK_S):
                while said.lists == lists:
                    await take_line()

    def _plugged(self) -> Plugging | None:
        """None without any, or where it is gpsd's alone."""
        if not self._settings.port:
            return None
        try:
            node = Path(self._settings.port).stat()
        except OSError:
            return None
        return node.st_ino, node.st_ctime_ns

    def _is_ours(self, device: str) -> bool:
        port = self._settings.port
        return not port or os.path.realpath(port) == os.path.realpath(device)

    async def _hear_port(self, line: Line) -> None:
        """Until it cannot be opened, since gpsd may have it."""
        async with TaskGroup() as group:
            running = group.create_task(line.run(), name="gnss-port")
            await self._find_rate(line)
            running.cancel()

    async def _find_rate(self, line: Line) -> None:
        """Try one after the other while nothing sound is heard."""
        silences = 0
        while True:
            before = self._reader.sound
            await asyncio.sleep(HEARING_S * 2 ** min(silences // len(BAUDS), MAX_DOUBLINGS))
            if line.state == "failed":
                return
            if self._reader.sound > before:
                silences, self._is_mute = 0, False
                line.confirm()
            elif line.state == "open":
                silences, self._is_mute = silences + 1, True
                if not self._settings.baud:
                    line.settings = replace(line.settings, baud=next(self._bauds))
                    line.reopen("no sentence at this rate")

    def _on_bytes(self, data: bytes) -> None:
        for said in self._reader.feed(data):
            self._receiver.take(said, _now_s())

    def _look(self, now_s: float, now_unix_s: float) -> None:
        """Once; tells where something has changed that others should know."""
        fix = (self._gpsd or self._receiver).fix(now_s)
        if fix:
            self._publication.take(fix.place, now_s)
        problem = "" if fix else self._problem()
        state = "fix" if fix else "absent" if problem else "searching"
        before, place = self._section, self._publication.shown
        now = replace(
            before,
            state=state,
            problem=problem,
            source="gpsd" if self._gpsd else "nmea" if self._line else "",
            since=before.since if state == before.state else now_unix_s,
            latitude_deg=place.latitude_deg if place else None,
            longitude_deg=place.longitude_deg if place else None,
        )
        if now != before:
            satellites, rollovers = (fix.satellites, fix.rollovers) if fix else (0, 0)
            self._section = replace(now, satellites=satellites, rollovers=rollovers)
            if state != before.state:
                log.info(f"gnss: {state}{': ' if problem else ''}{problem}")
            self._on_change()

    def _problem(self) -> str:
        """Why nobody can say where we are; empty while somebody looks for satellites."""
        if self._gpsd:
            if not self._gpsd.devices:
                return "gpsd reads no receiver: name it in /etc/default/gpsd"
            is_silent = self._gpsd.is_silent(_now_s())
            return "gpsd hears nothing of its receiver: has it power? else restart gpsd" if is_silent else ""
        if self._line is None:
            return "gpsd does not answer on this machine: start it, or name the receiver's port in [gnss]"
        if self._is_mute and self._line.state != "absent":
            return (
                f"{self._settings.port} says no NMEA sentence: is it the receiver's port, and has it power?"
            )
        return self._line.problem


class _HeardPlugging:
    """Which plugging of a port gpsd was heard of, and since when another one is there."""

    def __init__(self, now: Plugging | None) -> None:
        self._heard = self._seen = now
        self._since_s = -math.inf

    def see(self, now: Plugging | None, at_s: float) -> None:
        """The port is this one; None where it is away."""
        if now not in (None, self._seen):
            self._seen, self._since_s = now, at_s

    def hear(self, now: Plugging | None, at_s: float) -> None:
        """The same, while gpsd tells something."""
        self.see(now, at_s)
        if now is not None and at_s - self._since_s >= SETTLED_S:
            self._heard = now

    def is_unheard(self, now: Plugging | None, at_s: float) -> bool:
        """Whether the port is there, has been for as long as a receiver may be silent, and was not heard."""
        self.see(now, at_s)
        return now not in (None, self._heard) and at_s - self._since_s > gpsd.SILENT_S


async def _take_line(reader: asyncio.StreamReader, said: Gpsd) -> None:
    """Raises OSError where it has ended, ValueError where a line is too long."""
    line = await reader.readline()
    if not line:
        raise ConnectionError("it has closed the connection")
    said.take(line, _now_s())
    await asyncio.sleep(LINE_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
