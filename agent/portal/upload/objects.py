"""Where a camera's files are in the bucket: `PREFIX/CAMERA/2026/11/29/101500-000000001-main.mp4`. Pure.

The portal alone makes these names, so that a camera writes nowhere but below its own. The time of day stands
in front of the file's number, since that begins anew on another card.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

from agent.errors import MessageError, PortalError
from agent.model.media import StreamName
from agent.model.upload import MAX_PARTS, UploadNext, part_count

KIND = "video/mp4"
PAGE = 1000
"""The most that S3 tells at once: of parts, uploads and objects."""
EARLIEST_S = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
"""Before any camera of ours: a clock that was never set tells less."""
AHEAD_S = 86400.0
NAME = r"([0-2][0-9])([0-5][0-9])([0-5][0-9])-[0-9]{9,20}-(main|preview)\.mp4"
_NAME = re.compile(NAME)


class BucketError(PortalError):
    """The store was not reached, or did not do it; in words without a URL."""

    def __init__(self, words: str, *, is_down: bool = True) -> None:
        """`is_down`: it would do no more for another camera."""
        super().__init__(words)
        self.is_down = is_down


@dataclass(frozen=True, slots=True)
class Part:
    """One that the store has."""

    number: int
    bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Stored:
    """One object."""

    key: str
    bytes: int


class Shelf(Protocol):
    """What people need of `Bucket`, which says what each is."""

    async def size(self, key: str) -> int | None: ...
    async def objects(self, prefix: str, after: str = "") -> list[Stored]: ...
    async def link(self, key: str, name: str) -> str: ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a camera's, as people are shown it."""

    name: str
    at: float
    """When it begins, in Unix time."""
    stream: StreamName
    bytes: int


def key_of(prefix: str, device: str, offered: UploadNext, now: float) -> str:
    """The object that a file becomes. Raises MessageError `refused` for what no recorder makes."""
    count = part_count(offered.bytes, offered.part_bytes)
    if count > MAX_PARTS or not EARLIEST_S <= offered.start_unix_s <= now + AHEAD_S:
        words = f"{offered.file} has {count} parts and begins at {offered.start_unix_s:.0f} s of Unix time"
        raise MessageError("refused", words)
    began = datetime.fromtimestamp(offered.start_unix_s, UTC)
    return f"{folder_of(prefix, device)}{began:%Y/%m/%d/%H%M%S}-{offered.file.rpartition('/')[2]}"


def folder_of(prefix: str, device: str) -> str:
    """All of one camera's, and of no other's."""
    return f"{prefix}/{device}/" if prefix else f"{device}/"


def day_of(prefix: str, device: str, day: date) -> str:
    """All of one camera's that began on a day (UTC)."""
    return f"{folder_of(prefix, device)}{day:%Y/%m/%d}/"


def parse_stored(stored: Stored, day: date) -> StoredFile | None:
    """An object of that day; None for what somebody else has put there."""
    name = stored.key.rpartition("/")[2]
    found = _NAME.fullmatch(name)
    if found is None or found[1] > "23":
        return None
    hour, minute, second = (int(each) for each in found.groups()[:3])
    began = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
    stream: StreamName = "main" if found[4] == "main" else "preview"
    return StoredFile(name, began.timestamp(), stream, stored.bytes)
