"""One agent a state folder, and what it says of its broker to who looks at the device.

A second one would take the first one's place at the broker, which knows both by one name, and the first one
would take it back. The lock is a file of its own: who may read the folder could hold that. The kernel lets
go of it however its holder ends.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.errors import ConfigError
from agent.model.disk import open_lock, read_private

NOTE = "broker.json"
"""The file of a `BrokerNote`, in the state folder."""
LOCK = ".agent.lock"
TRIES, PAUSE_S = 3, 0.05
"""Who looks whether the folder is taken has it for some microseconds."""


@dataclass(frozen=True, slots=True)
class BrokerNote:
    """How the running agent stands with its broker, at most 90 s ago."""

    connected: bool
    words: str
    """Where the broker is, or why it is not reached."""


BROKER_NOTE = TypeAdapter(BrokerNote)


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Hold the state folder; one that cannot be written to, or a disk without locks, is nobody's.

    Raises ConfigError where another agent has it.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            descriptor = open_lock(folder / LOCK)
            held.callback(os.close, descriptor)
            for _ in range(TRIES):
                if is_ours := _lock(descriptor, fcntl.LOCK_EX):
                    break
                time.sleep(PAUSE_S)
            if not is_ours:
                raise ConfigError(
                    f"{folder}: another agent runs with this folder: stop that one first, as by `sudo "
                    "systemctl stop pinhole`, or give this one a device.id and device.state_dir of its own"
                )
            (folder / NOTE).unlink(missing_ok=True)  # of a former one
        yield


def is_taken(folder: Path) -> bool:
    """Whether an agent runs with this state folder. Raises PermissionError where only its owner can tell."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        raise
    except OSError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def read_note(folder: Path) -> BrokerNote | None:
    """What the running agent last said; None where it has said nothing yet."""
    try:
        return BROKER_NOTE.validate_json(read_private(folder / NOTE), extra="ignore")
    except (ConfigError, ValidationError):
        return None


def _lock(descriptor: int, kind: int) -> bool:
    """False where somebody has it. Raises OSError where the disk has no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
