"""Each demo's private folder, and how `pinhole watch` finds it.

A demo holds its folder's lock while it lives. The kernel lets go of it however the demo ends, so a later run
can tell what was left behind, and clear it away.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.errors import PinholeError

USER = "demo"
"""Who signs in to a demo."""


@dataclass(frozen=True, slots=True)
class Running:
    """A demo that is ready."""

    url: str
    user: str
    password_file: Path


def find_running() -> Running | None:
    """The demo of this user that became ready last, if one runs."""
    urls = sorted(_root().glob("*/url"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in urls:
        with _locked(file.parent) as dead:
            if not dead:
                return Running(file.read_text().strip(), USER, file.parent / "portal-password")
    return None


def _root() -> Path:
    """`pinhole-demo` in the user's run-time folder, or one of the user's own in the temporary folder."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "pinhole-demo"
    return Path(tempfile.gettempdir()) / f"pinhole-demo-{os.getuid()}"


@contextlib.contextmanager
def demo_folder() -> Iterator[Path]:
    """A new private folder; it goes with the demo, and what dead demos left goes now."""
    root = _root()
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    status = root.lstat()
    # In a shared temporary folder somebody else may have made it, to read the password or to plant files.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PinholeError(f"{root} must be a folder of your own with mode 0700: remove it and start again")
    for old in root.iterdir():
        with _locked(old) as dead:
            if dead:
                shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=root))
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            root.rmdir()  # the last one turns off the light


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock, or yield False where a living demo holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
