"""One file on its way: which parts the store has, and which have a URL. Pure; time is monotonic."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.model.media import StreamName
from agent.model.upload import (
    MAX_WANTED,
    MIN_PART_BYTES,
    PartNumber,
    UploadNext,
    UploadPart,
    part_count,
    part_size,
)

PART_BYTES = MIN_PART_BYTES
"""What a viewer interrupts is sent anew: the smallest that stores take costs the least."""
ENOUGH_URLS = 3
"""With so many no more are asked for: each time costs a message either way."""
MARGIN_S = 10.0
"""A URL that ends within that is none any more: the store looks at its own clock."""


class Kept(Protocol):
    """A file that was recorded, as far as a store is told of it."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def stream(self) -> StreamName: ...
    @property
    def wall_us(self) -> int: ...
    @property
    def event(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One part, and where it goes."""

    number: int
    url: str
    offset: int
    size_bytes: int


class Parcel:
    """Of one file."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self._numbers = range(1, part_count(kept.size_bytes, PART_BYTES) + 1)
        self._urls: dict[int, tuple[str, float]] = {}
        """By part, and until when."""
        self._sent: set[int] = set()
        self.lost = 0
        """How often the store had not all that it took."""

    def is_of(self, file: str, size_bytes: int) -> bool:
        """Whether the portal speaks of this one."""
        return (file, size_bytes) == (self.kept.name, self.kept.size_bytes)

    @property
    def is_sent(self) -> bool:
        """The store has taken every part."""
        return len(self._sent) == len(self._numbers)

    def has(self, numbers: Iterable[PartNumber]) -> bool:
        """Whether all of these are parts of it."""
        return all(number in self._numbers for number in numbers)

    def take(self, parts: Iterable[UploadPart], have: Iterable[PartNumber], until_s: float) -> None:
        """What the portal gave. Where all is sent it asks for a part anew that the store has not."""
        parts = tuple(parts)
        if self.is_sent and parts:
            self.lost += 1
            self._sent -= {part.number for part in parts}
        self._sent |= set(have)
        for part in parts:
            if part.number not in self._sent:
                self._urls[part.number] = part.url, until_s

    def next_part(self, now_s: float) -> Part | None:
        """The first that has to be sent, and can."""
        number = min(self._good(now_s), default=None)
        if number is None:
            return None
        size = part_size(number, self.kept.size_bytes, PART_BYTES)
        return Part(number, self._urls[number][0], (number - 1) * PART_BYTES, size)

    def wanted(self, now_s: float) -> tuple[int, ...]:
        """Those for which a URL is asked for now."""
        good = self._good(now_s)
        if len(good) >= ENOUGH_URLS:
            return ()
        lacking = [each for each in self._numbers if each not in self._sent and each not in good]
        return tuple(lacking[:MAX_WANTED])

    def note_sent(self, number: int) -> None:
        """The store has taken it."""
        self._sent.add(number)
        self._urls.pop(number, None)

    def drop_url(self, number: int) -> None:
        """The store takes nothing there any more."""
        self._urls.pop(number, None)

    def begin_anew(self) -> None:
        """The store knows nothing of this upload."""
        self._urls.clear()
        self._sent.clear()

    def told(self) -> UploadNext:
        """As the section has it."""
        kept = self.kept
        return UploadNext(
            kept.name, kept.size_bytes, kept.wall_us / 1e6, kept.stream, PART_BYTES, kept.event, self.is_sent
        )

    def _good(self, now_s: float) -> set[int]:
        """With a URL that is good for a while."""
        return {number for number, (_, until_s) in self._urls.items() if now_s < until_s - MARGIN_S}
