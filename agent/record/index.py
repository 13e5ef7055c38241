"""Which file holds what: SQLite beside the files, and what a list of them needs in memory.

A row a file. The files are what counts: whatever the index lacks or has too much of is mended from them at
each start, and all of it where it is lost. Methods may be called from any thread; those that say so never
touch the disk, so the event loop may call them too.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.errors import PinholeError
from agent.model.inside import is_inside, remove_inside
from agent.model.media import STREAMS, StreamName
from agent.record.database import open_database, where_unsent
from agent.record.repair import repair
from agent.record.segment import (
    COLUMNS,
    Mark,
    Segment,
    Tier,
    from_row,
    grown,
    is_ours,
    number_of,
    restored,
    segment_of,
    to_row,
)
from agent.record.spans import JOIN_US, Spans

log = logging.getLogger(__name__)

FILE = "index.db"


class Index:
    """Of one folder. Raises sqlite3.Error and OSError where the disk does not do what it should."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        """Around the database."""
        self._memory = threading.Lock()
        """Around what is below; never held while the disk is waited for."""
        self._spans: dict[StreamName, Spans] = {stream: Spans() for stream in STREAMS}
        self._locked = Spans()
        self._marks: list[Mark] = []
        self._open: dict[StreamName, Segment] = {}
        self._used_bytes = self._locked_bytes = 0
        self._db = open_database(folder / FILE)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()

    # What never touches the disk.

    def spans(
        self, stream: StreamName, from_us: int, until_us: int, limit: int | None = None
    ) -> list[tuple[int, int]]:
        """What is recorded of a stream, in wall time. Memory alone."""
        with self._memory:
            return self._spans[stream].between(from_us, until_us, limit)

    def locked_spans(self, from_us: int, until_us: int, limit: int | None = None) -> list[tuple[int, int]]:
        """What is never removed by itself. Memory alone."""
        with self._memory:
            return self._locked.between(from_us, until_us, limit)

    def marks(self, from_us: int, until_us: int) -> list[Mark]:
        """Why it was recorded, the oldest first. Memory alone."""
        with self._memory:
            found = [mark for mark in self._marks if mark.end_us >= from_us and mark.start_us < until_us]
        return sorted(found, key=lambda mark: mark.start_us)

    @property
    def used_bytes(self) -> int:
        """All files together. Memory alone."""
        with self._memory:
            return self._used_bytes + sum(one.size_bytes for one in self._open.values())

    @property
    def locked_bytes(self) -> int:
        """Of them those that are locked. Memory alone."""
        with self._memory:
            return self._locked_bytes + sum(one.size_bytes for one in self._open.values() if one.is_locked)

    @property
    def oldest_us(self) -> int | None:
        """When the oldest of any stream begins. Memory alone."""
        with self._memory:
            return min(
                (us for one in self._spans.values() if (us := one.oldest_us) is not None), default=None
            )

    # Reading.

    def at(self, stream: StreamName, wall_us: int) -> Segment | None:
        """The last that begins at or before that time; where there is none, the first."""
        found = self._one("WHERE stream=? AND wall_us<=? ORDER BY wall_us DESC, id DESC", stream, wall_us)
        return found or self._one("WHERE stream=? ORDER BY wall_us, id", stream)

    def after(self, segment: Segment) -> Segment | None:
        """The next of the same stream."""
        now = self.get(segment.id) or segment  # its wall time may have been set since
        where = "WHERE stream=? AND (wall_us,id)>(?,?) ORDER BY wall_us, id"
        return self._one(where, now.stream, now.wall_us, now.id)

    def before(self, segment: Segment) -> Segment | None:
        """The one before it of the same stream."""
        now = self.get(segment.id) or segment
        where = "WHERE stream=? AND (wall_us,id)<(?,?) ORDER BY wall_us DESC, id DESC"
        return self._one(where, now.stream, now.wall_us, now.id)

    def get(self, number: int) -> Segment | None:
        """By its id."""
        return self._one("WHERE id=?", number)

    def segments(self, stream: StreamName, from_us: int, until_us: int) -> list[Segment]:
        """Those that reach into this time, the oldest first."""
        where = "WHERE stream=? AND wall_us<? AND wall_us+dur_us>? AND open=0 ORDER BY wall_us, id"
        found = self._all(where, stream, until_us, from_us)
        with self._memory:
            now = self._open.get(stream)
        if now and now.wall_us < until_us and now.end_us > from_us:
            found.append(now)
        return found

    def next_number(self) -> int:
        """An id that no file has or had."""
        with self._lock:
            (most,) = self._db.execute("SELECT coalesce(max(id),0) FROM segments").fetchone()
        return int(most) + 1

    def least_worth(self, limit: int) -> list[Segment]:
        """What is to be removed first; never what is locked or written."""
        return self._all(f"WHERE locked=0 AND open=0 ORDER BY uploaded DESC, tier, wall_us LIMIT {limit:d}")

    def older_than(self, wall_us: int, limit: int) -> list[Segment]:
        """What ended before that, and is not locked; what is nowhere else comes last.

        A clock that was never set tells no age, beside others that were: then what was recorded before
        something that is too old is too old.
        """
        with self._lock:
            (known,) = self._db.execute("SELECT 1 FROM segments WHERE clock=1 LIMIT 1").fetchone() or (0,)
            (last,) = self._db.execute(
                "SELECT max(id) FROM segments WHERE clock=1 AND wall_us+dur_us<?", (wall_us,)
            ).fetchone()
        where = "WHERE locked=0 AND open=0 AND wall_us+dur_us<? AND (clock=1 OR ?=0 OR id<?)"
        where += " ORDER BY uploaded DESC, wall_us"
        return self._all(f"{where} LIMIT {limit:d}", wall_us, known, last or 0)

    def unsent(
        self, streams: Collection[StreamName], tiers: Collection[Tier], but: Collection[int] = ()
    ) -> Segment | None:
        """What is to be uploaded next: of what happened the newest, then of the rest the oldest."""
        where, values = where_unsent(streams, tiers, but)
        order = "tier>0 DESC, clock DESC, CASE tier WHEN 0 THEN wall_us ELSE -wall_us END"
        return self._one(f"{where} ORDER BY {order}", *values)

    def count_unsent(self, streams: Collection[StreamName], tiers: Collection[Tier]) -> tuple[int, int]:
        """How many files are to be uploaded, and their bytes."""
        where, values = where_unsent(streams, tiers)
        with self._lock:
            query = f"SELECT count(*), coalesce(sum(bytes),0) FROM segments {where}"  # noqa: S608
            count, size_bytes = self._db.execute(query, values).fetchone()
        return int(count), int(size_bytes)

    # Writing.

    def begin(self, segment: Segment) -> None:
        """Its file is begun."""
        with self._lock, self._db:
            self._put(replace(segment, is_open=True))
            with self._memory:  # with the row, so that no lock falls in between
                self._open[segment.stream] = segment

    def grow(self, segment: Segment) -> None:
        """Its file has one fragment more. Memory alone: what a crash takes of this is in the file."""
        with self._memory:
            former = self._open.get(segment.stream)
            self._open[segment.stream] = segment = grown(former, segment) if former else segment
            self._spans[segment.stream].add(segment.wall_us, segment.end_us)
            if segment.is_locked:
                self._locked.add(segment.wall_us, segment.end_us)

    def finish(self, segment: Segment) -> None:
        """Its file is whole."""
        with self._lock:
            if row := self.get(segment.id):
                segment = grown(row, segment)
            with self._db:
                self._put(replace(segment, is_open=False))
        with self._memory:
            self._open.pop(segment.stream, None)
            self._used_bytes += segment.size_bytes
            self._locked_bytes += segment.size_bytes if segment.is_locked else 0
            self._spans[segment.stream].add(segment.wall_us, segment.end_us)
            if segment.is_locked:
                self._locked.add(segment.wall_us, segment.end_us)

    def remove(self, segment: Segment) -> None:
        """Row to garbage, file away, garbage away: whatever comes between, the next start ends it."""
        with self._lock:
            with self._db:
                self._db.execute("INSERT OR IGNORE INTO garbage VALUES(?)", (segment.name,))
                self._db.execute("DELETE FROM segments WHERE id=?", (segment.id,))
            self._empty_garbage()
            # Spans are joined over what lies between two files, which goes with either of them.
            near_us = segment.wall_us - JOIN_US, segment.end_us + JOIN_US
            beside = self.segments(segment.stream, *near_us)
        with self._memory:
            self._used_bytes -= segment.size_bytes
            self._locked_bytes -= segment.size_bytes if segment.is_locked else 0
            spans = self._spans[segment.stream]
            spans.remove(*near_us)
            for one in beside:
                spans.add(one.wall_us, one.end_us)
        self._forget_marks()

    def flag(self, from_us: int, until_us: int, tier: Tier, event: str) -> None:
        """What reaches into this time, of every stream, is kept for this too."""
        with self._lock, self._db:
            self._db.execute(
                "UPDATE segments SET tier=max(tier,?), event=CASE ? WHEN '' THEN event ELSE ? END"
                " WHERE wall_us<? AND (wall_us+dur_us>? OR open=1)",
                (tier, event, event, until_us, from_us),
            )

    def lock(self, from_us: int, until_us: int, *, is_locked: bool) -> int:
        """Lock what reaches into this time, or unlock it; how many files. Their mode says it, too."""
        count = 0
        with self._lock:
            where = "WHERE wall_us<? AND (wall_us+dur_us>? OR open=1) AND locked<>?"
            for segment in self._all(where, until_us, from_us, is_locked):
                with contextlib.suppress(FileNotFoundError):
                    (self.folder / segment.name).chmod(0o400 if is_locked else 0o600)
                with self._db:
                    self._db.execute("UPDATE segments SET locked=? WHERE id=?", (is_locked, segment.id))
                with self._memory:
                    if (now := self._open.get(segment.stream)) and now.id == segment.id:
                        self._open[segment.stream] = replace(now, is_locked=is_locked)
                count += 1
            self._load()
        return count

    def note_uploaded(self, number: int) -> None:
        """It is somewhere else too."""
        with self._lock, self._db:
            self._db.execute("UPDATE segments SET uploaded=1 WHERE id=?", (number,))

    def mark(self, cause: str, event: str, boot: str, start_us: int, wall_us: int, dur_us: int) -> None:
        """Something happened, and is over; `start_us` on the monotonic clock, `wall_us` since 1970."""
        with self._lock, self._db:
            row = (cause[:40], event[:80], boot, start_us, wall_us, dur_us)
            made = self._db.execute(
                "INSERT INTO marks(cause,event,boot,start_us,wall_us,dur_us) VALUES(?,?,?,?,?,?)", row
            )
        with self._memory:
            self._marks.append(Mark(made.lastrowid or 0, cause[:40], event[:80], wall_us, wall_us + dur_us))

    def set_clock(self, boot: str, offset_us: int) -> int:
        """The clock became right: wall time is monotonic time and `offset_us`. How many rows that sets.

        Marks say not whether the clock was set: they follow where files do.
        """
        with self._lock:
            with self._db:
                set_now = self._db.execute(
                    "UPDATE segments SET wall_us=start_us+?, clock=1 WHERE boot=? AND clock=0",
                    (offset_us, boot),
                ).rowcount
                if set_now:
                    self._db.execute(
                        "UPDATE marks SET wall_us=start_us+?"
                        " WHERE boot=? AND abs(wall_us-start_us-?)>1000000",
                        (offset_us, boot, offset_us),
                    )
            with self._memory:
                for stream, one in self._open.items():
                    if not one.is_clock_set and one.boot == boot:
                        wall_us = one.start_us + offset_us
                        self._open[stream] = replace(one, wall_us=wall_us, is_clock_set=True)
            if set_now:
                self._load()
        return set_now

    # At the start.

    def reconcile(self) -> int:
        """Make the index agree with the files, and mend those that were torn; how many that were."""
        with self._lock:
            self._empty_garbage()
            rows = {segment.name: segment for segment in self._all("")}
            mended = 0
            for file in sorted(self.folder.glob("[0-9]*/*.mp4")):
                name = str(file.relative_to(self.folder))
                if not (is_ours(name) and is_inside(file)):
                    continue
                row = rows.pop(name, None)
                size_bytes = file.stat().st_size
                if row is None or row.is_open or size_bytes != row.size_bytes:
                    mended += 1
                    self._take_in(file, row)
            with self._db:
                for row in rows.values():
                    self._db.execute("DELETE FROM segments WHERE id=?", (row.id,))
            self._load()
        return mended

    def _take_in(self, file: Path, row: Segment | None) -> None:
        is_locked = not file.stat().st_mode & 0o200
        repaired = repair(file)
        number, stream = number_of(file) or (0, "")
        if repaired is None or repaired.walk.start.origin.stream != stream:
            log.warning("%s holds nothing that can be shown, and is removed", file)
            file.unlink()
            with self._db:
                self._db.execute("DELETE FROM segments WHERE id=?", (number,))
            return
        if repaired.cut_bytes:
            log.info("%s: %d bytes at its end were torn, and are cut", file, repaired.cut_bytes)
        with self._db:
            self._put(restored(segment_of(number, repaired.walk, is_locked=is_locked), row))

    def _load(self) -> None:
        """What is in memory, anew from the database."""
        spans: dict[StreamName, Spans] = {stream: Spans() for stream in STREAMS}
        locked, used, locked_bytes = Spans(), 0, 0
        rows = self._db.execute(
            "SELECT stream,wall_us,dur_us,bytes,locked FROM segments WHERE open=0 ORDER BY wall_us"
        )
        for stream, wall_us, dur_us, size_bytes, is_locked in rows:
            used += size_bytes
            spans[stream].add(wall_us, wall_us + dur_us)
            if is_locked:
                locked.add(wall_us, wall_us + dur_us)
                locked_bytes += size_bytes
        marks = [
            Mark(number, cause, event, wall_us, wall_us + dur_us)
            for number, cause, event, wall_us, dur_us in self._db.execute(
                "SELECT id,cause,event,wall_us,dur_us FROM marks ORDER BY wall_us"
            )
        ]
        with self._memory:
            for one in self._open.values():
                spans[one.stream].add(one.wall_us, one.end_us)
                if one.is_locked:
                    locked.add(one.wall_us, one.end_us)
            self._spans, self._locked, self._marks = spans, locked, marks
            self._used_bytes, self._locked_bytes = used, locked_bytes

    def _forget_marks(self) -> None:
        """Those of which nothing is left."""
        oldest_us = self.oldest_us
        with self._memory:
            gone = {mark.id for mark in self._marks if oldest_us is None or mark.end_us < oldest_us}
            if gone:
                self._marks = [mark for mark in self._marks if mark.id not in gone]
        if gone:
            with self._lock, self._db:
                self._db.executemany("DELETE FROM marks WHERE id=?", ((one,) for one in gone))

    def _empty_garbage(self) -> None:
        names = [name for (name,) in self._db.execute("SELECT name FROM garbage")]
        for name in filter(is_ours, names):  # a card may have been prepared to have others removed
            file = self.folder / name
            remove_inside(file)
            with contextlib.suppress(OSError):
                file.parent.rmdir()  # where it was the last
        if names:
            with self._db:
                self._db.executemany("DELETE FROM garbage WHERE name=?", ((name,) for name in names))

    def _put(self, one: Segment) -> None:
        row = to_row(one)
        self._db.execute(f"INSERT OR REPLACE INTO segments VALUES({','.join('?' * len(row))})", row)

    def _one(self, where: str, *values: Any) -> Segment | None:
        found = self._all(f"{where} LIMIT 1", *values)
        return found[0] if found else None

    def _all(self, where: str, *values: Any) -> list[Segment]:
        with self._lock:
            try:
                rows = self._db.execute(f"SELECT {COLUMNS} FROM segments {where}", values).fetchall()  # noqa: S608
            except sqlite3.ProgrammingError as exc:  # closed meanwhile
                raise PinholeError("the recordings' folder is away") from exc
        found = list(map(from_row, rows))
        with self._memory:
            now = {one.id: one for one in self._open.values()}
        return [grown(one, now.get(one.id)) if one.is_open else one for one in found]
