"""The index's SQLite file: WAL, so that a reader waits for no writer, and anew where it is damaged."""

import logging
import sqlite3
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
    db = sqlite3.connect(file, timeout=10, check_same_thread=False)
    try:
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
