"""What stands in for a serial port: a device at one end, a path at the other.

A pseudo terminal carries bytes, hang-ups and locks as a port does, but knows neither speed nor RTS nor
RS-485. A pair of sockets carries bytes and hang-ups without the kernel's threads between, so that a test with
a clock of its own never outruns them.
"""

import contextlib
import os
import select
import socket
import threading
import tty
from pathlib import Path

PATIENCE_S = 10.0


def is_busy() -> bool:
    """A port is opened or closed, in a thread."""
    return any(thread.name.startswith("serial-") for thread in threading.enumerate())


class Terminal:
    """`link` leads to it, as a udev rule's name does; plugged in from the start."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.device = -1
        """The device's end: what the port gets is written to it."""
        self.plug()

    def plug(self) -> None:
        """Anew, as another ttyUSB under the same name."""
        self.device, port = os.openpty()
        tty.setraw(port)
        os.set_blocking(self.device, False)
        self.link.symlink_to(os.ttyname(port))
        os.close(port)

    @property
    def is_plugged(self) -> bool:
        """There is a port of this name."""
        return self.link.exists()

    def unplug(self) -> None:
        """The port hangs up, and its name goes."""
        if self.device >= 0:
            os.close(self.device)
            self.device = -1
        self.link.unlink(missing_ok=True)

    def say(self, data: bytes) -> None:
        """To whoever has the port open."""
        os.write(self.device, data)

    def heard(self) -> bytes:
        """What came since it was last asked."""
        said = b""
        with contextlib.suppress(BlockingIOError, OSError):  # EIO: nobody has it open
            while data := os.read(self.device, 4096):
                said += data
        return said

    def hear(self, length: int) -> bytes:
        """So much, which the kernel's threads are still about to bring."""
        said = b""
        while len(said) < length and select.select([self.device], [], [], PATIENCE_S)[0]:
            said += os.read(self.device, length - len(said))
        return said


class SocketWire:
    """As a terminal, but for who opens it by `open_port`."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._device: socket.socket | None = None
        self.plug()

    def plug(self) -> None:
        """Anew, under the same name."""
        self.link.touch()

    @property
    def is_plugged(self) -> bool:
        """There is a port of this name."""
        return self.link.exists()

    def unplug(self) -> None:
        """The port hangs up, and its name goes."""
        if self._device:
            self._device.close()
            self._device = None
        self.link.unlink(missing_ok=True)

    def open_port(self, _settings: object) -> "SocketPort":
        """What a line opens."""
        if self._device:
            self._device.close()
        port, self._device = socket.socketpair()
        for end in (port, self._device):
            end.setblocking(False)
        return SocketPort(port)

    def say(self, data: bytes) -> None:
        """To whoever has the port open."""
        if self._device:
            with contextlib.suppress(BrokenPipeError):
                self._device.sendall(data)

    def heard(self) -> bytes:
        """What came since it was last asked."""
        said = b""
        with contextlib.suppress(BlockingIOError):
            while self._device and (data := self._device.recv(4096)):
                said += data
        return said


class SocketPort:
    """The other end, as `agent.serial.port.Port`."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self, *, is_lost: bool) -> None:
        assert is_lost in (True, False)
        self._end.close()
