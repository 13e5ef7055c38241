"""Who did what and when: in the store for the dashboard, and in a file of JSON lines for everything else."""

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.errors import PortalError
from agent.model.text import printable
from agent.portal.store import Store, StoreError
from agent.portal.tables import DEVICE_CHARS, NAME_CHARS, AuditEntry

MAX_QUEUED = 4096
BATCH = 256
RETRY_S = 5.0
FILE_BYTES, FILES_KEPT = 10 * 1024 * 1024, 9
MAX_ROWS = 500_000
KEPT_S = 366 * 86400.0
_DETAIL_CHARS = 400
_PRUNE_EVERY = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `at` is Unix time in seconds."""

    at: float
    actor: str
    action: str
    device: str = ""
    address: str = ""
    detail: str = ""


Topic = Literal["", "everything", "watching", "previews", "sign-in", "accounts", "links", "cameras"]
TOPICS: dict[Topic, tuple[str, ...]] = {
    "watching": ("watch", "watch-end"),
    "previews": ("preview",),
    "sign-in": (
        "sign-in",
        "sign-in-failed",
        "sign-out",
        "signed-out-others",
        "password-set",
        "code-set",
        "code-removed",
        "recovery-renewed",
        "recovery-used",
    ),
    "accounts": (
        "user-added",
        "user-changed",
        "user-removed",
        "link-made",
        "group-set",
        "group-removed",
    ),
    "links": ("link-shared", "link-revoked", "link-opened"),
    "cameras": ("claim-made", "enrolled", "revoked", "look-asked"),
}
"""Which acts belong together. Where no topic is asked for, previews are left out; `everything` has them."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries somebody asks for; empty fields match all."""

    before: int | None = None
    """Only entries older than the one with this id: the next page."""
    actor: str = ""
    device: str = ""
    about: Topic = ""
    since: float | None = None
    """Unix time; `until` itself is beyond the range."""
    until: float | None = None
    limit: int = 100


class Audit:
    """Takes entries at once and writes them in the background; bounded in memory, file and table."""

    def __init__(self, store: Store, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._queue: asyncio.Queue[Entry] = asyncio.Queue(MAX_QUEUED)
        self._dropped = 0
        self._written = 0
        self._told: dict[str, str] = {}
        """What keeps the file and the table from being written, so that it is said once."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = _PrivateFile(file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        except OSError as exc:
            raise PortalError(f"portal.audit_file {file}: cannot write it: {exc.strerror}") from exc

    def add(self, actor: str, action: str, *, device: str = "", address: str = "", detail: str = "") -> None:
        """Note one act; never blocks. What finds the queue full is counted and lost, and the log says so."""
        entry = Entry(
            round(self._clock(), 3),
            printable(actor)[:NAME_CHARS],
            action,
            device[:DEVICE_CHARS],
            address[:64],
            printable(detail)[:_DETAIL_CHARS],
        )
        try:
            self._queue.put_nowait(entry)
        except asyncio.QueueFull:
            if not self._dropped:
                log.warning("the audit log is behind: the database does not take its entries")
            self._dropped += 1

    @property
    def is_incomplete(self) -> bool:
        """Whether the last entries could not be written to the file."""
        return bool(self._told.get("file"))

    async def run(self) -> None:
        """Write until cancelled; then what is left."""
        try:
            while True:
                await self._write(await self._batch())
        finally:
            await self.flush()
            self._file.close()

    async def flush(self) -> None:
        """Write what is queued, once; for the end, and for tests."""
        while not self._queue.empty():
            entries = self._take()
            self._write_file(entries)
            try:
                await self._store.run(partial(_insert, new=entries, prune_before=0.0))
            except StoreError as exc:
                log.warning("the audit log's last entries are in its file alone: %s", exc)
                return

    async def _batch(self) -> list[Entry]:
        first = await self._queue.get()
        return [first, *self._take()]

    def _take(self) -> list[Entry]:
        return [self._queue.get_nowait() for _ in range(min(BATCH, self._queue.qsize()))]

    async def _write(self, entries: list[Entry]) -> None:
        if self._dropped:
            entries.append(Entry(self._clock(), "portal", "entries-lost", detail=str(self._dropped)))
            self._dropped = 0
        self._write_file(entries)
        self._written += len(entries)
        is_due = self._written >= _PRUNE_EVERY
        prune_before = self._clock() - KEPT_S if is_due else 0.0
        while True:
            if self._store.disk_is_full:  # what room there is, is for sign-ins
                self._tell("table", "the audit log waits: its disk is full")
            else:
                try:
                    await self._store.run(partial(_insert, new=entries, prune_before=prune_before))
                except StoreError as exc:
                    self._tell("table", f"the audit log waits for the database: {exc}")
                else:
                    self._tell("table", "")
                    self._written = 0 if is_due else self._written
                    return
            await asyncio.sleep(RETRY_S)

    def _write_file(self, entries: list[Entry]) -> None:
        for entry in entries:
            line = json.dumps({key: value for key, value in asdict(entry).items() if value != ""})
            self._file.emit(logging.makeLogRecord({"msg": line}))
        fault = self._file.take_fault()
        self._tell("file", f"{self._file.baseFilename}: entries are missing: {fault}" if fault else "")

    def _tell(self, target: str, problem: str) -> None:
        if problem and problem != self._told.get(target):
            log.warning("%s", problem)
        self._told[target] = problem


class _PrivateFile(RotatingFileHandler):
    """Rotated at 10 MiB, nine former files kept, readable to its owner alone. A fault is kept, not thrown."""

    _fault = ""

    def take_fault(self) -> str:
        """Why something could not be written since the last call; empty where all was."""
        fault, self._fault = self._fault, ""
        return fault

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  as logging calls it
        """Begin anew with the next line, which half a line must not spoil."""
        self._fault = str(sys.exception())
        stream, self.stream = self.stream, None  # logging opens it again
        with contextlib.suppress(OSError, ValueError):
            if stream:
                stream.close()

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            with contextlib.suppress(OSError):
                os.write(descriptor, b"\n")
        return os.fdopen(descriptor, "a", encoding=self.encoding)


def entries(db: Session, wanted: Filter) -> list[tuple[int, Entry]]:
    """The newest entries first, with their ids."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(wanted.limit)
    if wanted.before is not None:
        query = query.where(AuditEntry.id < wanted.before)
    if wanted.actor:
        query = query.where(AuditEntry.actor == wanted.actor)
    if wanted.device:
        query = query.where(AuditEntry.device == wanted.device)
    if wanted.since is not None:
        query = query.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEntry.at < wanted.until)
    if wanted.about in TOPICS:
        query = query.where(AuditEntry.action.in_(TOPICS[wanted.about]))
    elif not wanted.about:
        query = query.where(AuditEntry.action.not_in(TOPICS["previews"]))
    return [
        (row.id, Entry(row.at, row.actor, row.action, row.device, row.address, row.detail))
        for row in db.scalars(query)
    ]


def _insert(db: Session, new: list[Entry], prune_before: float) -> None:
    db.add_all(AuditEntry(**asdict(entry)) for entry in new)
    if prune_before:
        db.flush()
        newest = db.scalar(select(func.max(AuditEntry.id))) or 0
        db.execute(
            delete(AuditEntry).where((AuditEntry.at < prune_before) | (AuditEntry.id <= newest - MAX_ROWS))
        )
