"""Upload: a device's files to a store that the portal knows, without a key of the store's on the device.

A file of the recorder becomes one object, by a multipart upload (S3's, which other stores speak as well):

1. While it may send, the device offers one file in its section `upload`: `next`, and in `want` the numbers
   of the parts for which it has no URL that is still good, eight at a time.
2. The portal gives the command `upload`: those URLs, which it has signed for one part of one object each and
   for a while, and in `have` the parts that the store has already. The device keeps nothing over a start:
   then it wants all parts again, and hears that way which are left.
3. The device puts part after part. While parts are left for which it has no URL, `want` names them.
4. Once all are there, `next` has `is_sent`. The portal looks at what the store has. Where that is the whole,
   it completes the object and gives the command `uploaded`; where something is missing, `upload` again, with
   URLs of what is to be sent once more.
5. The next file is offered; the one before it is the first to go once the device needs room.

Neither command is a user's: the portal gives them itself, in nobody's name (the way `portal`). A device that
may not send for now (`waiting`, and `why`) offers nothing. Of a file that it has not under way it refuses
both with `unknown-file`. They may be said again: nothing is done twice by that.

A portal of before there was upload leaves the section unanswered, and a device of before has none. A URL is a
secret: whoever has it can write that part; so it stands in no log, no audit and no words of an error.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints, with_config

from agent.model.media import StreamName
from agent.model.signal import OPEN, STRICT, Text, UnixTime

MAX_WANTED = 8
"""Parts at a time: their URLs have to fit in a message of 64 KiB."""
MIN_PART_BYTES = 5 * 1024 * 1024
"""S3 takes no smaller one but the last."""
MAX_PART_BYTES = 5 * 1024**3
MAX_PARTS = 1000
"""Of one file: a minute of video has some dozens."""
MAX_URL_CHARS = 4000
NOTE = "upload.json"
"""The file of an `UploadNote`, in the state folder."""

FileName = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{6,17}/[0-9]{9,20}-(main|preview)\.mp4$", max_length=60)
]
"""As the device calls it; no part of it leads out of the folder."""
FileBytes = Annotated[int, Field(gt=0, le=2**40)]
PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS)]
PartUrl = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=MAX_URL_CHARS)]


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class UploadNext:
    """The file that is offered, or under way."""

    file: FileName
    bytes: FileBytes
    start_unix_s: UnixTime
    """When its first picture was taken."""
    stream: StreamName
    part_bytes: Annotated[int, Field(ge=MIN_PART_BYTES, le=MAX_PART_BYTES)]
    """Of each part but the last, which is what is left."""
    event: Text = ""
    """The id of the device's event that it shows; empty where there is none."""
    is_sent: bool = False
    """The store has taken every part."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class UploadSection:
    """What a device would send; see this module."""

    state: Text = "idle"
    """`idle`: nothing is left to send; `waiting`, or `sending`; or what a newer device says. One that shall
    send nothing has no section."""
    why: Text = ""
    """What it waits for: `hours`, `signal`, `plan`, `viewer`, `clock`, `disk`, or `store`: the portal gives
    no URL, or the store takes nothing."""
    problem: Text = ""
    """What failed last, for people; empty once something was sent."""
    waiting: int = 0
    """Files, with the one that is under way."""
    waiting_bytes: int = 0
    sent: int = 0
    """Files since the agent's start."""
    missed: int = 0
    """Files since then that waited, and were removed before they were sent."""
    next: UploadNext | None = None
    want: Annotated[tuple[PartNumber, ...], Field(max_length=MAX_WANTED)] = ()
    """Beside `next`, since nothing in a section is nested deeper."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class UploadNote:
    """What an agent leaves on its disk for `pinhole doctor`."""

    why: Text = ""
    problem: Text = ""
    waiting: int = 0
    origin: Text = ""
    """Scheme, host and port of the newest URL, and nothing of what makes it a secret."""
    sent_at: UnixTime = 0.0
    """When the store last had a whole file; 0 for never."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class UploadPart:
    """Where one part goes."""

    number: PartNumber
    url: PartUrl


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Upload:
    """Send these parts of the file that is offered."""

    file: FileName
    bytes: FileBytes
    expires_unix_s: UnixTime
    """When the store takes these URLs no more."""
    parts: Annotated[tuple[UploadPart, ...], Field(max_length=MAX_WANTED)] = ()
    have: Annotated[tuple[PartNumber, ...], Field(max_length=MAX_PARTS)] = ()
    """Parts that the store has."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Uploaded:
    """The store has the whole file."""

    file: FileName
    bytes: FileBytes


def part_count(size_bytes: int, part_bytes: int) -> int:
    """Of a file of so many bytes."""
    return -(-size_bytes // part_bytes)


def part_size(number: int, size_bytes: int, part_bytes: int) -> int:
    """Of one part, the first of which is 1."""
    return min(part_bytes, size_bytes - (number - 1) * part_bytes)
