"""The journal: events that no portal has confirmed yet, kept over restarts, kills and power cuts.

Lines of JSON in small files, oldest first. Each event is appended at once, so a kill loses nothing; what is
appended is brought to the disk together, every two seconds at most, and told only then. A file goes as a
whole when all in it are confirmed, so nothing is ever written a second time: an SD card wears by what is
written. A database would write several pages for each event, and load a library that no other part needs.
"""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.errors import ConfigError
from agent.model.disk import make_private_folder, read_private, sync_folder
from agent.model.event import KINDS, MAX_EVENT_BYTES, MAX_TOLD, Event, EventKind
from agent.model.log_limit import LogLimit
from agent.model.signal import Detail
from agent.model.text import clip

MAX_EVENTS, MAX_BYTES = 2000, 1024 * 1024
"""Beyond either the oldest file goes, with what is in it, and an event tells how many those were."""
FILE_BYTES = 32 * 1024
TOLD_BYTES = 8 * 1024
"""In one message: a second at 64 kb/s."""
SYNC_INTERVAL_S = 2.0
_CLOCK_IS_SET = (Path("/run/systemd/timesync/synchronized"), Path("/run/pinhole-clock/set"))
"""Of systemd-timesyncd(8), and of our `pinhole-clock.service`, where it saw any service set the clock: the
agent itself may not call adjtimex(2)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Moment:
    """The time, by what this machine has to tell it."""

    unix_s: float
    up_s: float
    """Since the machine started; it never steps."""
    machine_start: str
    is_clock_set: bool
    """By a time service, since the machine started: a board without a battery begins with a wrong date."""


@functools.cache
def _machine_start() -> str:
    """The kernel's name for it; one of our own where it is hidden, so that no other start is taken for it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(16)


def read_moment() -> Moment:
    """Now."""
    up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Moment(time.time(), up_s, _machine_start(), any(file.exists() for file in _CLOCK_IS_SET))


@dataclass(frozen=True, slots=True)
class _Noted:
    """An event, and how to find its time again when the clock becomes right."""

    event: Event
    up_s: float
    machine_start: str
    is_clock_set: bool

    def told(self, now: Moment) -> Event:
        """As it is to be told now."""
        event = self.event
        if self.machine_start != now.machine_start:
            return replace(event, clock="set" if self.is_clock_set else "unset")
        # Where the clock has stepped since, the event's times step with it.
        step_s = (now.unix_s - now.up_s) - (event.at - self.up_s)
        until = None if event.until is None else max(0.0, event.until + step_s)
        return replace(event, at=max(0.0, event.at + step_s), until=until)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a file: an event, or the ids of those that are confirmed."""

    noted: _Noted | None = None
    confirmed: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class _File:
    path: Path
    size_bytes: int = 0
    waiting: dict[str, tuple[_Noted, int]] = field(default_factory=dict)
    """What is in it and not confirmed, by id, and how long each line is."""


_LINE = TypeAdapter(_Line)


class Journal:
    """Belongs to one event loop. A disk that is full or read-only costs what a restart would have kept."""

    def __init__(self, folder: Path, boot_id: str, now: Callable[[], Moment] = read_moment) -> None:
        """Read what is there. `boot_id` is new at each start of the agent, and part of each event's id."""
        self._folder = folder
        self._boot_id = boot_id
        self._now = now
        self._count = 0
        self._files: deque[_File] = deque()
        self._descriptor: int | None = None
        """Of the newest file, where that is this start's: one that a power cut has torn is not continued."""
        self._to_sync: list[int] = []
        self._unsynced: set[str] = set()
        self._wake = asyncio.Event()
        self._faults = LogLimit(60.0)
        self._number = 0
        self.on_kept: Callable[[], None] = lambda: None
        """Called when there is something to tell."""
        try:
            make_private_folder(folder)
            self._read()
        except ConfigError as exc:
            self._complain(str(exc))

    def __len__(self) -> int:
        return sum(len(file.waiting) for file in self._files)

    def note(
        self,
        kind: EventKind,
        message: str,
        details: Mapping[str, Detail],
        *,
        at: float | None = None,
        until: float | None = None,
        has_thumbnail: bool = False,
    ) -> str:
        """Something happened now, or `at`; returns its id, by which its picture is known where it has one.

        Blocks for as long as an append of a few hundred bytes. Details that no message takes are left out.
        """
        self._make_room()
        now, about = self._now(), KINDS[kind]
        self._count += 1
        name = f"{self._boot_id}-{self._count}"
        event = Event(
            id=name,
            kind=kind,
            severity=about.severity,
            concerns=about.concerns,
            at=now.unix_s if at is None else at,
            message=clip(message),
            clock="running",
            until=until,
            thumbnail=name if has_thumbnail else None,
            details=dict(details),
        )
        # `up_s` is of the moment `at`: by both it is seen whether the clock has stepped since.
        noted = _Noted(event, now.up_s - (now.unix_s - event.at), now.machine_start, now.is_clock_set)
        line = _encode(_Line(noted))
        if not _is_good(line):
            noted = replace(noted, event=replace(event, details={}))
            line = _encode(_Line(noted))
        self._append(line)
        self._files[-1].waiting[event.id] = noted, len(line)
        self._unsynced.add(event.id)
        self._wake.set()
        return event.id

    def oldest(self) -> tuple[Event, ...]:
        """What to tell next: the oldest that are on the disk, as many as one message takes."""
        now, found, size_bytes = self._now(), list[Event](), 0
        for noted, line_bytes in self._waiting():
            size_bytes += line_bytes
            is_full = found and size_bytes > TOLD_BYTES
            if is_full or len(found) == MAX_TOLD or noted.event.id in self._unsynced:
                break
            found.append(noted.told(now))
        return tuple(found)

    def confirm(self, ids: Collection[str]) -> bool:
        """A portal has these; False where it names none that wait here."""
        known = tuple(one for one in ids if any(file.waiting.pop(one, None) for file in self._files))
        if not known:
            return False
        if len(self):
            # If a power cut takes this line, they are told again, and the portal knows them by their ids.
            self._append(_encode(_Line(confirmed=known)))
        self._drop_empty()
        return True

    async def run(self) -> None:
        """Bring to the disk what is noted, until cancelled; then the rest."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                synced = self._unsynced.copy()
                await asyncio.to_thread(self._sync, self._take_descriptors())
                self._unsynced -= synced
                self.on_kept()
                await asyncio.sleep(SYNC_INTERVAL_S)
        finally:
            self.close()

    def close(self) -> None:
        """Bring to the disk what was noted since, and hold no file any more."""
        self._close_file()
        self._sync(self._take_descriptors())

    def _waiting(self) -> Iterator[tuple[_Noted, int]]:
        for file in self._files:
            yield from file.waiting.values()

    def _make_room(self) -> None:
        lost = 0
        while self._files and (
            len(self) >= MAX_EVENTS
            or sum(file.size_bytes for file in self._files) + MAX_EVENT_BYTES > MAX_BYTES
        ):
            if len(self._files) == 1:
                self._close_file()
            lost += sum(_lost_in(noted.event) for noted, _ in self._files[0].waiting.values())
            self._unsynced -= self._files[0].waiting.keys()
            self._files[0].waiting.clear()
            self._drop_empty()
        if lost:
            words = f"{lost} older events were dropped: no portal has confirmed them for too long"
            log.warning("%s", words)
            self.note("events-lost", words, {"events": lost})

    def _append(self, line: bytes) -> None:
        if self._is_over or self._files[-1].size_bytes + len(line) > FILE_BYTES:
            self._open_file()
        self._files[-1].size_bytes += len(line)
        if self._descriptor is None:
            return
        try:
            written = os.write(self._descriptor, line)
            fault = "" if written == len(line) else "the disk is full"
        except OSError as exc:
            fault = str(exc.strerror)
        if fault:
            self._complain(f"{self._folder}: {fault}")
            self._close_file()  # its last line may be torn

    @property
    def _is_over(self) -> bool:
        """There is no file to go on with, or somebody has removed it, so that nobody would find it."""
        if self._descriptor is None:
            return True
        try:
            return os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            return True

    def _open_file(self) -> None:
        self._close_file()
        self._number += 1
        file = _File(self._folder / f"{self._number:012}.jsonl")
        self._files.append(file)
        try:
            make_private_folder(self._folder)  # somebody may have made room meanwhile, or by its removal
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(file.path, flags, 0o600)
        except (OSError, ConfigError) as exc:
            self._complain(str(exc))

    def _close_file(self) -> None:
        """It is not written to any more; `_sync` closes it."""
        if self._descriptor is not None:
            self._to_sync.append(self._descriptor)
            self._descriptor = None
            self._wake.set()

    def _drop_empty(self) -> None:
        """Remove the files in which nothing waits, but for the newest: it may say what is confirmed."""
        if not len(self) and self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        for file in [file for file in self._files if not file.waiting]:
            if file is self._files[-1] and self._descriptor is not None:
                continue
            self._files.remove(file)
            with contextlib.suppress(OSError):
                file.path.unlink()

    def _take_descriptors(self) -> list[int]:
        """What to sync, the newest file too; each is closed once, whoever goes on with it."""
        taken, self._to_sync = self._to_sync, []
        if self._descriptor is not None:
            taken.append(os.dup(self._descriptor))
        return taken

    def _sync(self, descriptors: list[int]) -> None:
        """In a thread: a card may take a second for it."""
        try:
            for descriptor in descriptors:
                os.fsync(descriptor)
            if descriptors:
                sync_folder(self._folder)
        except OSError as exc:
            self._complain(f"{self._folder}: {exc.strerror}")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _read(self) -> None:
        confirmed: set[str] = set()
        for path in sorted(self._folder.glob("*.jsonl")):
            self._number = max(self._number, int(path.stem) if path.stem.isdecimal() else 0)
            try:
                lines = read_private(path).splitlines()
            except ConfigError as exc:
                log.warning("%s: its events are lost: %s", path, exc)
                continue
            file = _File(path)
            for line in lines:
                file.size_bytes += len(line) + 1
                try:
                    read = _LINE.validate_json(line)
                except ValidationError:
                    log.warning("%s: a line was torn, by a power cut maybe, and is lost", path)
                    continue
                confirmed.update(read.confirmed)
                if read.noted is not None:
                    file.waiting[read.noted.event.id] = read.noted, len(line) + 1
            self._files.append(file)
        for file in self._files:
            for one in confirmed & file.waiting.keys():
                del file.waiting[one]
        self._drop_empty()

    def _complain(self, words: str) -> None:
        if self._faults.note(time.monotonic()):
            log.warning("events may be lost at the next restart: %s", words)


def _encode(line: _Line) -> bytes:
    return _LINE.dump_json(line, exclude_defaults=True) + b"\n"


def _is_good(line: bytes) -> bool:
    """Whether it can be read again, and told."""
    if len(line) > MAX_EVENT_BYTES:
        return False
    try:
        _LINE.validate_json(line)
    except ValidationError:
        return False
    return True


def _lost_in(event: Event) -> int:
    """How many events are gone with this one."""
    count = event.details.get("events") if event.kind == "events-lost" else None
    return count if isinstance(count, int) else 1
