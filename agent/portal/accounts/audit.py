"""Who did what and when: in the store for the dashboard, and in a file of JSON lines for everything else."""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.errors import PortalError
from agent.model.disk import check_file
from agent.model.tasks import TaskGroup
from agent.model.text import printable
from agent.portal.accounts import ledger
from agent.portal.accounts.attempts import network_of
from agent.portal.accounts.audit_file import AuditFile
from agent.portal.accounts.chain import DETAIL_CHARS, Entry, in_ascii
from agent.portal.rate_limit import MinuteLimit
from agent.portal.store import Store, StoreError, ValueRefusedError
from agent.portal.tables import DEVICE_CHARS, NAME_CHARS, AuditEntry

MAX_QUEUED = 4096
BATCH = 256
RETRY_S = 5.0
REFUSALS_PER_MINUTE = 20
_PRUNE_EVERY, _PRUNE_S = 1000, 86_400.0
"""What is too old goes after so many entries, and once a day, for few portals note so many."""

T = TypeVar("T")
log = logging.getLogger(__name__)


Topic = Literal[
    "",
    "everything",
    "watching",
    "previews",
    "sign-in",
    "accounts",
    "links",
    "cameras",
    "commands",
    "notifications",
    "refusals",
]
TOPICS: dict[Topic, tuple[str, ...]] = {
    "watching": ("watch", "watch-end", "recording-saved"),
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
        "passkey-added",
        "passkey-removed",
        "passkey-copied",
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
    "cameras": (
        "key-made",
        "key-retired",
        "claim-made",
        "enrolled",
        "enrol-refused",
        "renamed",
        "revoked",
        "look-asked",
    ),
    "commands": ("commanded", "command-done", "command-failed", "command-refused", "look-asked", "sms-made"),
    "notifications": (
        "rule-set",
        "rule-removed",
        "rule-snoozed",
        "channel-added",
        "channel-removed",
        "channel-opened",
        "channel-closed",
    ),
    "refusals": (
        "sign-in-failed",
        "passkey-copied",
        "watch-refused",
        "enrol-refused",
        "command-refused",
        "refused",
    ),
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
    """Takes entries at once and writes them in the background; bounded in memory, file and table.

    The file has them first, and waits for no database: who keeps the table from being written is in it. Nor
    does the table wait for a file that cannot be written. Where an answer of the database is lost, the table
    may have some twice.
    """

    def __init__(self, store: Store, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._for_file, self._for_table = _Backlog("file"), _Backlog("table")
        self._refusals = MinuteLimit(REFUSALS_PER_MINUTE)
        self._all_refusals = MinuteLimit(10 * REFUSALS_PER_MINUTE)
        self._written, self._prune_at = 0, 0.0
        check_file(file)
        try:
            self._file = AuditFile(file)
        except OSError as exc:
            raise PortalError(f"portal.audit_file {file}: cannot write it: {exc.strerror}") from exc

    def add(self, actor: str, action: str, *, device: str = "", address: str = "", detail: str = "") -> None:
        """Note one act; never blocks. What finds no room is counted and lost, and the log says so."""
        entry = Entry(
            round(self._clock(), 3),
            printable(actor)[:NAME_CHARS],
            action,
            printable(device)[:DEVICE_CHARS],
            printable(address)[:64],
            printable(detail)[:DETAIL_CHARS],
        )
        self._for_file.add(entry)
        self._for_table.add(entry)

    def add_refusal(self, actor: str, action: str, *, device: str = "", address: str, detail: str) -> None:
        """The same for what was refused: so many a minute of one address, else strangers fill the log."""
        now_s = time.monotonic()
        if self._refusals.admits(network_of(address), now_s) and self._all_refusals.admits(None, now_s):
            self.add(actor, action, device=device, address=address, detail=detail)

    @property
    def is_incomplete(self) -> bool:
        """Whether the last entries could not be written to the file."""
        return bool(self._for_file.problem)

    async def run(self) -> None:
        """Write until cancelled; then what is left."""
        try:
            async with TaskGroup() as group:
                group.create_task(_keep_trying(self._for_table, self._fill_table), name="audit table")
                try:
                    await _keep_trying(self._for_file, self._fill_file)
                finally:  # at once, however long the table takes
                    await _to_the_end(self._fill_file())
        finally:
            await _to_the_end(self._end())

    async def flush(self) -> None:
        """Write what is queued, after what is being written; for tests, and for the end."""
        await self._fill_file()
        await self._fill_table()

    async def _end(self) -> None:
        try:
            await self._fill_file()
            if not self._for_table.problem:  # no more is asked of what was away a moment ago
                await self._fill_table()
            for backlog in (self._for_file, self._for_table):
                backlog.tell_end()
        finally:
            self._file.close()

    async def _fill_file(self) -> None:
        async with self._for_file.turn:
            while len(self._for_file) and await _to_the_end(self._write_file()):
                pass

    async def _write_file(self) -> bool:
        """Write the next entries; whether the file took them.

        In a thread: the disk may be slow, and a command of ours may hold the file's lock.
        """
        taken = await asyncio.to_thread(self._file.write, *self._for_file.next())
        self._for_file.remove(taken, self._clock())
        fault = self._file.take_fault()
        self._for_file.tell(f"the audit log waits for {self._file.baseFilename}: {fault}" if fault else "")
        return not fault

    async def _fill_table(self) -> None:
        async with self._for_table.turn:
            while len(self._for_table) and await _to_the_end(self._insert()):
                pass

    async def _insert(self) -> bool:
        """Bring the next entries into the table, after the file; whether it took them."""
        if self._store.disk_is_full:  # what room there is, is for sign-ins
            self._for_table.tell("the audit log waits: its disk is full")
            return False
        entries = self._for_table.next()
        if not self._for_file.problem:  # else the file is tried in its own time
            await self._fill_file()
        now = self._clock()
        is_due = self._written + len(entries) >= _PRUNE_EVERY or now >= self._prune_at
        prune_before = now - ledger.KEPT_S if is_due else 0.0
        insert = partial(_insert, prune_before=prune_before, now=now)
        try:
            try:
                await self._store.run(partial(insert, new=entries))
            except ValueRefusedError:  # by a database in another encoding than UTF-8: it holds up no others
                await self._store.run(partial(insert, new=[in_ascii(entry) for entry in entries]))
        except StoreError as exc:
            self._for_table.tell(f"the audit log waits for the database: {exc}")
            return False
        self._for_table.tell("")
        self._written = 0 if is_due else self._written + len(entries)
        self._prune_at = now + _PRUNE_S if is_due else self._prune_at
        self._for_table.remove(len(entries), now)
        return True


class _Backlog:
    """What the file, or the table, has yet to get: so many entries, and how many found no room."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._entries: deque[Entry] = deque()
        self._lost = 0
        self.is_filled = asyncio.Event()
        self.turn = asyncio.Lock()
        self.problem = ""
        """Why the last entries were not taken; empty where they were."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        if len(self) >= MAX_QUEUED:
            if not self._lost:
                log.warning("the audit log's %s is behind: entries are missing", self._name)
            self._lost += 1
            return
        self._entries.append(entry)
        self.is_filled.set()

    def next(self) -> list[Entry]:
        return list(itertools.islice(self._entries, BATCH))

    def remove(self, count: int, now: float) -> None:
        """The first are written, so there is room to say how many were lost after the last."""
        for _ in range(count):
            self._entries.popleft()
        if self._lost and count:
            self._entries.append(Entry(now, "portal", ledger.LOST, detail=str(self._lost)))
            self._lost = 0
        if not self._entries:
            self.is_filled.clear()

    def tell(self, problem: str) -> None:
        """Say once what is in the way."""
        if problem and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem

    def tell_end(self) -> None:
        if self._entries:
            log.warning("the audit log's last entries are not in its %s", self._name)


async def _keep_trying(backlog: _Backlog, fill: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await backlog.is_filled.wait()
        await fill()
        if backlog.problem:
            await asyncio.sleep(RETRY_S)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Whoever is cancelled, however often, waits until it is done: two threads would write one chain."""
    working = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled:
        raise cancelled from working.exception()
    return working.result()


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
    return [(row.id, ledger.entry_of(row)) for row in db.scalars(query)]


def _insert(db: Session, new: list[Entry], prune_before: float, now: float) -> None:
    ledger.append(db, new)
    if prune_before:
        ledger.prune(db, prune_before, now)
