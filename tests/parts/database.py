"""A real PostgreSQL server, made and thrown away: Debian's programs, a cluster in a temporary folder."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from parts.need import need

USER = "nobody" if os.geteuid() == 0 else getpass.getuser()
"""The server refuses to run as root."""


@dataclass
class Postgres:
    """A running cluster, reachable over its socket."""

    folder: Path
    _numbers: "count[int]" = field(default_factory=count)

    def new_database(self) -> str:
        """Make an empty database; returns its URL."""
        name = f"portal{next(self._numbers)}"
        _run("createdb", "-h", str(self.folder), "-U", "pinhole", name)
        return f"postgresql://pinhole@/{name}?host={self.folder}"

    def stop(self) -> None:
        """As at a reboot: every connection breaks."""
        _run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self.folder / "data"))

    def start(self) -> None:
        """Wait until it answers. No TCP: nobody else can reach it."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        _run(
            *("pg_ctl", "start", "-w", "-t", "60", "-D", str(self.folder / "data")),
            *("-l", str(self.folder / "log"), "-o", options),
        )


@contextmanager
def postgresql() -> Iterator[Postgres]:
    """A cluster that is gone at the end."""
    need(_programs(), "needs PostgreSQL: sudo apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="pinhole-pg-") as name:
        folder = Path(name)
        shutil.chown(folder, USER)
        _run("initdb", "-D", str(folder / "data"), "-U", "pinhole", "-A", "trust", "-E", "UTF8", "--no-sync")
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def dump(url: str) -> bytes:
    """A dump of one database, as a backup holds it."""
    found = _programs()
    assert found
    return subprocess.run(
        [str(found / "pg_dump"), url], cwd="/", capture_output=True, timeout=90, check=True
    ).stdout


def _programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


def _run(program: str, *arguments: str) -> None:
    found = _programs()
    assert found
    result = subprocess.run(
        [str(found / program), *arguments],
        user=USER if os.geteuid() == 0 else None,
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        # pg_ctl's server keeps what it inherits open: a pipe would never end.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=90,
        check=False,
    )
    if result.returncode:
        pytest.fail(f"{program} {' '.join(arguments)} failed with {result.returncode}")
