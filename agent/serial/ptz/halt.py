"""Tells a head to stop, and ends: the service manager runs it whenever the agent has ended, also by a kill.

`python -m agent.serial.ptz.halt /etc/pinhole/pinhole.toml`. It loads nothing but Python's own modules, and so
is done long before the agent would be there again.
"""

import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
import time
import tomllib
import tty
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.serial.ptz import pelco, visca, visca_ip
from agent.serial.ptz.motion import STILL

STOPS = 3
GAP_S = 0.05
BITS_A_BYTE = 10


def stops(protocol: str, address: int) -> tuple[bytes, ...]:
    """The frames that stop all axes."""
    match protocol:
        case "pelco-d":
            return (pelco.encode_d(address, pelco.STOP),)
        case "pelco-p":
            return (pelco.encode_p(address, pelco.STOP),)
        case _:
            return visca.drive(address, STILL), visca.zoom(address, STILL)


def halt(ptz: Mapping[str, Any]) -> None:
    """Say stop three times, as a settings file's section `ptz` has it. Raises OSError."""
    protocol = ptz.get("protocol", "pelco-d")
    frames = stops(protocol, ptz.get("address", 1)) * STOPS
    if protocol == "visca-ip":
        _send(ptz["port"], frames)
    else:
        default = {"pelco-d": pelco.D_BAUD, "pelco-p": pelco.P_BAUD}.get(protocol, visca.BAUD)
        _write(ptz["port"], ptz.get("baud", default), frames)


def main(config: Path) -> None:
    """Do it where there is a head."""
    ptz = tomllib.loads(config.read_text(encoding="utf-8")).get("ptz", {})
    if "port" in ptz:
        halt(ptz)


def _send(url: str, frames: Iterable[bytes]) -> None:
    parts, numbering = urlsplit(url), visca_ip.Numbering()
    family, kind, protocol, _, address = socket.getaddrinfo(
        parts.hostname, parts.port or visca_ip.PORT, type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as camera:
        camera.connect(address)
        for frame in frames:
            for datagram in numbering.wrap(frame):
                camera.send(datagram)
            time.sleep(GAP_S)


def _write(port: str, baud: int, frames: Iterable[bytes]) -> None:
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(fd)
        mode = termios.tcgetattr(fd)
        mode[4] = mode[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(fd, termios.TCSANOW, mode)
        with contextlib.suppress(OSError):  # a raised RTS may hold a bus; a pseudo terminal has none
            fcntl.ioctl(fd, termios.TIOCMBIC, struct.pack("I", termios.TIOCM_DTR | termios.TIOCM_RTS))
        for frame in frames:
            os.write(fd, frame)
            time.sleep(max(GAP_S, len(frame) * BITS_A_BYTE / baud))
    finally:
        os.close(fd)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (OSError, ValueError) as exc:
        sys.exit(f"the head cannot be told to stop: {exc}")
