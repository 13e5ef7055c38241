"""What a database that failed says: in words, and of which kind it is. Pure."""

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError


def is_full(exc: DBAPIError) -> bool:
    """SQLite's SQLITE_FULL, or PostgreSQL's disk_full (SQLSTATE 53100)."""
    origin = exc.orig
    return (
        getattr(origin, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(origin, "sqlstate", None) == "53100"
    )


def is_away(exc: BaseException) -> bool:
    """Whether it may be there later, by SQLite's primary result code or PostgreSQL's SQLSTATE.

    What a server says before there is a connection, "starting up" and "no such user" alike, has no SQLSTATE
    here: it is waited for, and the log holds its words.
    """
    origin = exc.orig if isinstance(exc, DBAPIError) else exc
    if (code := getattr(origin, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR)
    state = getattr(origin, "sqlstate", None)
    return isinstance(exc, OperationalError) and (state is None or state[:2] in ("08", "53", "57"))


def reason(exc: BaseException) -> str:
    """The database's own words on one line."""
    origin = exc.orig if isinstance(exc, DBAPIError) and exc.orig else exc
    return " ".join(str(origin).split())
