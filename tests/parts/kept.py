"""Folders that take minutes to make, kept in the user's cache under a hash of what they are made from.

A run may be killed at any moment: a folder is there as a whole, or it is not there.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinhole"
MOST = 4
"""Of one kind, besides those in use."""
KEEP_S = 86_400
"""Trees beside each other, of other branches, need not make each other's anew."""
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""What a command begins with that must not outlive a killed run, which has nobody left to end it."""
OWN_PROCESSES = (*ENDS_WITH_US, "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
"""And with everything that it starts and mounts."""

_in_use: dict[Path, IO[str]] = {}


def kept(kind: str, made_from: object, fill: Callable[[Path], None]) -> Path:
    """The folder, which `fill` makes where it is not there yet. It stays as long as this process lives.

    `kind` is its place in the cache and the begin of its name; `made_from` is told by its repr.
    """
    folder = CACHE / f"{kind}-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder not in _in_use:
            _in_use[folder] = _mark(folder, fcntl.LOCK_SH)
        if not folder.exists():
            part = folder.with_name(f".{Path(kind).name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            fill(part)
            part.rename(folder)
        _forget(CACHE / kind)
    return folder


def _mark(folder: Path, how: int) -> IO[str]:
    """Have it in use until the file is closed. Raises BlockingIOError where somebody else forbids it."""
    file = folder.with_name(f"{folder.name}.use").open("a")
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    os.utime(file.fileno())
    return file


def _forget(kind: Path) -> None:
    """What nobody has in use: the oldest, where there are many, and what was not used for a day."""
    gone = kind.with_name(f".{kind.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    ours = re.compile(rf"({re.escape(kind.name)}-[0-9a-f]{{12}})(\.use)?")
    names = {found[1] for one in kind.parent.iterdir() if (found := ours.fullmatch(one.name))}
    used_s = {kind.with_name(name): _used_s(kind.with_name(name)) for name in names}
    for index, folder in enumerate(sorted(used_s, key=used_s.__getitem__, reverse=True)):
        if index < MOST and time.time() - used_s[folder] < KEEP_S:
            continue
        with suppress(BlockingIOError), _mark(folder, fcntl.LOCK_EX) as mark:
            if folder.exists():
                folder.rename(gone)  # first: what is half removed must not be taken for whole
                shutil.rmtree(gone, ignore_errors=True)
            Path(mark.name).unlink()


def _used_s(folder: Path) -> float:
    try:
        return folder.with_name(f"{folder.name}.use").stat().st_mtime
    except FileNotFoundError:
        return 0.0
