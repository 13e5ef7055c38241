"""A port is opened, lost and found again; on a pseudo terminal, with a clock of our own."""

import array
import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import termios
import threading
from itertools import pairwise

import pytest
from fakes.clock import LoopClock
from parts.terminal import SocketWire, Terminal, is_busy

from agent.errors import LineError
from agent.serial import port as ports
from agent.serial.port import (
    MAX_PAUSE_S,
    POLL_S,
    READ_BYTES,
    TELL_GAP_S,
    WINDOW_S,
    Line,
    LineSettings,
    open_serial,
)
from agent.serial.ptz import udp


@pytest.fixture
def terminal(tmp_path):
    it = Terminal(tmp_path / "pinhole-ptz")
    yield it
    it.unplug()


class Bench:
    """A line that runs, and what it said."""

    def __init__(self, settings, **how):
        self.clock = LoopClock(is_busy)
        self.got, self.events, self.lost = [], [], []
        self.line = Line(
            settings,
            self.got.append,
            on_lost=self.lost.append,
            on_event=lambda kind, message, details: self.events.append((kind, message, details)),
            **how,
        )

    async def open(self):
        await self.clock.until(lambda: self.line.state == "open")


@contextlib.asynccontextmanager
async def running(port, **how):
    bench = Bench(LineSettings("ptz", str(port), 9600), **how)
    task = asyncio.create_task(bench.line.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()


async def test_bytes_go_both_ways(terminal):
    async with running(terminal.link) as it:
        await it.open()
        terminal.say(b"\x90\x41\xff")
        await it.clock.until(lambda: it.got)
        await it.line.write(b"\x81\x01\xff")
    assert it.got == [b"\x90\x41\xff"]
    assert terminal.hear(3) == b"\x81\x01\xff"


async def test_what_comes_first_is_sent_after_each_open(terminal):
    async with running(terminal.link, on_opened=lambda: b"stop") as it:
        for _ in range(2):
            await it.open()
            await it.line.write(b"turn")
            assert terminal.hear(8) == b"stopturn"
            terminal.unplug()
            await it.clock.until(lambda: it.line.state == "absent")
            terminal.plug()


async def test_of_a_flood_no_more_is_read_than_a_line_can_carry(tmp_path):
    wire = SocketWire(tmp_path / "pinhole-ptz")
    async with running(wire.link, open_port=wire.open_port) as it:
        await it.open()
        ends_s = it.clock.now_s + 1
        while it.clock.now_s < ends_s:
            with contextlib.suppress(BlockingIOError):  # there is no room
                wire.say(bytes(READ_BYTES))
            await it.clock.after(0.02)
        assert READ_BYTES < sum(map(len, it.got)) <= READ_BYTES * (1 / WINDOW_S + 1)
        wire.unplug()
        await it.clock.until(lambda: it.lost)


async def test_a_hang_up_is_read_once_and_never_again(terminal, monkeypatch):
    reads = []
    read = os.read
    async with running(terminal.link) as it:
        await it.open()
        monkeypatch.setattr(ports.os, "read", lambda fd, n: reads.append(fd) or read(fd, n))
        os.close(terminal.device)
        terminal.device = -1
        await it.clock.until(lambda: it.lost)
        await it.clock.after(1)  # fifty turns of the loop
    assert len(reads) == 1


async def test_a_reader_that_sees_an_end_of_file_goes(tmp_path):
    """As a hung-up tty gives it: not an error but nothing, whenever one looks."""
    here, there = os.pipe()
    os.close(there)

    class Pipe:
        def fileno(self):
            return here

        def close(self, *, is_lost):
            assert is_lost
            os.close(here)

    node = tmp_path / "port"
    node.touch()
    async with running(node, open_port=lambda _: Pipe()) as it:
        await it.clock.until(lambda: it.lost)
        node.unlink()
    assert it.lost == ["it hung up"]


async def test_a_port_is_found_again_by_its_name_soon_after_it_is_plugged_in(terminal):
    async with running(terminal.link) as it:
        await it.open()
        terminal.unplug()
        await it.clock.until(lambda: it.line.state == "absent")
        await it.clock.after(60)
        terminal.plug()
        plugged_s = it.clock.now_s
        await it.open()
        assert it.clock.now_s - plugged_s <= POLL_S + 0.1
        terminal.say(b"here")
        await it.clock.until(lambda: it.got == [b"here"])


async def test_a_write_to_a_lost_line_fails_at_once_and_says_why(terminal):
    async with running(terminal.link) as it:
        await it.open()
        terminal.unplug()
        with pytest.raises(LineError, match="was lost"):
            await it.line.write(b"x")  # the kernel says EIO
        began_s = it.clock.now_s
        with pytest.raises(LineError, match=r"was lost|is not there"):
            await it.line.write(b"x")
        assert it.clock.now_s == began_s


async def test_a_port_that_takes_no_more_is_lost_and_no_half_of_a_frame_is_followed(terminal):
    async with running(terminal.link) as it:
        await it.open()
        writing = asyncio.create_task(it.line.write(bytes(1 << 17)))
        await it.clock.until(writing.done)
        with pytest.raises(LineError, match="takes no bytes"):
            writing.result()
        assert it.line.state == "failed"


async def test_a_frame_whose_writer_was_cancelled_half_way_ends_the_line(terminal):
    async with running(terminal.link) as it:
        await it.open()
        writing = asyncio.create_task(it.line.write(bytes(1 << 17)))
        await it.clock.after(0.1)
        writing.cancel()
        await it.clock.until(writing.done)
        assert it.lost == ["a frame was cut off"]


async def test_a_port_that_was_never_there_is_no_event_and_one_line_of_log(tmp_path, caplog):
    async with running(tmp_path / "none") as it:
        await it.clock.after(60)
        assert (it.line.state, it.events) == ("absent", [])
        assert it.line.problem == f"{tmp_path / 'none'} is not there: is it plugged in?"
    assert len(caplog.records) == 1


async def test_who_had_answered_is_missed_and_recovered_with_its_first_answer(terminal):
    async with running(terminal.link) as it:
        await it.open()
        it.line.confirm()
        terminal.unplug()
        await it.clock.until(lambda: it.events)
        assert it.events[0][0] == "serial-lost"
        terminal.plug()
        await it.open()
        assert len(it.events) == 1, "it is open, and has not answered"
        it.line.confirm()
        it.line.confirm()
    assert [kind for kind, *_ in it.events] == ["serial-lost", "serial-recovered"]


async def test_a_loose_plug_is_told_once_a_minute(terminal):
    async with running(terminal.link) as it:
        began_s = it.clock.now_s
        for _ in range(10):
            await it.open()
            it.line.confirm()
            terminal.unplug()
            await it.clock.until(lambda: it.line.state == "absent")
            terminal.plug()
        assert it.clock.now_s - began_s < TELL_GAP_S
        assert [kind for kind, *_ in it.events] == ["serial-lost", "serial-recovered"]
        assert it.line.losses == 10


async def test_pauses_grow_to_half_a_minute(terminal):
    tries = []

    def refuse(_):
        tries.append(it.clock.now_s)
        raise LineError("busy")

    async with running(terminal.link, open_port=refuse) as it:
        await it.clock.after(200)
    pauses = [round(later - sooner) for sooner, later in pairwise(tries)]
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert set(pauses[5:]) == {MAX_PAUSE_S}


async def test_a_silent_device_is_opened_anew_where_its_owner_says_so(terminal):
    async with running(terminal.link) as it:
        await it.open()
        it.line.reopen("three commands in a row were not answered")
        assert it.line.state == "failed"
        await it.open()
        assert it.lost == ["three commands in a row were not answered"]


async def test_an_open_that_hangs_is_left_and_closed_when_it_returns(terminal):
    closed, go = threading.Event(), threading.Event()

    class Late:
        def fileno(self):
            raise AssertionError("nobody waits for it")

        def close(self, *, is_lost):
            assert is_lost
            closed.set()

    def hang(_):
        threading.current_thread().name = "hangs"  # so that the clock goes on
        go.wait(30)
        return Late()

    async with running(terminal.link, open_port=hang) as it:
        await it.clock.until(lambda: it.line.state == "failed")
        assert it.line.problem == "serial-open did not return within 6 s"
        terminal.unplug()
        go.set()
        assert closed.wait(30)


async def test_an_orderly_end_closes_the_port(terminal):
    async with running(terminal.link) as it:
        await it.open()
        await it.line.write(b"stop")
    assert it.line.state == "failed"
    assert terminal.hear(4) == b"stop"
    with running_port(terminal.link):
        pass


@contextlib.contextmanager
def running_port(link, **how):
    it = open_serial(LineSettings("ptz", str(link), 9600, **how))
    try:
        yield it
    finally:
        it.close(is_lost=True)


def test_a_second_owner_is_refused(terminal):
    with running_port(terminal.link), pytest.raises(LineError, match="another program holds"):
        open_serial(LineSettings("ptz", str(terminal.link), 9600))


def test_a_port_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LineError, match="cannot open"):
        open_serial(LineSettings("ptz", str(tmp_path / "file"), 9600))


def test_nothing_is_read_as_nothing_and_not_as_an_end_of_file(terminal):
    """VMIN is 1: with 0 a read of an empty port gives b"", which is what a hang-up gives."""
    with running_port(terminal.link) as it, pytest.raises(BlockingIOError):
        os.read(it.fileno(), 16)


def test_what_a_port_is_set_to(terminal):
    with running_port(terminal.link, parity="even", stop_bits=2) as it:
        cflag, speed = termios.tcgetattr(it.fileno())[2], termios.tcgetattr(it.fileno())[5]
    assert not cflag & termios.HUPCL
    assert cflag & termios.CSTOPB
    assert speed == termios.B9600


def test_the_kernels_rs485_mode_is_refused_where_the_driver_has_none(terminal):
    with pytest.raises(LineError, match=r'has no RS-485 mode .*set rs485 = "auto"'):
        open_serial(LineSettings("ptz", str(terminal.link), 9600, rs485="kernel"))


@pytest.fixture
def ioctls(monkeypatch):
    """A UART's driver: TIOCGRS485, TIOCSRS485 and the lines of the modem, which a pseudo terminal has not."""
    mode, lines, real = array.array("i", [0] * 8), [], fcntl.ioctl

    def ioctl(fd, request, *argument):
        if request == 0x542F:
            if it["takes"]:
                mode[:] = argument[0]
        elif request == 0x542E:
            argument[0][:] = mode
        elif request in (termios.TIOCMBIS, termios.TIOCMBIC):
            bit = int.from_bytes(argument[0], "little")
            lines.append((bit, request == termios.TIOCMBIS))
        else:
            return real(fd, request, *argument)
        return 0

    it = {"takes": True, "mode": mode, "lines": lines}
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return it


def test_the_kernels_rs485_mode_is_set_and_read_back(terminal, ioctls):
    with running_port(terminal.link, rs485="kernel"):
        assert ioctls["mode"][0] & 0b111 == 0b011, "enabled, RTS high while it sends, low after"


def test_a_driver_that_takes_the_mode_and_does_nothing_is_refused(terminal, ioctls):
    ioctls["takes"] = False
    with pytest.raises(LineError, match="did not take"):
        open_serial(LineSettings("ptz", str(terminal.link), 9600, rs485="kernel"))


@pytest.mark.parametrize("dtr", [False, True])
def test_rts_and_dtr_are_never_raised_but_where_the_device_wants_them(terminal, ioctls, dtr):
    with running_port(terminal.link, dtr=dtr):
        assert ioctls["lines"] == [(termios.TIOCM_DTR, dtr), (termios.TIOCM_RTS, False)]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG])
async def test_a_port_that_nobody_may_look_for_is_tried_and_told(tmp_path, monkeypatch, number):
    def refuse(_path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ports.Path, "exists", refuse)
    async with running(tmp_path / "none") as it:
        await it.clock.until(lambda: it.line.state == "failed")
        assert "cannot open" in it.line.problem


async def test_a_name_that_is_none_is_told_and_asked_for_again():
    wire = udp.UdpWire("cam..lan", 52381, lambda _: None, bytes, lambda _: None)
    clock = LoopClock(is_busy)
    task = asyncio.create_task(wire.run())
    try:
        await clock.until(lambda: wire.problem)
        assert wire.problem.startswith("cam..lan cannot be reached")
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_a_silent_head_whose_name_leads_elsewhere_is_found_there(monkeypatch):
    first_s, most_s = 0.4, 4.0
    monkeypatch.setattr(udp, "FIRST_LOOK_S", first_s)
    monkeypatch.setattr(udp, "MAX_LOOK_S", most_s)
    with (
        socket.socket(type=socket.SOCK_DGRAM) as old,
        socket.socket(type=socket.SOCK_DGRAM) as new,
    ):
        old.bind(("127.0.0.1", 0))
        new.bind(("127.0.0.2", 0))
        new.setblocking(False)
        address, asked_s = old.getsockname(), []
        clock, lost = LoopClock(), []

        async def resolve(*_, **__):
            asked_s.append(clock.now_s)
            if address is None:
                raise socket.gaierror(socket.EAI_AGAIN, "again")
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", address)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        wire = udp.UdpWire("head.lan", 52381, lambda _: None, lambda: b"\x81\x01\xff", lost.append)
        task = asyncio.create_task(wire.run())
        try:
            await clock.until(lambda: asked_s)
            for _ in range(7):  # it answers, so nobody asks
                await clock.after(first_s / 2)
                wire._on_datagram(b"")
            assert len(asked_s) == 1
            address = None
            await clock.after(2 * most_s)
            assert 2 < len(asked_s) < 8
            assert lost == []
            address = new.getsockname()
            await clock.until(lambda: lost)
            await clock.until(lambda: wire._transport)
            assert new.recv(100)
        finally:
            task.cancel()
            await asyncio.wait((task,))
