"""The audit log as JSON lines, for everything beside the dashboard; a hash chain of its own."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from agent.errors import PinholeError
from agent.model.disk import check_file, give_to_owner, open_lock
from agent.portal.accounts.chain import GENESIS, Entry, Link, hash_of

FILE_BYTES, FILES_KEPT = 10 * 1024 * 1024, 9
_TAIL_BYTES = _LINE_CHARS = 64 * 1024
"""More than any line of ours has; what is longer is read in pieces, which are none."""
_NAP_S, _NAPS = 0.01, 20
"""How long to wait for who else writes: each holds the lock for the lines of a moment."""
log = logging.getLogger(__name__)
_FIELDS = {field.name for field in fields(Entry)}


class AuditFile(RotatingFileHandler):
    """Rotated at 10 MiB, nine former files kept, readable to its owner alone. A fault is kept, not thrown.

    A portal and commands write it in turns: each holds a lock, and goes on from what the others added.
    """

    _fault = ""
    _grows = False

    def __init__(self, file: Path, *, rotates: bool = True) -> None:
        """A command leaves it to the portal to rotate, whose user may be another. Raises OSError."""
        file.parent.mkdir(parents=True, exist_ok=True)
        limit = FILE_BYTES if rotates else 0
        super().__init__(file, maxBytes=limit, backupCount=FILES_KEPT, encoding="utf-8")
        self._head, self._end = GENESIS, -1
        self._doubtful = ""
        """The hash of a line that failed: all of it may be there, and its caller brings it again."""

    def write(self, *entries: Entry) -> int:
        """Add lines at the chain's end, up to the first that cannot be written; how many were."""
        written = 0
        try:
            with self._alone():
                for entry in entries:
                    self._add(entry)
                    if self._fault:
                        break
                    written += 1
        except (OSError, ValueError):
            self.handleError(logging.makeLogRecord({}))
        return written

    def _add(self, entry: Entry) -> None:
        self._catch_up()
        if self._doubtful and self._doubtful in _newest(Path(self.baseFilename)):
            self._doubtful = ""
            return
        said = {key: value for key, value in asdict(entry).items() if value != ""}
        former, self._head = self._head, hash_of(self._head, entry)
        line = json.dumps(said | {"previous": former, "hash": self._head})
        self._doubtful = self._head
        self.emit(logging.makeLogRecord({"msg": line}))
        if self.stream and not self._fault:
            self._end = os.fstat(self.stream.fileno()).st_size
            self._doubtful = ""

    def take_fault(self) -> str:
        """Why something could not be written since the last call; empty where all was."""
        fault, self._fault = self._fault, ""
        return fault

    def doRollover(self) -> None:  # noqa: N802  as logging calls it
        """Move the file itself first: where that fails, as of one that is a mount, the former ones stay."""
        stream, self.stream = self.stream, None
        if stream:
            stream.close()
        file = Path(self.baseFilename)
        moved = _former(file, 0)
        try:
            if not moved.exists():  # else the last time ended half-way
                file.rename(moved)
            gap = next((n for n in range(FILES_KEPT) if not _former(file, n).exists()), FILES_KEPT)
            for number in range(gap - 1, -1, -1):  # beyond a gap nothing need make room
                _former(file, number).replace(_former(file, number + 1))
            self._grows = False
        except OSError as exc:
            if not self._grows:
                log.warning("%s grows beyond its limit: it cannot be moved: %s", file, exc.strerror)
            self._grows = True
        self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  as logging calls it
        """Begin anew with the next line."""
        exc = sys.exception()
        self._fault = str(exc) or repr(exc)  # never empty: empty is no fault
        stream, self.stream = self.stream, None  # logging opens it again
        with contextlib.suppress(OSError, ValueError):
            if stream:
                stream.close()
        self._end = -1

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Raises OSError where another of ours writes for long."""
        try:
            file = Path(self.baseFilename)  # which is renamed now and then, so the lock is another
            lock = open_lock(file.with_name(f".{file.name}.lock"))
        except OSError as exc:
            if exc.errno in (errno.EMFILE, errno.ENFILE):
                raise
            yield  # a folder in which we may write this file alone
            return
        try:
            for _ in range(_NAPS):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(_NAP_S)
                    continue
                except OSError:  # a disk without locks
                    pass
                break
            else:
                raise TimeoutError("another program of ours is writing it")
            yield
        finally:
            os.close(lock)

    def _catch_up(self) -> None:
        """The file may have been rotated, or have got lines of others."""
        file = Path(self.baseFilename)
        if self.stream and not _is_at(file, self.stream.fileno()):
            self.stream.close()
            self.stream = None
        if self.stream is None:
            self.stream, self._end = self._open(), -1  # it may be as long as the former one was
        descriptor = self.stream.fileno()
        if (size := os.fstat(descriptor).st_size) != self._end:
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                os.write(descriptor, b"\n")  # half a line, whoever left it, must not spoil the next one
            self._head = next(_newest(file), GENESIS)

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        if not os.fstat(descriptor).st_size:
            give_to_owner(descriptor, Path(self.baseFilename).parent)
        return os.fdopen(descriptor, "a", encoding=self.encoding)


def add_lines(file: Path, entries: Iterable[Entry]) -> str:
    """Add a command's entries, whether a portal runs or not; why some are missing, empty where none is."""
    try:
        check_file(file)
        writer = AuditFile(file, rotates=False)
    except (OSError, PinholeError) as exc:
        return str(exc)
    with contextlib.closing(writer):
        writer.write(*entries)
        return writer.take_fault()


def read_links(file: Path) -> Iterator[Link]:
    """Every line that is chained, the oldest first. Raises OSError.

    Lines from before there was a chain are left out, and half lines of a full disk: the chain goes past them.
    """
    for each in (*(_former(file, number) for number in range(FILES_KEPT, -1, -1)), file):
        if each == file or each.exists():
            with each.open(encoding="utf-8", errors="replace") as lines:
                number = 1
                while line := lines.readline(_LINE_CHARS):
                    link = _parse(f"{each.name} line {number}", line)
                    if link:
                        yield link
                    number += line.endswith("\n")


def _is_at(file: Path, descriptor: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    return False


def _newest(file: Path) -> Iterator[str]:
    """The hashes of the last lines, the newest first; former files have more. Raises OSError."""
    for each in (file, _former(file, 0), _former(file, 1)):
        with contextlib.suppress(FileNotFoundError), each.open("rb") as stream:
            stream.seek(max(0, each.stat().st_size - _TAIL_BYTES))
            for line in reversed(stream.read().decode(errors="replace").splitlines()):
                if link := _parse("", line):
                    yield link.hash


def _former(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.{number}")


def _parse(where: str, line: str) -> Link | None:
    try:
        said = json.loads(line)
        entry = Entry(**{key: value for key, value in said.items() if key in _FIELDS})
        texts = (entry.actor, entry.action, entry.device, entry.address, entry.detail)
        if not isinstance(entry.at, float | int) or not all(isinstance(each, str) for each in texts):
            return None
        return Link(where, entry, str(said["previous"]), str(said["hash"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
