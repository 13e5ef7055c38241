"""The receiver is heard by its port or by gpsd; on a pseudo terminal, with a clock of our own."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest
from fakes.clock import LoopClock
from parts.terminal import Terminal

from agent.config import GnssSettings, Settings
from agent.serial.gnss.locator import BAUDS, LINE_S, Locator
from agent.serial_devices import SerialDevices

LOG = (Path(__file__).parents[2] / "data/nmea/gpsd-quectel-l76k-nmea.log").read_bytes()
SECOND = LOG[LOG.index(b"$GNRMC") :][:1000]
LOST = b"$GPGGA,,,,,,0,,,,,,,,*66\r\n"
VERSION = b'{"class":"VERSION","release":"3.25"}\r\n'
DEVICES = b'{"class":"DEVICES","devices":[{"class":"DEVICE","path":"%s"}]}\r\n'
TPV = b'{"class":"TPV","mode":3,"lat":47.376912,"lon":8.541734}\r\n'


class Writer:
    """What gpsd is told."""

    def __init__(self):
        self.said, self.is_closed = b"", False

    def write(self, data):
        self.said += data

    def close(self):
        self.is_closed = True


class Bench:
    """A locator that runs; gpsd is not there until `gpsd` is set."""

    def __init__(self, settings):
        self.clock = LoopClock(self._is_busy)
        self.changes, self.gpsd, self.asked, self.writers = 0, None, 0, []
        self.locator = Locator(settings, self._on_change, open_gpsd=self._open_gpsd)
        self.line = self.locator._line
        self.heard_before = -1

    def heard(self):
        reader = self.locator._reader
        return reader.sound + reader.faulty

    def _is_busy(self):
        """A thread is at work, or the kernel carries what was said."""
        is_opening = any(thread.name.startswith("serial-") for thread in threading.enumerate())
        if self.line is None or self.line.state != "open":
            self.heard_before = -1  # it is flushed
        return is_opening or self.heard_before == self.heard()

    def _on_change(self):
        self.changes += 1

    async def _open_gpsd(self):
        self.asked += 1
        if self.gpsd is None:
            raise ConnectionRefusedError
        self.writers.append(Writer())
        return self.gpsd, self.writers[-1]

    async def listen_to_gpsd(self, device):
        """One that reads this port, has a fix, and lists the port whenever it is asked; its stream."""
        stream = self.gpsd = said(VERSION, DEVICES % device, TPV)
        await self.until_state("fix")
        self.writers[0].write = lambda _: stream.feed_data(DEVICES % device)
        return stream

    async def until_state(self, state):
        await self.clock.until(lambda: self.locator.section().state == state)
        return self.locator.section()


@contextlib.asynccontextmanager
async def running(**settings):
    bench = Bench(GnssSettings(**settings))
    task = asyncio.create_task(bench.locator.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()


@contextlib.contextmanager
def speaking(bench, terminal, data):
    """As a receiver does, each second."""
    loop = asyncio.get_running_loop()

    def say():
        nonlocal later
        if bench.line.state == "open":
            bench.heard_before = bench.heard()
            terminal.say(data)
        later = loop.call_later(1.0, say)

    later = loop.call_soon(say)
    yield
    later.cancel()


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(GnssSettings, "port", property(lambda self: self.source.removeprefix("/dev/")))
    it = Terminal(tmp_path / "pinhole-gnss")
    yield it
    it.unplug()


def port(terminal):
    """The settings take a port below /dev alone."""
    return f"/dev/{terminal.link}"


def said(*lines):
    stream = asyncio.StreamReader()
    for line in lines:
        stream.feed_data(line)
    return stream


async def test_a_receivers_port_is_read_and_the_place_is_rounded(terminal):
    async with running(source=port(terminal), publish_decimals=2) as bench:
        with speaking(bench, terminal, SECOND):
            section = await bench.until_state("fix")
    assert (section.latitude_deg, section.longitude_deg) == (47.66, -122.33)
    assert (section.source, section.satellites, section.problem) == ("nmea", 14, "")


async def test_nothing_of_the_place_leaves_without_a_setting(terminal):
    async with running(source=port(terminal)) as bench:
        with speaking(bench, terminal, SECOND):
            section = await bench.until_state("fix")
    assert (section.latitude_deg, section.longitude_deg) == (None, None)


async def test_a_receiver_that_loses_its_satellites_keeps_the_last_place(terminal):
    async with running(source=port(terminal), publish_decimals=2) as bench:
        with speaking(bench, terminal, SECOND):
            await bench.until_state("fix")
        with speaking(bench, terminal, LOST):
            section = await bench.until_state("searching")
    assert section.latitude_deg == 47.66


async def test_every_rate_is_tried_until_a_sentence_is_sound(terminal):
    async with running(source=port(terminal)) as bench:
        line, heard = bench.line, []
        with speaking(bench, terminal, b"\xff\x80$GP\n" * 20):
            for _ in BAUDS:
                await bench.clock.until(lambda: line.settings.baud not in heard and line.state == "open")
                heard.append(line.settings.baud)
            assert sorted(heard) == sorted(BAUDS)
            told = bench.changes
            await bench.clock.after(100)
            assert "says no NMEA sentence" in bench.locator.section().problem
            assert bench.changes == told, "the same is not told at each rate anew"
        with speaking(bench, terminal, SECOND):
            await bench.until_state("fix")
            baud = line.settings.baud
            await bench.clock.after(100)
            assert line.settings.baud == baud


async def test_a_rate_that_is_set_stays(terminal):
    async with running(source=port(terminal), baud=4800) as bench:
        await bench.clock.after(100)
        assert bench.line.settings.baud == 4800


async def test_an_absent_port_says_so_and_is_found(terminal):
    terminal.unplug()
    async with running(source=port(terminal)) as bench:
        await bench.clock.until(lambda: "plugged in" in bench.locator.section().problem)
        assert bench.locator.section().state == "absent"
        terminal.plug()
        await bench.clock.until(lambda: bench.line.state == "open")


async def test_gpsd_is_asked_where_it_reads_the_port_which_is_then_left_alone(terminal):
    async with running(source=port(terminal), publish_decimals=2) as bench:
        bench.gpsd = said(VERSION, DEVICES % bytes(terminal.link.readlink()), TPV)
        section = await bench.until_state("fix")
        assert bench.line.state == "absent"
        assert bench.writers[0].said == b'?WATCH={"enable":true,"json":true};\n'
    assert (section.source, section.latitude_deg) == ("gpsd", 47.38)
    assert bench.writers[0].is_closed


async def test_a_gpsd_with_other_receivers_leaves_the_port_to_us(terminal):
    async with running(source=port(terminal)) as bench:
        bench.gpsd = said(VERSION, DEVICES % b"/dev/null", TPV)
        await bench.clock.until(lambda: bench.line.state == "open")
        assert bench.writers[0].is_closed


@pytest.mark.parametrize("rubbish", [b"SSH-2.0-x\r\n", b"x" * 100_000, b""])
async def test_what_is_no_gpsd_is_given_up(rubbish, terminal):
    async with running(source=port(terminal)) as bench:
        bench.gpsd = said(rubbish)
        if not rubbish:
            bench.gpsd.feed_eof()
        await bench.clock.until(lambda: bench.line.state == "open")
        with speaking(bench, terminal, SECOND):
            section = await bench.until_state("fix")
    assert section.source == "nmea"


async def test_a_gpsd_that_has_given_up_the_port_leaves_it_to_us(terminal):
    async with running(source=port(terminal)) as bench:
        stream = bench.gpsd = said(VERSION, DEVICES % bytes(terminal.link.readlink()), TPV)
        await bench.until_state("fix")
        await bench.clock.until(lambda: bench.writers[0].said.count(b"?WATCH") == 2)
        stream.feed_data(DEVICES.replace(b'{"class":"DEVICE","path":"%s"}', b""))
        await bench.clock.until(lambda: bench.line.state == "open")


async def test_a_gpsd_that_hangs_is_left(terminal):
    async with running(source=port(terminal)) as bench:
        bench.gpsd = said(VERSION, DEVICES % bytes(terminal.link.readlink()), TPV)
        await bench.until_state("fix")
        await bench.clock.until(lambda: bench.line.state == "open")
        assert bench.writers[0].is_closed


async def test_a_receiver_that_is_unplugged_stays_gpsds(terminal):
    """Which opens it when it is back, and sets the clock by it."""
    async with running(source=port(terminal)) as bench:
        stream = bench.gpsd = said(VERSION, DEVICES % bytes(terminal.link.readlink()), TPV)
        await bench.until_state("fix")
        terminal.unplug()
        await bench.clock.until(lambda: bench.writers[0].said.count(b"?WATCH") == 2)
        stream.feed_data(DEVICES.replace(b'{"class":"DEVICE","path":"%s"}', b""))
        assert "reads no receiver" in (await bench.until_state("absent")).problem
        terminal.plug()
        stream.feed_data(DEVICES % bytes(terminal.link.readlink()) + TPV)
        await bench.until_state("fix")
        assert (bench.asked, bench.line.state) == (1, "absent")


@pytest.mark.parametrize("heard_s", [0, 20, 40])
async def test_a_gpsd_that_holds_on_to_a_port_that_hung_up_leaves_the_new_one_to_us(terminal, heard_s):
    """As gpsd 3.22 does of a terminal: it lists it as active for ever, and says nothing more."""
    async with running(source=port(terminal)) as bench:
        stream = await bench.listen_to_gpsd(bytes(terminal.link))
        await bench.clock.after(heard_s)
        stream.feed_data(TPV)
        await bench.clock.after(0.5)
        terminal.unplug()
        terminal.plug()
        stream.feed_data(TPV)  # of the old one: it had that in hand
        bench.gpsd = None
        await bench.clock.after(100)
        assert bench.writers[0].is_closed
        await bench.clock.until(lambda: bench.line.state == "open")
        with speaking(bench, terminal, SECOND):
            assert (await bench.until_state("fix")).source == "nmea"


async def test_a_receiver_that_was_plugged_anew_stays_gpsds_where_it_is_heard_there(terminal):
    async with running(source=port(terminal)) as bench:
        stream = await bench.listen_to_gpsd(bytes(terminal.link))
        terminal.unplug()
        terminal.plug()
        for _ in range(5):
            await bench.clock.after(1)
            stream.feed_data(TPV)
        await bench.clock.after(100)
        assert bench.locator.section().problem.startswith("gpsd hears nothing of its receiver")
        assert not bench.writers[0].is_closed


@pytest.mark.parametrize("away_s", [55, 58, 88])
async def test_a_receiver_that_comes_back_late_and_starts_slowly_stays_gpsds(terminal, away_s):
    async with running(source=port(terminal)) as bench:
        stream = await bench.listen_to_gpsd(bytes(terminal.link))
        terminal.unplug()
        await bench.clock.after(away_s)
        terminal.plug()
        await bench.clock.after(8)
        for _ in range(100):
            stream.feed_data(TPV)
            await bench.clock.after(1)
        assert (bench.asked, bench.line.state, bench.locator.section().state) == (1, "absent", "fix")


async def test_where_gpsd_alone_knows_the_port_a_silent_receiver_is_told_and_nobody_is_left(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    async with running(source="gpsd") as bench:
        await bench.listen_to_gpsd(b"/dev/ttyUSB0")
        for number in range(10):
            (tmp_path / str(number)).touch()  # where the agent stands, which is no port
            await bench.clock.after(20)
        assert bench.locator.section().problem.startswith("gpsd hears nothing of its receiver")
        assert bench.asked == 1


async def test_a_gpsd_whose_receiver_is_silent_keeps_it_and_that_is_told(terminal):
    async with running(source=port(terminal)) as bench:
        listed = DEVICES % bytes(terminal.link)
        stream = bench.gpsd = said(VERSION, listed, TPV)
        await bench.until_state("fix")
        for asked in (2, 3, 4):
            await bench.clock.until(lambda: bench.writers[0].said.count(b"?WATCH") == asked)  # noqa: B023
            stream.feed_data(listed)
        section = await bench.until_state("absent")
        assert section.problem.startswith("gpsd hears nothing of its receiver")
        assert (bench.asked, bench.line.state) == (1, "absent")
        stream.feed_data(TPV)
        await bench.until_state("fix")


async def test_of_a_flood_of_gpsds_no_more_is_read_than_one_says():
    lines = 1000
    async with running(source="gpsd") as bench:
        stream = bench.gpsd = said(VERSION, DEVICES % b"/dev/ttyUSB0", *[TPV] * lines)
        await bench.until_state("fix")
        size = len(stream._buffer)
        began_s = bench.clock.now_s
        await bench.clock.after(1)
        taken = (size - len(stream._buffer)) / len(TPV)
        assert 1 < taken <= (bench.clock.now_s - began_s) / LINE_S + 1


async def test_a_line_without_an_end_is_told_once(caplog):
    caplog.set_level("INFO")
    async with running(source="gpsd") as bench:
        for tries in range(1, 4):
            bench.gpsd = said(b"x" * 200_000)
            await bench.clock.until(lambda tries=tries: len(bench.writers) == tries)
            await bench.clock.until(lambda: bench.writers[-1].is_closed)
    assert sum("gpsd is not heard" in record.message for record in caplog.records) == 1


async def test_gpsd_that_comes_and_goes():
    async with running(source="gpsd", publish_decimals=1) as bench:
        await bench.clock.until(lambda: "start it" in bench.locator.section().problem)
        stream = bench.gpsd = said(VERSION, DEVICES.replace(b'{"class":"DEVICE","path":"%s"}', b""))
        await bench.clock.until(lambda: "reads no receiver" in bench.locator.section().problem)
        stream.feed_data(DEVICES % b"/dev/ttyUSB0" + TPV)
        assert (await bench.until_state("fix")).longitude_deg == 8.5
        bench.gpsd = None
        stream.feed_eof()
        assert "start it" in (await bench.until_state("absent")).problem


async def test_one_that_is_away_is_asked_now_and_then():
    async with running(source="gpsd") as bench:
        await bench.clock.after(600)
        assert 55 <= bench.asked <= 61


async def test_what_does_not_change_is_not_told(terminal):
    async with running(source=port(terminal), publish_decimals=2) as bench:
        with speaking(bench, terminal, SECOND):
            await bench.until_state("fix")
            told = bench.changes
            await bench.clock.after(200)
            assert bench.changes == told


def test_nobody_looks_for_satellites_unless_the_settings_say_so():
    def devices(settings):
        return SerialDevices(settings, lambda _, __, ___: None, lambda: None, lambda _, __: None, None)

    assert "gnss" not in devices(Settings()).sections
    assert devices(Settings(gnss=GnssSettings(source="gpsd"))).sections["gnss"]().state == "absent"
