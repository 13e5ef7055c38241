"""The way back: recorded pictures of a stream from a time on, across files and gaps.

Everything here may wait for the disk: call it in a thread. A file that is removed while it is read is read to
its end; one that is still written is followed.
"""

import contextlib
import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from agent.errors import PinholeError
from agent.model.media import StreamName
from agent.record.avc import BadStreamError, ParameterSets, to_annexb
from agent.record.footage import Footage, Fragment
from agent.record.index import Index
from agent.record.segment import Segment


@dataclass(frozen=True, slots=True)
class RecordedUnit:
    """One picture as it was encoded."""

    data: bytes
    """An access unit in H.264 Annex B; SPS and PPS stand before each IDR."""
    wall_us: int
    """When it was taken, since 1970."""
    media_us: int
    """The same on the monotonic clock of the machine's start then: exact distances within one recording."""
    duration_us: int
    """Until the next picture of the same file."""
    is_keyframe: bool
    is_after_gap: bool
    """Something is missing before it, or its size may be another: a decoder begins anew with it."""


class Cursor:
    """A place in one stream's recordings. One call at a time works, others wait; `close` it at the end.

    After that all raise PinholeError.
    """

    def __init__(self, index: Index, stream: StreamName) -> None:
        self._index, self._stream = index, stream
        self._segment: Segment | None = None
        self._footage: Footage | None = None
        self._sets: ParameterSets | None = None
        self._offset = 0
        """Where the next fragment begins."""
        self._is_after_gap = True
        self._needs_keyframe = False
        """Something was damaged: what follows needs it, up to the next IDR."""
        self._media_us = 0
        """Of what was handed out last."""
        self._turn = threading.Lock()
        """Of whoever reads: a call that nobody waits for any more may still be in its thread."""
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hold no file any more: at once, or where a thread still reads it, at its end. Never waits."""
        self._is_closed = True
        self._let_go_if_closed()

    def seek(self, wall_us: int) -> int | None:
        """Go to the last IDR at or before this time, and say when that was; None where nothing is recorded.

        In a gap it is the first one behind it, and behind all that there is the last of all.
        """
        with self._reading():
            return self._seek(wall_us)

    def _seek(self, wall_us: int) -> int | None:
        segment = self._index.at(self._stream, wall_us)
        if segment and wall_us >= segment.end_us:
            segment = self._index.after(segment) or segment
        while segment:
            keyframe = _keyframe(segment, wall_us - segment.wall_us)
            if keyframe and self._enter(segment, keyframe[0]):
                self._is_after_gap, self._needs_keyframe = True, False
                self._media_us = segment.start_us + keyframe[1] - 1
                return segment.wall_us + keyframe[1]
            segment = self._index.after(segment)
        return None

    def read(self) -> list[RecordedUnit]:
        """The pictures of the next fragment, a second of them at most; none where there is no more yet."""
        with self._reading():
            return self._read()

    def _read(self) -> list[RecordedUnit]:
        while self._segment:
            fragment = self._next_fragment()
            if fragment is None:
                if not self._go_on():
                    return []
                continue
            if (fragment.is_keyframe or not self._needs_keyframe) and (units := self._units(fragment)):
                return units
        return []

    def units(self) -> Iterator[RecordedUnit]:
        """All from here on, to what is the end now."""
        while units := self.read():
            yield from units

    def next_keyframe(self) -> RecordedUnit | None:
        """The next IDR behind what was handed out last, alone; None where there is none yet."""
        with self._reading():
            return self._keyframe_beside(1)

    def previous_keyframe(self) -> RecordedUnit | None:
        """The last IDR before what was handed out last, alone; None at the beginning."""
        with self._reading():
            return self._keyframe_beside(-1)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with self._turn:
                if self._is_closed:
                    raise PinholeError("these recordings are read no more")
                yield
        finally:
            self._let_go_if_closed()

    def _let_go_if_closed(self) -> None:
        """Whoever has the turn does this after it, so that nobody closes a file under a reader."""
        if self._is_closed and self._turn.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._turn.release()

    def _let_go(self) -> None:
        footage, self._footage = self._footage, None
        if footage:
            footage.close()

    def _keyframe_beside(self, step: int) -> RecordedUnit | None:
        segment = self._segment and (self._index.get(self._segment.id) or self._segment)
        at_us = self._media_us - (segment.start_us if segment else 0)
        while segment:
            beside = [pair for pair in segment.keyframes if step * (pair[1] - at_us) > 0]
            if beside:
                offset, _ = beside[0 if step > 0 else -1]
                is_beside = self._segment is not None and segment.id == self._segment.id
                if self._enter(segment, offset) and (fragment := self._next_fragment()):
                    self._is_after_gap |= not is_beside
                    if units := self._units(fragment, only_first=True):
                        return units[0]
            following = self._index.after(segment) if step > 0 else self._index.before(segment)
            at_us = -1 if step > 0 else 1 << 62
            segment = following
        return None

    def _enter(self, segment: Segment, offset: int) -> bool:
        """False where the file is gone or damaged: then it is passed over."""
        if self._segment is None or self._footage is None or segment.id != self._segment.id:
            try:
                footage = Footage(self._index.folder / segment.name)
            except OSError:
                return False
            try:
                sets = footage.start().sets
            except (OSError, BadStreamError):
                footage.close()
                return False
            self._let_go()
            self._footage, self._sets = footage, sets
        self._segment, self._offset = segment, offset
        return True

    def _next_fragment(self) -> Fragment | None:
        segment, footage = self._segment, self._footage
        if segment is None or footage is None:
            return None
        for found in footage.fragments(self._offset, segment.size_bytes):
            match found:
                case Fragment():
                    self._offset = found.end
                    return found
                case int():
                    break
        return None

    def _go_on(self) -> bool:
        """More of the same file where it has grown, or the next one."""
        before = self._segment
        assert before is not None
        now = self._index.get(before.id)
        if now and now.size_bytes > before.size_bytes:
            self._segment = now
            return True
        if now and now.is_open:
            return False
        following = self._index.after(now or before)
        while following and not (following.keyframes and self._enter(following, following.keyframes[0][0])):
            if following.is_open and not following.keyframes:
                return False
            following = self._index.after(following)
        if following is None:
            return False
        self._is_after_gap = not following.follows(now or before)
        return True

    def _units(self, fragment: Fragment, *, only_first: bool = False) -> list[RecordedUnit]:
        segment, footage = self._segment, self._footage
        assert segment is not None and footage is not None  # noqa: PT018
        units: list[RecordedUnit] = []
        at_us, is_keyframe = fragment.at_us, fragment.is_keyframe
        self._needs_keyframe &= not is_keyframe
        try:
            samples = footage.samples(fragment)
            for (duration_us, _), sample in zip(fragment.samples, samples, strict=True):
                data = to_annexb(sample, self._sets if is_keyframe else None)
                units.append(
                    RecordedUnit(
                        data, segment.wall_us + at_us, segment.start_us + at_us, duration_us,
                        is_keyframe, self._is_after_gap,
                    )
                )  # fmt: skip
                at_us += duration_us
                is_keyframe = self._is_after_gap = False
                if only_first:
                    break
        except (OSError, BadStreamError):
            self._is_after_gap = self._needs_keyframe = True
        if units:
            self._media_us = units[-1].media_us
        return units


def _keyframe(segment: Segment, at_us: int) -> tuple[int, int] | None:
    """The last at or before that, or the first."""
    if not segment.keyframes:
        return None
    number = bisect_right(segment.keyframes, at_us, key=lambda pair: pair[1])
    return segment.keyframes[max(0, number - 1)]
