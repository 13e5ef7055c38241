"""The portal's database: SQLite in one file by default, PostgreSQL where several portals share it.

The only module that opens a database. Others bring tables (subclasses of `Table`) and functions of a Session:

    users = await store.run(lambda db: db.scalars(select(User)).all())

One call is one transaction: it is committed when the function returns, and undone when it raises.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    Select,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session

from agent.config import PortalSettings, read_secret
from agent.errors import ConfigError, PortalError
from agent.model.beat import next_beat
from agent.model.disk import check_file
from agent.portal.changes import Changes, Listener, ListenError
from agent.portal.outsiders import Outsiders
from agent.portal.store_faults import is_away, is_full, reason

MIGRATIONS = Path(__file__).parent / "migrations"
THREADS = 4
MAX_WAITING = 256
BUSY_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10
ROOM_PAGES, PAGE_BYTES = 512, 4096
"""What SQLite keeps free for itself: 2 MiB are thousands of sign-ins."""
ROOM_INTERVAL_S = 10.0
_MIGRATION_LOCK = 0x70696E68
"""PostgreSQL's advisory lock while one portal migrates: any number that nobody else takes."""
_CHANNEL = "pinhole"
"""Its notifications begin with this; see the migrations `devices_5` and `notify_2`."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Table(DeclarativeBase):
    """Base of every table of the portal. Times are Unix seconds."""

    # Constraints have names, so that later migrations can change them on both databases.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class StoreError(PortalError):
    """The database cannot be opened, reached or used."""


class StoreAwayError(StoreError):
    """The database cannot be opened, and may be later: no server answers, or another program has it."""


class DiskFullError(StoreError):
    """There is no room for what was to be written; what is there can be read."""


class CrowdError(StoreError):
    """Too many who are not signed in ask at once."""


class ValueRefusedError(StoreError):
    """A value that no column takes, such as a text with a NUL character: whoever sent it is at fault."""


class Store:
    """An open database. Its work runs in threads: the event loop never waits for a disk or a server."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._waiting = 0
        self._outsiders = Outsiders()
        self._watch: sqlite3.Connection | None = None
        self._changes = Changes(self._open_listener)
        self.disk_is_full = False
        """Whether the last write, or the last look, found no room."""

    @classmethod
    def open(cls, url: str, password: str | None = None) -> Self:
        """Open `sqlite:///FILE` or `postgresql://USER@HOST/NAME`, and bring its tables up to date.

        Blocks; safe to call from several portals at once. Raises StoreError, StoreAwayError among them.
        """
        parsed = make_url(url)
        engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed, password)
        try:
            _migrate(engine)
        except CommandError as exc:
            engine.dispose()
            raise StoreError(f"portal.database_url {_shown(parsed)}: made by a newer Pinhole? {exc}") from exc
        except (SQLAlchemyError, sqlite3.Error, OSError) as exc:
            engine.dispose()
            full = ": its disk is full: make room" if _is_on_full_disk(parsed) else ""
            kind = StoreAwayError if is_away(exc) and not full else StoreError
            raise kind(f"portal.database_url {_shown(parsed)}: {reason(exc)}{full}") from exc
        return cls(engine)

    async def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction, in a thread.

        Raises StoreError, and whatever `work` raises.
        """
        if not self._outsiders.has_room():
            raise CrowdError("too many requests of who is not signed in are waiting for the database")
        async with self._outsiders.turn():
            if self._waiting >= MAX_WAITING:
                raise StoreError("the database is behind: too many requests are waiting for it")
            self._waiting += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self.run_here, work)
            finally:
                self._waiting -= 1

    def run_here(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction, in this thread: for commands, and for tests."""
        try:
            # Values stay readable after the commit.
            with Session(self.engine, expire_on_commit=False) as db, db.begin():
                return work(db)
        except DataError as exc:
            raise ValueRefusedError(f"the database refuses a value: {reason(exc)}") from exc
        except DBAPIError as exc:
            if is_full(exc):
                self.disk_is_full = self._is_sqlite  # PostgreSQL's is its administrator's to watch
                raise DiskFullError(f"the database's disk is full: {reason(exc)}") from exc
            raise StoreError(f"the database failed: {reason(exc)}") from exc
        except SQLAlchemyError as exc:  # no connection is free; a row went while it was changed
            raise StoreError(f"the database failed: {reason(exc)}") from exc
        except (OverflowError, UnicodeEncodeError) as exc:  # sqlite3, before the database sees it
            raise ValueRefusedError(f"the database refuses a value: {exc}") from exc

    def version(self, *, sure: bool = False) -> int | None:
        """Another number after every change of a device, by whatever program; None where one has to ask.

        On SQLite after every commit: it takes no lock, and reads a number that programs with the same file
        share in memory (sqlite.org/pragma.html#pragma_data_version). From PostgreSQL it is hearsay
        (`changes.py`), which does not do where it must be `sure`. For the event loop's thread.
        """
        name = self.engine.url.database
        if not self._is_sqlite or name is None:
            return None if sure else self._changes.version()
        try:
            if self._watch is None:
                self._watch = sqlite3.connect(name, timeout=0, isolation_level=None)
            found: int = self._watch.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error as exc:
            log.debug("whether the database has changed is unknown: %s", exc)
            return None
        return found

    @property
    def hears(self) -> bool:
        """Whether `listen` tells of each event: where not, ask."""
        return self._changes.version() is not None

    async def listen(self, revision: Select[int], on_event: Callable[[], None] = lambda: None) -> None:
        """Hear of changes, until cancelled; `revision` finds the number that grows with each.

        `on_event()` is called for each event that any portal keeps, and when `hears` becomes another.
        """
        if self._is_sqlite:
            await asyncio.Event().wait()
        await self._changes.run(partial(self._tell, revision), on_event)

    async def _open_listener(self, channel: str) -> Listener:
        open_one = partial(_Listener, self.engine, channel)
        return await asyncio.get_running_loop().run_in_executor(self._threads, open_one)

    async def _tell(self, revision: Select[int], channel: str) -> int | None:
        """Say the channel's own name on it; returns the revision that is then. Raises StoreError."""

        def tell() -> int | None:
            # Without a transaction: two answers fewer to wait for.
            with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                said = func.pg_notify(f"{_CHANNEL}_{channel}", channel)
                found: int | None = connection.execute(select(said, revision.scalar_subquery())).one()[1]
                return found

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, tell)
        except SQLAlchemyError as exc:
            raise StoreError(f"the database failed: {reason(exc)}") from exc

    async def keep_room(self) -> None:
        """Look every few seconds whether the disk is full, and keep room for when it is; until cancelled."""
        is_told = False  # else of what a write has found by itself nobody would be told
        while self._is_sqlite:
            try:
                has_none = await asyncio.get_running_loop().run_in_executor(self._threads, self._see_room)
            except (SQLAlchemyError, OSError) as exc:
                log.debug("no room is kept: %s", exc)
                has_none = isinstance(exc, DBAPIError) and is_full(exc)
            if has_none != is_told:
                log.log(
                    logging.ERROR if has_none else logging.INFO,
                    "the database's disk is full: sign-ins go on for a while, the audit log waits: make room"
                    if has_none
                    else "the database's disk has room again",
                )
            self.disk_is_full = is_told = has_none
            await next_beat(ROOM_INTERVAL_S)
        await asyncio.Event().wait()  # a PostgreSQL server's disk is its administrator's to watch

    def _see_room(self) -> bool:
        """Whether the disk is full. Room is kept within SQLite's own files, where nobody else can take it.

        A sign-in writes a few pages. They go to the write-ahead log, which keeps its size and begins anew
        when it was copied into the database, and there they take pages that are free. So where both have
        room, nothing of it needs a block of the disk (sqlite.org/wal.html, section 6).
        """
        name = self.engine.url.database
        if not self._is_sqlite or name is None:
            return False
        file, kept_bytes = Path(name), ROOM_PAGES * PAGE_BYTES
        if shutil.disk_usage(file.parent).free < 2 * kept_bytes:
            return True
        with self.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
            connection.rollback()
            if pages < ROOM_PAGES // 2 or file.with_name(f"{file.name}-wal").stat().st_size < kept_bytes:
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS room (bytes BLOB)")
                connection.exec_driver_sql("INSERT INTO room VALUES (zeroblob(?))", (kept_bytes,))
                connection.commit()  # only what is committed gets its blocks
                connection.exec_driver_sql("DROP TABLE room")
                connection.commit()
        return False

    def wipe_deleted(self) -> None:
        """Leave nothing in SQLite's files of what rows held before; blocks. A failure is logged."""
        if not self._is_sqlite:
            return  # a PostgreSQL server overwrites it in its own time, and dumps hold none of it
        try:
            with contextlib.closing(self.engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as exc:
            log.warning("the database's file may still hold what was deleted (see VACUUM): %s", exc)

    @property
    def _is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Let running work end, and close every connection."""
        self._threads.shutdown(cancel_futures=True)
        if self._watch is not None:
            self._watch.close()
        self.engine.dispose()


class _Listener:
    """A connection to PostgreSQL that hears of changes, and what is said on one more channel."""

    def __init__(self, engine: Engine, channel: str) -> None:
        """Blocks. Raises ListenError."""
        self._error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._connection: Any = None
        try:
            pooled = engine.raw_connection()
            self._connection = pooled.driver_connection
            pooled.detach()  # the pool keeps all of its own
            self._connection.autocommit = True
            for one in ("changed", channel):
                self._connection.execute(f'LISTEN "{_CHANNEL}_{one}"')
            self.fileno: int = self._connection.fileno()
        except (SQLAlchemyError, self._error) as exc:
            self.close()
            raise ListenError(reason(exc)) from exc

    def take(self) -> list[str]:
        try:
            return [said.payload for said in self._connection.notifies(timeout=0)]
        except self._error as exc:
            raise ListenError(reason(exc)) from exc

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def open_store(settings: PortalSettings) -> Store:
    """As `Store.open`, by the settings. Raises StoreError or ConfigError."""
    file = settings.database_password_file
    return Store.open(settings.database_url, read_secret(file) if file else None)


def _sqlite(url: URL) -> Engine:
    file = Path(url.database or "")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Made before SQLite would: password hashes are nobody else's, and its other files take this mode.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        check_file(file.resolve().parent)
        for own in (file, *(Path(f"{file}-{name}") for name in ("wal", "shm", "journal"))):
            check_file(own, close=True)
    except OSError as exc:
        raise StoreError(f"portal.database_url {file}: {exc.strerror}") from exc
    except ConfigError as exc:
        raise StoreError(f"portal.database_url {exc}") from exc
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver shall begin no transaction: `begin` below does
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {ROOM_PAGES // 2}")
        # Each commit is on the disk before it is confirmed: a revocation must outlive a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # At once a writer: two readers that both turn writers would fail instead of waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, password: str | None) -> Engine:
    url = url.set(drivername="postgresql+psycopg")
    if password is not None:
        url = url.set(password=password)
    try:
        return create_engine(
            url,
            pool_pre_ping=True,  # a server that restarted costs no request
            pool_size=THREADS,
            max_overflow=0,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
        )
    except ModuleNotFoundError as exc:
        raise StoreError(
            "portal.database_url: PostgreSQL needs its driver: install pinhole[postgresql]"
        ) from exc


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:  # on SQLite this holds the file's lock
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")


def _is_on_full_disk(url: URL) -> bool:
    """SQLite calls it an I/O error where it cannot make the files beside the database."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return False
    return shutil.disk_usage(Path(url.database).parent).free < ROOM_PAGES * PAGE_BYTES


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
