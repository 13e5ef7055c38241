"""Who has the camera, or a port, open. Two programs cannot share one, and the agent comes first."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.doctor.report import CheckName, Finding

PROC = Path("/proc")
DEVICES = ("/dev/video", "/dev/media", "/dev/v4l-subdev")
"""Of a camera: how their names begin."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A running agent that has a device."""

    pid: int


def find_holder(proc: Path = PROC) -> Holder | None:
    """The first agent that has a camera open; blocking.

    Other users' processes show their files to root alone.
    """
    holders = (one for one, files in _agents(proc) if any(file.startswith(DEVICES) for file in files))
    return next(holders, None)


def find_port_holder(port: str, proc: Path = PROC) -> Holder | None:
    """The first agent that has this very port open, by whatever name the settings call it; blocking."""
    target = os.path.realpath(port)
    return next((one for one, files in _agents(proc) if target in files), None)


def find_agent(proc: Path = PROC) -> Holder | None:
    """The first agent that runs, whatever it has open; blocking."""
    return next((one for one, _ in _agents(proc)), None)


def not_looked_at(check: CheckName, subject: str, holder: Holder) -> Finding:
    """What the agent has may be dead as well: nobody here knows."""
    words = f"not looked at: the running agent (process {holder.pid}) has it"
    return Finding(check, subject, "unknown", words, "see `pinhole fleet`, or stop the agent")


def is_agent(process: Path) -> bool:
    """`pinhole run …` or `python -m agent run …`."""
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"run" in words and any(
        word.endswith((b"/pinhole", b"agent")) or word == b"pinhole" for word in words
    )


def _agents(proc: Path) -> Iterator[tuple[Holder, list[str]]]:
    """Each that runs, and the files that it has open as far as we may see them."""
    for process in proc.glob("[0-9]*"):
        if is_agent(process):
            try:
                files = [_target(file) for file in (process / "fd").iterdir()]
            except OSError:
                files = []
            yield Holder(int(process.name)), files


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""
