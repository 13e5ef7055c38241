"""The command that exports what was recorded, and how its file is fetched inside a session."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints, with_config

from agent.model.evidence import Count, Sha256
from agent.model.media import StreamName
from agent.model.signal import STRICT, UnixTime

FILE_LABEL = "file"
"""Of the data channel that fetches one; its protocol is `<id>@<offset>`."""
_PROTOCOL = re.compile(r"([0-9a-f]{32})@(\d{1,12})")


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ExportWanted:
    """Which time, of which stream."""

    from_at: UnixTime
    until_at: UnixTime
    stream: StreamName = "main"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Exported:
    """A file that waits on the device for a day."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    size_bytes: Count
    sha256: Sha256
    """Of the whole file."""
    start: UnixTime
    end: UnixTime
    """Of its first and its last picture."""
    gaps: Annotated[int, Field(ge=0)]


def parse_wish(protocol: str) -> tuple[str, int] | None:
    """Which file, and from which byte on; None for anything else."""
    match = _PROTOCOL.fullmatch(protocol)
    return (match[1], int(match[2])) if match else None
