"""The thread that has the disk: a card that takes seconds, or is gone, holds nobody else up.

Pieces wait for it within a bound. What fails is said once, and tried again until it works.
"""

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import PinholeError
from agent.model.clock import now_us
from agent.model.disk import is_mounted
from agent.model.media import STREAMS, StreamName
from agent.record.cleaner import Bounds, Cleaner, NoRoomError, Unsent, read_space
from agent.record.fragmenter import Piece
from agent.record.index import Index
from agent.record.segment import Tier
from agent.record.writer import ReadClock, StreamWriter, Written

log = logging.getLogger(__name__)

MAX_WAITING_BYTES = 10 * 1024 * 1024
"""40 s of 2 Mb/s: cards are known to stand still for some seconds."""
MAX_WAITING_ACTS = 256
RETRY_S = 15.0
LOOK_S = 5.0
"""Between two looks at the room there is."""
CLOSE_S = 4.0
HUNG_S, OPENING_S = 10.0, 300.0
"""A disk that takes longer for one thing is said to hang, and one whose files are all looked at. What is seen
meanwhile waits within its bound."""
FIRST_BYTES = 1 << 20
"""What a file may take, before one has told."""

Act = Callable[["Opened"], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where recordings go, and what they may take."""

    folder: Path
    is_own_partition: bool
    bounds: Bounds
    boot: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the thread found; the newest counts."""

    problem: str = ""
    """Why nothing is recorded; empty while it can be."""
    is_full: bool = False
    """The problem is that there is no room."""
    cap_bytes: int = 0
    free_bytes: int = 0


class Opened:
    """A folder while it can be used."""

    def __init__(
        self, place: Place, read_clock: ReadClock, written: Written, unsent: Unsent | None = None
    ) -> None:
        """Raises OSError, sqlite3.Error, PinholeError."""
        self._descriptor = _take(place)
        try:
            self.index = Index(place.folder)
            if mended := self.index.reconcile():
                log.info("%s: %d files were taken into the index, or mended", place.folder, mended)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.cleaner = Cleaner(self.index, place.bounds, unsent=unsent)
        self.read_clock = read_clock
        self._boot, self._has_set_clock = place.boot, False
        self.writers = {
            stream: StreamWriter(stream, self.index, place.boot, read_clock, self.make_room, written)
            for stream in STREAMS
        }

    def make_room(self, needed_bytes: int) -> None:
        """For a file."""
        wall_us = now_us() + self.read_clock()[0]
        self.cleaner.make_room(needed_bytes or FIRST_BYTES, wall_us)

    def look_at_clock(self) -> None:
        """Once it is right: what was recorded before that, since the machine's start, gets its wall time."""
        if not self._has_set_clock:
            offset_us, is_set = self.read_clock()
            if is_set:
                self.index.set_clock(self._boot, offset_us)
                self._has_set_clock = True

    def close(self) -> None:
        """What is written is whole."""
        try:
            for writer in self.writers.values():
                writer.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of it, without a word."""
        for writer in self.writers.values():
            writer.abandon()
        with contextlib.suppress(sqlite3.Error):
            self.index.close()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class Card:
    """For the event loop: nothing here waits."""

    def __init__(self, place: Place, read_clock: ReadClock, on_report: Callable[[Report], None]) -> None:
        """`on_report` is called from the thread."""
        self.written = Written()
        self.unsent: Unsent = Counter()
        """Files that were removed before they were uploaded."""
        self.opened: Opened | None = None
        """Its index may be read from any thread."""
        self._place, self._read_clock, self._on_report = place, read_clock, on_report
        self._waiting: deque[Piece | Act] = deque()
        self._waiting_bytes = self._waiting_acts = 0
        self._changed = threading.Condition()
        self._is_closing = False
        self._report = Report()
        self._retry_s = self._look_s = 0.0
        self._job_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to look at the folder."""
        self.do(lambda _: None)
        self._thread.start()

    def put(self, piece: Piece) -> bool:
        """A fragment to write; False where it is lost."""
        with self._changed:
            is_full = self._waiting and self._waiting_bytes + piece.size_bytes > MAX_WAITING_BYTES
            if is_full or self._report.problem:
                return False
            self._waiting.append(piece)
            self._waiting_bytes += piece.size_bytes
            self._changed.notify()
        return True

    def do(self, act: Act) -> bool:
        """Something else, in the same order; passed over where the folder cannot be used."""
        with self._changed:
            if self._waiting_acts >= MAX_WAITING_ACTS:
                return False
            self._waiting.append(act)
            self._waiting_acts += 1
            self._changed.notify()
        return True

    def hung(self) -> str:
        """In words, that the disk does not answer; empty while it does."""
        since_s, limit_s = self._job_since_s, HUNG_S if self.opened else OPENING_S
        if since_s is None or time.monotonic() - since_s < limit_s:
            return ""
        return f"{self._place.folder}: its disk has not answered for {limit_s:g} s: look at the card"

    def close(self) -> None:
        """Write what waits, and end; where the disk hangs, the thread is left behind. Blocks."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():  # said here, as who waits for us may be cancelled once more
            log.warning("the recordings' disk hangs; what was last recorded may be torn")

    def _run(self) -> None:
        while True:
            job, is_closing = self._next()
            self._job_since_s = time.monotonic()
            try:
                if self._is_usable():
                    self._perform(job)
            except (OSError, sqlite3.Error, PinholeError) as exc:
                self._fail(exc)
            except Exception as exc:  # a fault of ours costs a recording, and not the next ones
                log.exception("the recorder has failed")
                self._fail(exc)
            self._job_since_s = None
            if job is None and is_closing:
                break
        if self.opened:
            try:
                self.opened.close()
            except (OSError, sqlite3.Error) as exc:
                log.warning("the last recording could not be ended: %s", exc)

    def _next(self) -> tuple[Piece | Act | None, bool]:
        with self._changed:
            if not self._waiting and not self._is_closing:
                self._changed.wait(LOOK_S)
            if not self._waiting:
                return None, self._is_closing
            job = self._waiting.popleft()
            if isinstance(job, Piece):
                self._waiting_bytes -= job.size_bytes
            else:
                self._waiting_acts -= 1
            return job, False

    def _is_usable(self) -> bool:
        """Open the folder, or see whether it has room again, when that is due."""
        if self.opened and not self._report.problem:
            return True
        if self._is_closing or time.monotonic() < self._retry_s:
            return False
        if self.opened is None:
            self.opened = Opened(self._place, self._read_clock, self.written, self.unsent)
        self.opened.make_room(0)
        self._tell("")
        return True

    def _perform(self, job: Piece | Act | None) -> None:
        opened = self.opened
        assert opened is not None
        if isinstance(job, Piece):
            opened.writers[job.stream].write(job)
        elif job is not None:
            job(opened)
        if time.monotonic() >= self._look_s:
            if self._place.is_own_partition and not is_mounted(self._place.folder):
                raise PinholeError(_not_mounted(self._place.folder))
            opened.look_at_clock()
            opened.make_room(1)
            self._tell("")

    def _fail(self, exc: Exception) -> None:
        is_full = isinstance(exc, NoRoomError) or getattr(exc, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if self.opened and not (is_full and _ends(self.opened)):
            self.opened.abandon()
            self.opened = None
        # Where the disk became full between two looks, the next one makes room.
        self._retry_s = time.monotonic() + (0.0 if is_full and not isinstance(exc, NoRoomError) else RETRY_S)
        with self._changed:
            self._waiting.clear()
            self._waiting_bytes = self._waiting_acts = 0
        self._tell(_words(exc, self._place.folder), is_full=is_full)

    def _tell(self, problem: str, *, is_full: bool = False) -> None:
        self._look_s = time.monotonic() + LOOK_S
        cap_bytes = free_bytes = 0
        with contextlib.suppress(OSError):
            free_bytes = read_space(self._place.folder).free_bytes
            cap_bytes = self.opened.cleaner.cap_bytes if self.opened else 0
        if problem and problem != self._report.problem:
            log.warning("nothing is recorded: %s", problem)
        self._report = Report(problem, is_full, cap_bytes, free_bytes)
        self._on_report(self._report)


def keep_for(tier: Tier, event: str, since_us: int, now_us: int) -> Act:
    """What is recorded from now on is kept for this, and what was recorded since then, in monotonic time."""

    def act(opened: Opened) -> None:
        for writer in opened.writers.values():
            writer.keep_for(tier, event)
        if tier > Tier.CONTINUOUS:
            offset_us = opened.read_clock()[0]
            opened.index.flag(since_us + offset_us, now_us + offset_us, tier, event)

    return act


def finish(stream: StreamName) -> Act:
    """Its file is whole."""
    return lambda opened: opened.writers[stream].close()


def _ends(opened: Opened) -> bool:
    """Whether what is written can be ended as it is; then it may still be looked at."""
    try:
        for writer in opened.writers.values():
            writer.close()
    except (OSError, sqlite3.Error):
        return False
    return True


def _take(place: Place) -> int:
    """The folder's lock: two programs would remove each other's files. Raises OSError, PinholeError."""
    if place.is_own_partition and not is_mounted(place.folder):
        raise PinholeError(_not_mounted(place.folder))
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(place.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise PinholeError(f"another program records to {place.folder}") from exc
    return descriptor


def _not_mounted(folder: Path) -> str:
    return f"{folder}: no file system is mounted there: look at the card, and at /etc/fstab"


def _words(exc: Exception, folder: Path) -> str:
    match exc:
        case PermissionError():
            return f"{folder}: {exc.strerror}: make it a folder of the user who runs the agent"
        case OSError(errno=errno.EROFS):
            may = "the service may write to its state folder and /srv/pinhole"
            return f"{folder}: it is read-only: {may}; mount the card there, and see that it is writable"
        case OSError(strerror=str(reason)):
            return f"{folder}: {reason}"
        case sqlite3.Error():
            return f"{folder}: its index: {exc}"
        case _:
            return str(exc)
