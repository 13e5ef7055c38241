"""Who has the camera, or a port, open. Two programs cannot share one, and the agent comes first."""

from dataclasses import dataclass
from pathlib import Path

from agent.doctor.report import CheckName, Finding

PROC = Path("/proc")
DEVICES = ("/dev/video", "/dev/media", "/dev/v4l-subdev")


@dataclass(frozen=True, slots=True)
class Holder:
    """A running agent that has a device."""

    pid: int


def find_holder(proc: Path = PROC, devices: tuple[str, ...] = DEVICES) -> Holder | None:
    """The first agent that has one open whose path begins so; blocking.

    Other users' processes show their files to root alone.
    """
    for process in proc.glob("[0-9]*"):
        if is_agent(process) and _has_device(process, devices):
            return Holder(int(process.name))
    return None


def find_agent(proc: Path = PROC) -> Holder | None:
    """The first agent that runs, whatever it has open; blocking."""
    return next((Holder(int(each.name)) for each in proc.glob("[0-9]*") if is_agent(each)), None)


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


def _has_device(process: Path, devices: tuple[str, ...]) -> bool:
    try:
        files = list((process / "fd").iterdir())
    except OSError:
        return False
    return any(_target(file).startswith(devices) for file in files)


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""
