"""A row of the index: one file of one stream. Pure."""

import json
import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from agent.model.media import StreamName
from agent.record.footage import Walk

FILES_A_FOLDER = 1000
MAX_NAME_CHARS = 40
"""A longer number of a file is none that we would reach, and SQLite would not hold it."""
COLUMNS = "id,stream,boot,start_us,wall_us,clock,dur_us,bytes,keyframes,tier,event,uploaded,locked,open"
"""Of the table `segments`."""
_KEYFRAME = struct.Struct(">II")


class Tier(IntEnum):
    """What it was kept for; the lowest is removed first."""

    CONTINUOUS = 0
    MOTION = 1
    EVENT = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """About a minute of one stream."""

    id: int
    stream: StreamName
    boot: str
    """The kernel's boot id, 32 hexadecimal digits."""
    start_us: int
    """On that start's monotonic clock, as `Unit.capture_us`."""
    wall_us: int
    """The same since 1970."""
    is_clock_set: bool
    """Whether `wall_us` can be believed; set once the clock became right."""
    dur_us: int = 0
    size_bytes: int = 0
    keyframes: tuple[tuple[int, int], ...] = ()
    """Offset in the file and µs from its start, of each fragment that begins with an IDR."""
    tier: Tier = Tier.CONTINUOUS
    event: str = ""
    """The last event in it, by its id."""
    is_uploaded: bool = False
    is_locked: bool = False
    is_open: bool = False
    """It is still being written."""

    @property
    def end_us(self) -> int:
        """On the wall clock."""
        return self.wall_us + self.dur_us

    @property
    def name(self) -> str:
        """Its file, from the recordings' folder."""
        return file_name(self.id, self.stream)

    def follows(self, before: "Segment") -> bool:
        """Whether nothing is missing between the two."""
        gap_us = self.start_us - before.start_us - before.dur_us
        return self.boot == before.boot and abs(gap_us) < 500_000


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was recorded for a reason, in wall time."""

    id: int
    cause: str
    event: str
    """The id of the device's event, where there is one."""
    start_us: int
    end_us: int


def file_name(number: int, stream: str) -> str:
    """From the recordings' folder."""
    return f"{number // FILES_A_FOLDER:06}/{number:09}-{stream}.mp4"


def number_of(file: Path) -> tuple[int, str] | None:
    """The way back; None for a file that is none of ours."""
    number, _, stream = file.stem.partition("-")
    if (
        file.suffix != ".mp4"
        or len(number) < 9
        or not number.isdecimal()
        or stream not in ("main", "preview")
    ):
        return None
    return int(number), stream


def is_ours(name: str) -> bool:
    """Whether a recording would have this name, from the recordings' folder."""
    found = number_of(Path(name)) if len(name) <= MAX_NAME_CHARS else None
    return found is not None and name == file_name(*found)


def segment_of(number: int, walk: Walk, *, is_locked: bool = False) -> Segment:
    """A file's row, from the file alone."""
    origin, fragments = walk.start.origin, walk.fragments
    wall_us, is_clock_set = origin.wall_us, origin.is_clock_set
    if not is_clock_set:  # the clock may have become right while it was written
        for one in reversed(fragments):
            if one.is_clock_set:
                wall_us, is_clock_set = one.wall_us - one.at_us, True
                break
    tier, event = Tier.CONTINUOUS, ""
    for text in walk.marks:
        kept_for, event_id = parse_mark(text)
        tier, event = max(tier, kept_for), event_id or event
    return Segment(
        id=number,
        stream=origin.stream,
        boot=origin.boot,
        start_us=origin.start_us,
        wall_us=wall_us,
        is_clock_set=is_clock_set,
        dur_us=fragments[-1].at_us + fragments[-1].duration_us,
        size_bytes=walk.end,
        keyframes=tuple((one.offset, one.at_us) for one in fragments if one.is_keyframe),
        tier=tier,
        event=event,
        is_locked=is_locked,
    )


def mark_text(tier: Tier, event: str) -> str:
    """What a file says of why it is kept."""
    return json.dumps({"tier": int(tier), "event": event})


def parse_mark(text: str) -> tuple[Tier, str]:
    """The way back; the least where it is none."""
    try:
        said = json.loads(text)
        return Tier(said["tier"]), str(said["event"])[:80].encode(errors="replace").decode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return Tier.CONTINUOUS, ""


def grown(row: Segment, now: Segment | None) -> Segment:
    """A file that is written, as far as it is; what was said of it is in its row."""
    if now is None:
        return row
    return replace(
        now,
        tier=max(now.tier, row.tier),
        event=now.event or row.event,
        is_uploaded=row.is_uploaded,
        is_locked=row.is_locked,
    )


def restored(found: Segment, row: Segment | None) -> Segment:
    """What a file says at a start, with what its row alone knows."""
    if row is None:
        return found
    found = replace(
        found,
        tier=max(row.tier, found.tier),
        event=row.event or found.event,
        is_uploaded=row.is_uploaded,
    )
    return replace(found, wall_us=row.wall_us, is_clock_set=True) if row.is_clock_set else found


def to_row(one: Segment) -> tuple[Any, ...]:
    """As `COLUMNS`."""
    keyframes = b"".join(_KEYFRAME.pack(*pair) for pair in one.keyframes)
    return (
        one.id, one.stream, one.boot, one.start_us, one.wall_us, one.is_clock_set, one.dur_us, one.size_bytes,
        keyframes, one.tier, one.event, one.is_uploaded, one.is_locked, one.is_open,
    )  # fmt: skip


def from_row(row: tuple[Any, ...]) -> Segment:
    """The way back."""
    number, stream, boot, start_us, wall_us, clock, dur_us, size_bytes, keyframes, tier, event, *flags = row
    is_uploaded, is_locked, is_open = map(bool, flags)
    return Segment(
        number, stream, boot, start_us, wall_us, bool(clock), dur_us, size_bytes,
        tuple(_KEYFRAME.iter_unpack(keyframes)), Tier(tier), event, is_uploaded, is_locked, is_open,
    )  # fmt: skip
