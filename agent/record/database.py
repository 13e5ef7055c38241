"""The index's SQLite file: WAL, so that a reader waits for no writer, and anew where it is damaged."""

import contextlib
import logging
import sqlite3
from collections.abc import Collection
from pathlib import Path

log = logging.getLogger(__name__)

SCHEMA = 1
_TABLES = """
CREATE TABLE segments(
  id INTEGER PRIMARY KEY, stream TEXT NOT NULL, boot TEXT NOT NULL, start_us INTEGER NOT NULL,
  wall_us INTEGER NOT NULL, clock INTEGER NOT NULL, dur_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
  keyframes BLOB NOT NULL, tier INTEGER NOT NULL, event TEXT NOT NULL, uploaded INTEGER NOT NULL,
  locked INTEGER NOT NULL, open INTEGER NOT NULL);
CREATE INDEX by_time ON segments(stream, wall_us);
CREATE INDEX by_worth ON segments(locked, open, uploaded DESC, tier, wall_us);
CREATE TABLE garbage(name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE marks(
  id INTEGER PRIMARY KEY, cause TEXT NOT NULL, event TEXT NOT NULL, boot TEXT NOT NULL,
  start_us INTEGER NOT NULL, wall_us INTEGER NOT NULL, dur_us INTEGER NOT NULL);
"""


_ODD = """
SELECT EXISTS(SELECT 1 FROM segments WHERE
    id NOT BETWEEN 1 AND 1e15 OR stream NOT IN ('main', 'preview') OR typeof(stream) <> 'text'
    OR typeof(boot) <> 'text' OR typeof(event) <> 'text'
    OR typeof(keyframes) <> 'blob' OR length(keyframes) % 8
    OR typeof(start_us) <> 'integer' OR start_us NOT BETWEEN 0 AND 1e18
    OR typeof(wall_us) <> 'integer' OR wall_us NOT BETWEEN 0 AND 1e18
    OR typeof(dur_us) <> 'integer' OR dur_us NOT BETWEEN 0 AND 1e18
    OR typeof(bytes) <> 'integer' OR bytes NOT BETWEEN 0 AND 1e18
    OR typeof(tier) <> 'integer' OR tier NOT BETWEEN 0 AND 2
    OR clock NOT IN (0, 1) OR uploaded NOT IN (0, 1) OR locked NOT IN (0, 1) OR open NOT IN (0, 1))
OR EXISTS(SELECT 1 FROM marks WHERE
    typeof(cause) <> 'text' OR typeof(event) <> 'text' OR typeof(boot) <> 'text'
    OR typeof(start_us) <> 'integer' OR start_us NOT BETWEEN -1e18 AND 1e18
    OR typeof(wall_us) <> 'integer' OR wall_us NOT BETWEEN -1e18 AND 1e18
    OR typeof(dur_us) <> 'integer' OR dur_us NOT BETWEEN -1e18 AND 1e18)
OR EXISTS(SELECT 1 FROM garbage WHERE typeof(name) <> 'text')
"""
"""Whether there is what we never write: a card may come from anywhere, and its index with it."""


def where_unsent(
    streams: Collection[str], tiers: Collection[int], but: Collection[int] = ()
) -> tuple[str, tuple[int | str, ...]]:
    """What is to be uploaded, but for some; in words that let `by_worth`, and not `by_time`, find it."""
    marks = [",".join("?" * len(each)) for each in (tiers, streams, but)]
    where = "WHERE locked IN (0,1) AND open=0 AND uploaded=0 AND bytes>0"
    where += " AND tier IN ({}) AND +stream IN ({}) AND id NOT IN ({})".format(*marks)
    return where, (*tiers, *streams, *but)


def open_database(file: Path) -> sqlite3.Connection:
    """Open or make it. Raises sqlite3.Error where the disk does not let us."""
    try:
        return _opened(file)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as exc:
        log.warning("%s is damaged, and made anew from the files: %s", file, exc)
        for one in (file, *file.parent.glob(f"{file.name}-*")):
            one.unlink(missing_ok=True)
        return _opened(file)


def _opened(file: Path) -> sqlite3.Connection:
    if file.is_symlink():  # SQLite would follow it
        raise sqlite3.DatabaseError("a link")
    db = sqlite3.connect(file, timeout=10, check_same_thread=False)
    try:
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA journal_size_limit=1048576")
        db.execute("PRAGMA cache_size=-1024")
        _check(db)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("malformed")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if not version:
        db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
    elif version != SCHEMA:
        raise sqlite3.DatabaseError(f"of another version, {version}")
    if _schema(db) != _our_schema():  # a trigger or a view would do in our name what another wants
        raise sqlite3.DatabaseError("of another shape")
    if db.execute(_ODD).fetchone() != (0,):
        raise sqlite3.DatabaseError("what it says is nothing that we write")


def _our_schema() -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_TABLES)
        return _schema(db)


def _schema(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY name").fetchall()
