"""The two ends of a pseudo terminal, which stands in for a serial port: a device at one, a path at the other.

It carries bytes, hang-ups and locks as a port does, but knows neither speed nor RTS nor RS-485.
"""

import contextlib
import os
import tty
from pathlib import Path


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
