"""One serial port: opened, served, lost, and found again by its name.

The only module that knows pyserial, which opens the port and sets it up; asyncio reads its descriptor.
"""

import array
import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from agent.errors import LineError
from agent.model.event import EventKind
from agent.model.pauses import Pauses
from agent.model.signal import Detail
from agent.model.threads import HungCallError, call_in_thread

log = logging.getLogger(__name__)

OPEN_S, CLOSE_S = 6.0, 3.0
"""A USB adapter on a sick hub takes 5 s for a control transfer."""
DRAIN_S = 1.0
"""What was written gets so long to leave at an orderly end."""
MAX_PAUSE_S = 30.0
TELL_GAP_S = 60.0
"""Events about one port are so far apart."""
POLL_S = 2.0
"""How often an absent port is looked for: a `stat`, which costs less than to be told of every device."""
READ_BYTES = 4096
WINDOW_S = 0.1
"""In it no more is read than the rate carries, or READ_BYTES: the kernel drops the rest of a flood."""
WRITE_S = 1.0
_BITS_A_BYTE = 11
"""Start, eight, parity, stop: how long bytes are on the wire."""
# asm-generic/ioctls.h, linux/serial.h
_TIOCGRS485, _RS485_ENABLED = 0x542E, 1
_HELD = (errno.EBUSY, errno.EAGAIN)
"""By who has it exclusively (TIOCEXCL), or has its lock (flock)."""

State = Literal["absent", "opening", "open", "failed"]
OnLineEvent = Callable[[EventKind, str, dict[str, Detail]], None]


@dataclass(frozen=True, slots=True)
class LineSettings:
    """One port, and what is on its other end."""

    name: str
    """What people call it: `modem`, `ptz`."""
    port: str
    """A path that stays: /dev/serial/by-id/…, by-path, or one by a udev rule."""
    baud: int
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1
    dtr: bool = False
    """Raised at the open. Modems want it; an Arduino is reset by it."""
    rts: bool = False
    """An adapter that drives its transmitter by RTS blocks the whole bus while it is raised."""
    rs485: Literal["auto", "kernel"] = "auto"
    """Who turns the bus around: the adapter by itself, or the UART's driver. Never we: user space is up to
    15 ms late at the end of a frame, and cuts off the answer."""


class Port(Protocol):
    """An open port."""

    def fileno(self) -> int:
        """Its descriptor, which does not block."""

    def close(self, *, is_lost: bool) -> None:
        """Blocks; what was written to one that is not lost may leave first."""


OpenPort = Callable[[LineSettings], Port]


class Line:
    """A port that comes and goes. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: LineSettings,
        on_bytes: Callable[[bytes], None],
        *,
        on_opened: Callable[[], bytes] = bytes,
        on_lost: Callable[[str], None] = lambda _: None,
        on_event: OnLineEvent = lambda _, __, ___: None,
        open_port: OpenPort | None = None,
    ) -> None:
        """`on_opened` gives what is sent before all else; `on_lost` gets the reason, but of an end."""
        self.settings = settings
        self.state: State = "absent"
        self.problem = ""
        """Why it is not open, and what to do; empty while it is."""
        self.losses = 0
        self._on_bytes, self._on_opened, self._on_lost = on_bytes, on_opened, on_lost
        self._on_event = on_event
        self._open_port = open_port or open_serial
        self._fd = -1
        self._lost: asyncio.Future[str] | None = None
        self._writing = asyncio.Lock()
        self._window_ends_s, self._window_bytes = 0.0, 0
        self._was_good = self._is_missed = False
        self._told_at_s = -TELL_GAP_S

    async def run(self) -> None:
        """Until cancelled: open, serve, lose, wait, open again."""
        loop = asyncio.get_running_loop()
        pauses, wait_s = Pauses(MAX_PAUSE_S), 0.0
        while True:
            await self._wait(wait_s)
            began_s = loop.time()
            why = await self._open_and_serve()
            self._note_away(why)
            wait_s = pauses.after(loop.time() - began_s)

    async def write(self, data: bytes) -> None:
        """Hand the kernel the whole of it. Raises LineError at once where the port is away.

        A port that does not take it in time is lost, so that no half of a frame is ever followed by another.
        """
        async with self._writing:
            if self.state != "open" or self._lost is None:
                raise LineError(self.problem or f"{self.settings.port} is not open")
            lost, left = self._lost, memoryview(data)
            try:
                async with asyncio.timeout(WRITE_S + len(data) * _BITS_A_BYTE / self.settings.baud):
                    while left and not lost.done():
                        try:
                            left = left[os.write(self._fd, left) :]
                        except (BlockingIOError, InterruptedError):
                            await self._writable(lost)
            except OSError as exc:
                self._lose(lost, _reason(exc) if not isinstance(exc, TimeoutError) else "it takes no bytes")
            finally:
                if left and len(left) < len(data):
                    self._lose(lost, "a frame was cut off")
            if lost.done():
                raise LineError(f"{self.settings.port} was lost: {lost.result()}")

    def confirm(self) -> None:
        """What is on the other end answers, or has taken what was written where it never answers."""
        self._was_good = True
        if self._is_missed:
            self._is_missed = False
            log.info(f"{self.settings.name}: {self.settings.port} is back and answers")
            self._on_event("serial-recovered", f"{self.settings.name}: {self.settings.port}", {})

    def reopen(self, why: str) -> None:
        """Close it, and open it anew after a pause: what is on its other end has gone silent."""
        if self._lost:
            self._lose(self._lost, why)

    async def _wait(self, pause_s: float) -> None:
        """Until the pause is over and the port is there, or until it was plugged in anew."""
        loop = asyncio.get_running_loop()
        ends_s, was_there = loop.time() + pause_s, True
        while True:
            is_there = self._is_there()
            left_s = ends_s - loop.time()
            if is_there and (left_s <= 0 or not was_there):
                return
            if not is_there:
                self._set_away("absent", f"{self.settings.port} is not there: is it plugged in?")
            was_there = is_there
            await asyncio.sleep(min(POLL_S, left_s) if is_there else POLL_S)

    def _is_there(self) -> bool:
        try:
            return Path(self.settings.port).exists()
        except OSError:  # in a folder that is closed to us, or too long a name: the open says which
            return True

    async def _open_and_serve(self) -> str:
        """Returns why it is over."""
        opening = _Opening(self._open_port, self.settings)
        port: Port | None = None
        self.state = "opening"
        try:
            port = await call_in_thread("serial-open", OPEN_S, opening.run)
        except (LineError, HungCallError) as exc:
            self._set_away("failed", str(exc))
            return str(exc)
        finally:
            if port is None:
                opening.abandon()
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            self._take(port.fileno(), lost)
            if first := self._on_opened():
                with contextlib.suppress(LineError):  # which is then in `lost`
                    await self.write(first)
            await asyncio.wait((lost,))
            return lost.result()
        finally:
            is_lost = lost.done()
            self._lose(lost, "it is closed", is_told=False)
            await self._close(port, is_lost=is_lost)

    def _take(self, fd: int, lost: "asyncio.Future[str]") -> None:
        self._fd, self._lost = fd, lost
        self.state, self.problem = "open", ""
        log.info(f"{self.settings.name}: {self.settings.port} is open")
        self._listen(lost)

    def _listen(self, lost: "asyncio.Future[str]") -> None:
        if not lost.done():
            self._window_ends_s = 0.0  # a timer may be a nanosecond early
            asyncio.get_running_loop().add_reader(self._fd, self._read, lost)

    def _read(self, lost: "asyncio.Future[str]") -> None:
        """The reader goes with the first end of file: after a hang-up there is one whenever we look."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lose(lost, _reason(exc))
            return
        if data:
            self._bound(len(data), lost)
            self._on_bytes(data)
        else:
            self._lose(lost, "it hung up")

    def _bound(self, size: int, lost: "asyncio.Future[str]") -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._window_ends_s:
            self._window_ends_s, self._window_bytes = loop.time() + WINDOW_S, 0
        self._window_bytes += size
        if self._window_bytes >= max(READ_BYTES, WINDOW_S * self.settings.baud / _BITS_A_BYTE):
            loop.remove_reader(self._fd)
            loop.call_at(self._window_ends_s, self._listen, lost)

    async def _writable(self, lost: "asyncio.Future[str]") -> None:
        """Until more fits, or it is lost."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_writer(self._fd, _settle, ready)
        try:
            await asyncio.wait((ready, lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_writer(self._fd)

    def _lose(self, lost: "asyncio.Future[str]", why: str, *, is_told: bool = True) -> None:
        """No longer read from it, nor write to it."""
        if not lost.done():
            lost.set_result(why)
            asyncio.get_running_loop().remove_reader(self._fd)
            self._lost = None
            self.state, self.problem = "failed", f"{self.settings.port} was lost: {why}"
            if is_told:
                self._on_lost(why)

    async def _close(self, port: Port, *, is_lost: bool) -> None:
        try:
            await call_in_thread("serial-close", CLOSE_S, lambda: port.close(is_lost=is_lost))
        except (HungCallError, OSError) as exc:
            log.warning(f"{self.settings.name}: {self.settings.port} does not close: {exc}")

    def _set_away(self, state: State, problem: str) -> None:
        if problem != self.problem:
            log.warning(f"{self.settings.name}: {problem}")
        self.state, self.problem = state, problem

    def _note_away(self, why: str) -> None:
        """One that has answered is missed, which is told; once a minute, however often it comes and goes."""
        if not self._was_good:
            return
        self._was_good = False
        self.losses += 1
        log.warning(f"{self.settings.name}: {self.settings.port} was lost: {why}")
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_at_s >= TELL_GAP_S:
            self._told_at_s, self._is_missed = now_s, True
            message = f"{self.settings.name}: {self.settings.port} was lost: {why}"
            self._on_event("serial-lost", message, {"losses": self.losses})


class _Opening:
    """An open that may return when nobody waits for it any more: the port is then closed again."""

    def __init__(self, open_port: OpenPort, settings: LineSettings) -> None:
        self._open_port, self._settings = open_port, settings
        self._lock = threading.Lock()
        self._port: Port | None = None
        self._is_abandoned = False

    def run(self) -> Port:
        """Blocks, for as long as a sick hub likes. Raises LineError."""
        port = self._open_port(self._settings)
        with self._lock:
            self._port, is_abandoned = port, self._is_abandoned
        if is_abandoned:
            port.close(is_lost=True)
        return port

    def abandon(self) -> None:
        """Nobody takes the port any more."""
        with self._lock:
            self._is_abandoned, port = True, self._port
        if port:
            threading.Thread(target=port.close, kwargs={"is_lost": True}, daemon=True).start()


def open_serial(settings: LineSettings) -> Port:
    """Open a port by pyserial. Blocks. Raises LineError, which says what to do."""
    import serial  # noqa: PLC0415  # loaded where there is a port, and in its thread
    from serial.rs485 import RS485Settings  # noqa: PLC0415

    parity = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
    port = serial.Serial(
        None,
        settings.baud,
        parity=parity[settings.parity],
        stopbits=settings.stop_bits,
        exclusive=True,
        timeout=0,
        inter_byte_timeout=0,  # VMIN=1: with 0 a read of nothing gives b"", as a hang-up does (n_tty.c)
    )
    # Before the open: the kernel raises both as it opens, and pyserial sets them so at once after.
    port.dtr, port.rts = settings.dtr, settings.rts
    if settings.rs485 == "kernel":
        port.rs485_mode = RS485Settings(rts_level_for_tx=True, rts_level_for_rx=False)
    port.port = settings.port
    try:
        port.open()
        _set_up(port.fileno(), settings)
    except (OSError, ValueError, termios.error) as exc:  # SerialException is an OSError
        port.close()
        raise LineError(_advise(settings, exc)) from exc
    return _SerialPort(port)


def _set_up(fd: int, settings: LineSettings) -> None:
    """What pyserial does not. `closing_wait` stays: to set it takes root (serial_core.c); see `close`."""
    fcntl.ioctl(fd, termios.TIOCEXCL)
    attributes = termios.tcgetattr(fd)
    attributes[2] &= ~termios.HUPCL  # DTR stays as it is when we close
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    termios.tcflush(fd, termios.TCIOFLUSH)
    if settings.rs485 == "kernel":
        mode = array.array("i", [0] * 8)
        fcntl.ioctl(fd, _TIOCGRS485, mode)
        if not mode[0] & _RS485_ENABLED:  # some drivers say yes and do nothing
            raise OSError(errno.ENOTTY, "its driver did not take the RS-485 mode")


def _advise(settings: LineSettings, exc: Exception) -> str:
    """What is wrong, and what to do."""
    port, number = settings.port, getattr(exc, "errno", None)
    if number == errno.EACCES:
        return f"may not open {port}: add this user to the group dialout"
    if number in _HELD:
        return f"another program holds {port}: sudo pinhole doctor says which"
    if settings.rs485 == "kernel":
        return f'{port} has no RS-485 mode ({exc}): set rs485 = "auto" if the adapter turns the bus by itself'
    return f"cannot open {port}: {exc}"


def _reason(exc: OSError) -> str:
    return (exc.strerror or str(exc)).lower()


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class _SerialPort:
    """pyserial's."""

    def __init__(self, port: Any) -> None:
        self._port = port
        # An FTDI holds bytes back for 16 ms otherwise; few others know it.
        with contextlib.suppress(ValueError):
            port.set_low_latency_mode(True)

    def fileno(self) -> int:
        return int(self._port.fileno())

    def close(self, *, is_lost: bool) -> None:
        """What was written gets DRAIN_S to leave; the kernel alone would wait for it up to 30 s."""
        with contextlib.suppress(OSError, termios.error):
            ends_s = time.monotonic() + DRAIN_S
            while not is_lost and self._port.out_waiting and time.monotonic() < ends_s:
                time.sleep(0.01)
            if is_lost or self._port.out_waiting:
                termios.tcflush(self._port.fileno(), termios.TCOFLUSH)
        self._port.close()
