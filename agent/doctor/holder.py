"""Who has the camera, or a port, open. Two programs cannot share one, and the agent comes first."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.device.place import is_taken
from agent.doctor.report import CheckName, Finding

PROC = Path("/proc")
DEVICES = ("/dev/video", "/dev/media", "/dev/v4l-subdev")
"""Of a camera: how their names begin."""
AS_ROOT = "run this by sudo"


@dataclass(frozen=True, slots=True)
class Holder:
    """A running agent that has a device, or may have it."""

    pid: int
    is_certain: bool = True
    """False where its open files are closed to us: another user's show to root alone."""


def find_holder(proc: Path = PROC) -> Holder | None:
    """The first agent that has a camera open, else one that may have it; blocking."""
    return _first(proc, lambda file: file.startswith(DEVICES))


def find_port_holder(port: str, proc: Path = PROC) -> Holder | None:
    """The first agent that has this very port open, by whatever name the settings call it; blocking.

    Else one that may have it.
    """
    target = os.path.realpath(port)
    return _first(proc, lambda file: file == target)


def find_agent(proc: Path = PROC) -> Holder | None:
    """The first agent that runs, whatever it has open; blocking."""
    agents = (process for process in proc.glob("[0-9]*") if is_agent(process))
    return next((Holder(int(process.name)) for process in agents), None)


def has_agent(folder: Path, proc: Path = PROC) -> bool:
    """Whether an agent runs with this state folder, or may do so; blocking."""
    try:
        return is_taken(folder)
    except PermissionError:  # another user's: any agent may be this device's
        return find_agent(proc) is not None


def not_looked_at(check: CheckName, subject: str, holder: Holder) -> Finding:
    """What the agent has may be dead as well: nobody here knows."""
    if not holder.is_certain:
        words = f"not looked at: an agent of another user runs (process {holder.pid}), and may have it"
        return Finding(check, subject, "unknown", words, f"only root sees that: {AS_ROOT}")
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


def _first(proc: Path, is_it: Callable[[str], bool]) -> Holder | None:
    closed = None
    for one, files in _agents(proc):
        if any(is_it(file) for file in files):
            return one
        closed = closed or (None if one.is_certain else one)
    return closed


def _agents(proc: Path) -> Iterator[tuple[Holder, list[str]]]:
    """Each that runs, and the files that it has open as far as we may see them."""
    for process in proc.glob("[0-9]*"):
        if is_agent(process):
            pid = int(process.name)
            try:
                yield Holder(pid), [target_of(file) for file in (process / "fd").iterdir()]
            except PermissionError:
                if process.exists():  # one that has ended refuses too
                    yield Holder(pid, is_certain=False), []
            except OSError:  # it has ended
                continue


def target_of(file: Path) -> str:
    """What an open file of a process is; empty where it was closed meanwhile. Raises PermissionError."""
    try:
        return str(file.readlink())
    except PermissionError:
        raise
    except OSError:
        return ""
