"""What there is, page by page or in small pictures, and what is locked."""

import sqlite3

from agent.errors import CameraError
from agent.model.command import CommandError
from agent.model.media import STREAMS, StreamName
from agent.model.recording import (
    Locked,
    RecordedEvent,
    RecordedSpan,
    RecordedTime,
    RecordingsPage,
    RecordingsWanted,
    SheetWanted,
    ShownSheet,
)
from agent.model.still import encode_jpeg_text
from agent.record.cleaner import LOCKED_SHARE
from agent.record.index import Index
from agent.record.reader import Cursor
from agent.record.sheet import WIDTH_PX, make_sheet


def page_of(index: Index, wish: RecordingsWanted) -> RecordingsPage:
    """One page. Never waits for the disk."""
    from_us, until_us = _us(wish.from_at), _us(wish.until_at)
    spans = index.spans(wish.stream, from_us, until_us, wish.limit + 1)
    marks = index.marks(from_us, until_us)
    locked = index.locked_spans(from_us, until_us, wish.limit + 1)
    nexts = [spans[wish.limit][0]] if len(spans) > wish.limit else []
    nexts += [marks[wish.limit].start_us] if len(marks) > wish.limit else []
    nexts += [locked[wish.limit][0]] if len(locked) > wish.limit else []
    end_us = max(min(nexts), from_us + 1) if nexts else until_us
    return RecordingsPage(
        stream=wish.stream,
        spans=_told(spans, end_us)[: wish.limit],
        events=tuple(
            RecordedEvent(mark.cause, mark.event, mark.start_us / 1e6, mark.end_us / 1e6)
            for mark in marks[: wish.limit]
            if mark.start_us < end_us
        ),
        locked=_told(locked, end_us)[: wish.limit],
        more_from=end_us / 1e6 if nexts else None,
    )


def make_shown_sheet(index: Index, wish: SheetWanted) -> ShownSheet:
    """Small pictures, of the small stream where it is recorded. Waits for the disk. Raises CommandError."""
    stream: StreamName = "preview" if index.spans("preview", 0, _us(max(wish.times)), 1) else "main"
    try:
        with Cursor(index, stream) as cursor:
            sheet = make_sheet(cursor, [_us(at) for at in wish.times], _us(wish.near_s))
    except (CameraError, OSError, sqlite3.Error) as exc:
        raise CommandError("no-picture", f"there are no pictures of this time: {exc}") from exc
    taken = tuple(None if us is None else us / 1e6 for us in sheet.taken_us)
    return ShownSheet(encode_jpeg_text(sheet.jpeg), WIDTH_PX, sheet.tile_height_px, taken)


def lock(index: Index, cap_bytes: int, wish: RecordedTime, *, is_locked: bool) -> Locked:
    """Lock or unlock what was recorded then. Waits for the disk. Raises CommandError."""
    from_us, until_us = _us(wish.from_at), _us(wish.until_at)
    if until_us <= from_us:
        raise CommandError("invalid", "until_at must be later than from_at")
    if is_locked:
        found = [one for stream in STREAMS for one in index.segments(stream, from_us, until_us)]
        if not found:
            raise CommandError("nothing", "nothing is recorded of that time")
        wanted = sum(one.size_bytes for one in found if not one.is_locked)
        if index.locked_bytes + wanted > LOCKED_SHARE * cap_bytes:
            raise CommandError(
                "too-much",
                f"no more than {LOCKED_SHARE:.0%} of the room for recordings can be locked, and"
                f" {index.locked_bytes >> 20} MB are: unlock some, or save what you want to keep elsewhere",
            )
    try:
        count = index.lock(from_us, until_us, is_locked=is_locked)
    except (OSError, sqlite3.Error) as exc:
        raise CommandError("disk", f"the recordings' disk does not take it: {exc}") from exc
    return Locked(count, index.locked_bytes)


def _told(spans: list[tuple[int, int]], end_us: int) -> tuple[RecordedSpan, ...]:
    return tuple(RecordedSpan(start / 1e6, end / 1e6) for start, end in spans if start < end_us)


def _us(unix_s: float) -> int:
    return round(unix_s * 1e6)
