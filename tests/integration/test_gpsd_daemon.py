"""The real gpsd on a pseudo terminal: what it hears is told, also of a receiver that was away."""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
import time
from functools import reduce
from pathlib import Path

import pytest
from parts.need import need
from parts.terminal import Terminal

from agent.config import GnssSettings
from agent.serial.gnss import gpsd, locator
from agent.serial.gnss.locator import Locator

PATIENCE_S = 60.0


def sentence(body):
    return f"${body}*{reduce(lambda sum_, char: sum_ ^ ord(char), body, 0):02X}\r\n".encode()


HERE, THERE = "4722.61472", "4752.61472"
"""Latitudes as NMEA has them: degrees and minutes."""


def second(latitude):
    """What a receiver with a fix says each second."""
    now = time.gmtime()
    at, day = time.strftime("%H%M%S.00", now), time.strftime("%d%m%y", now)
    return b"".join(
        map(
            sentence,
            (
                f"GPGGA,{at},{latitude},N,00832.50404,E,1,08,1.0,408.1,M,47.0,M,,",
                "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.8,1.0,1.5",
                f"GPRMC,{at},A,{latitude},N,00832.50404,E,0.0,0.0,{day},,,A",
            ),
        )
    )


class Receiver:
    """On a wire of that name, which gpsd may read whoever it runs as."""

    def __init__(self, link):
        self.latitude = HERE
        self.terminal = Terminal(link)
        self.may_read()

    def may_read(self):
        self.terminal.link.readlink().chmod(0o666)

    async def run(self):
        while True:
            if self.terminal.device >= 0:
                with contextlib.suppress(OSError):  # full, while nobody reads it
                    self.terminal.say(second(self.latitude))
            await asyncio.sleep(0.5)

    def plug_anew(self):
        self.terminal.unplug()
        self.terminal.plug()
        self.may_read()


@pytest.fixture
async def receiver():
    need(
        shutil.which("gpsd", path=f"{os.environ['PATH']}:/usr/sbin"), "needs gpsd: sudo apt-get install gpsd"
    )
    with tempfile.TemporaryDirectory(prefix="pinhole-gpsd-") as name:
        os.chmod(name, 0o755)  # noqa: PTH101  # the other is forbidden here
        receiver = Receiver(Path(name) / "gnss")
        speaking = asyncio.create_task(receiver.run())
        yield receiver
        speaking.cancel()
        receiver.terminal.unplug()


@pytest.fixture
async def daemon(receiver):
    """Its port; it reads the receiver and never writes to it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gpsd_path = shutil.which("gpsd", path=f"{os.environ['PATH']}:/usr/sbin")
    process = await asyncio.create_subprocess_exec(
        gpsd_path, "-N", "-b", "-S", str(port), str(receiver.terminal.link), stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(PATIENCE_S):
        while not await listens(port):
            await asyncio.sleep(0.1)
    yield port
    process.kill()
    await process.wait()


async def listens(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
async def located(receiver, daemon, monkeypatch):
    """A locator that asks it."""
    monkeypatch.setattr(locator, "LIST_S", 2.0)
    monkeypatch.setattr(locator, "RETRY_S", 1.0)
    monkeypatch.setattr(gpsd, "SILENT_S", 6.0)
    link = f"/dev/..{receiver.terminal.link}"  # the settings take a port below /dev alone
    settings = GnssSettings(source=link, publish_decimals=3)
    it = Locator(
        settings,
        lambda: None,
        open_gpsd=lambda: asyncio.open_connection("127.0.0.1", daemon, limit=gpsd.MAX_LINE_BYTES),
    )
    running = asyncio.create_task(it.run())
    yield it
    running.cancel()
    await asyncio.wait((running,))


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.2)


async def test_what_gpsd_hears_is_told_and_a_receiver_that_was_plugged_anew_is_heard_again(receiver, located):
    await until(lambda: located.section().state == "fix")
    section = located.section()
    assert (section.source, section.latitude_deg, section.longitude_deg) == ("gpsd", 47.377, 8.542)
    receiver.latitude = THERE
    receiver.plug_anew()
    await until(lambda: located.section().latitude_deg == 47.877)
