"""One stream's files: a minute each, cut at an IDR, a fragment at a time. Blocks: for a thread."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from agent.model.disk import sync_folder
from agent.model.inside import open_inside
from agent.model.media import StreamName, Unit
from agent.record.avc import ParameterSets, parameter_sets, to_sample
from agent.record.boxes import Origin, Sample, encode_fragment, encode_mark, encode_start
from agent.record.fragmenter import Piece
from agent.record.index import Index
from agent.record.segment import Segment, Tier, mark_text

FILE_US = 60_000_000
SYNC_US = 5_000_000
"""A journal's commit costs a card several times what it is for, so a power cut costs 5 s of any day."""
MAX_GAP_US = 1_500_000
"""Between two pictures of one file."""
USUAL_US, MAX_DURATION_US = 33_333, 10_000_000

ReadClock = Callable[[], tuple[int, bool]]
"""How many µs the wall clock is ahead of the monotonic one, and whether it is right."""


class Written:
    """What was brought to the card since the start."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.syncs = 0
        self.files = 0
        self.lost = 0
        """Pictures of which nothing could be shown: a keyframe was missing before them."""


class StreamWriter:
    """Of one stream. Raises OSError, sqlite3.Error, BadStreamError; what came of a file until then stays."""

    def __init__(
        self,
        stream: StreamName,
        index: Index,
        boot: str,
        read_clock: ReadClock,
        make_room: Callable[[int], None],
        written: Written,
    ) -> None:
        """`make_room(bytes)` is called before each file with what the last one had."""
        self.tier, self.event = Tier.CONTINUOUS, ""
        """What is recorded now is kept for."""
        self._stream, self._index, self._boot = stream, index, boot
        self._read_clock, self._make_room, self._written = read_clock, make_room, written
        self._descriptor: int | None = None
        self._file: Path | None = None
        self._segment: Segment | None = None
        self._sets: ParameterSets | None = None
        self._epoch = 0
        self._number = 0
        """Of the last fragment."""
        self._synced_us = self._next_us = 0
        self._is_new = True
        """The folder does not hold its name for sure yet."""
        self._usual_us = USUAL_US
        self._usual_bytes = 0

    def write(self, piece: Piece) -> None:
        """Append a fragment, in another file where it must be."""
        first = piece.units[0]
        sets = parameter_sets(first.data) if first.is_keyframe else None
        if self._needs_other_file(first, sets):
            self.close()
        if self._segment is None:
            if not (first.is_keyframe and sets):
                self._written.lost += len(piece.units)
                return  # nothing can show it
            self._open(first, sets)
        self._append(piece)
        if piece.is_urgent or first.capture_us - self._synced_us >= SYNC_US:
            self.sync()
            self._synced_us = first.capture_us

    def keep_for(self, tier: Tier, event: str) -> None:
        """From now on, and the file that is open; said in the file, too, for an index that is lost."""
        self.tier, self.event = tier, event
        if self._segment and tier > Tier.CONTINUOUS:
            self._segment = replace(
                self._segment, tier=max(tier, self._segment.tier), event=event or self._segment.event
            )
            self._put(encode_mark(mark_text(tier, event)))

    def sync(self) -> None:
        """Bring what was written to the card."""
        if self._descriptor is None or self._file is None:
            return
        os.fdatasync(self._descriptor)
        if self._is_new:
            sync_folder(self._file.parent)
            self._is_new = False
        self._written.syncs += 1

    def close(self) -> None:
        """The file is whole."""
        if self._descriptor is None or self._segment is None:
            return
        segment, self._segment = self._segment, None
        try:
            self.sync()
        finally:
            os.close(self._descriptor)
            self._descriptor = None
        self._usual_bytes = segment.size_bytes
        self._index.finish(segment)

    def abandon(self) -> None:
        """After an error: let go of the file, without a word."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = self._segment = None

    def _needs_other_file(self, first: Unit, sets: ParameterSets | None) -> bool:
        segment = self._segment
        if segment is None:
            return False
        if first.epoch != self._epoch or not 0 <= first.capture_us - self._next_us <= MAX_GAP_US:
            return True
        is_full = first.capture_us - segment.start_us >= FILE_US - 500_000
        return first.is_keyframe and (sets != self._sets or is_full)

    def _open(self, first: Unit, sets: ParameterSets) -> None:
        self._make_room(self._usual_bytes)
        offset_us, is_set = self._read_clock()
        number = self._index.next_number()
        segment = Segment(
            number, self._stream, self._boot, first.capture_us, max(0, first.capture_us + offset_us), is_set,
            tier=self.tier, event=self.event, is_open=True,
        )  # fmt: skip
        origin = Origin(self._stream, self._boot, segment.start_us, segment.wall_us, is_set)
        start = encode_start(origin, sets)
        if self.tier > Tier.CONTINUOUS:
            start += encode_mark(mark_text(self.tier, self.event))
        file = self._index.folder / segment.name
        file.parent.mkdir(mode=0o700, exist_ok=True)
        self._index.begin(segment)
        self._descriptor = open_inside(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._file, self._segment, self._sets, self._epoch = file, segment, sets, first.epoch
        self._number, self._synced_us, self._is_new = 0, first.capture_us, True
        self._written.files += 1
        self._put(start)

    def _append(self, piece: Piece) -> None:
        segment = self._segment
        assert segment is not None
        samples = self._samples(piece)
        first = piece.units[0]
        at_us, offset = first.capture_us - segment.start_us, segment.size_bytes
        segment = self._with_clock(segment)
        self._number += 1
        data = encode_fragment(
            self._number, at_us, segment.wall_us + at_us, samples,
            is_keyframe=first.is_keyframe, is_clock_set=segment.is_clock_set,
        )  # fmt: skip
        self._put(data)
        dur_us = at_us + sum(sample.duration_us for sample in samples)
        keyframes = (*segment.keyframes, (offset, at_us)) if first.is_keyframe else segment.keyframes
        size_bytes = offset + len(data)
        self._segment = replace(segment, dur_us=dur_us, size_bytes=size_bytes, keyframes=keyframes)
        self._next_us = segment.start_us + dur_us
        self._index.grow(self._segment)

    def _samples(self, piece: Piece) -> list[Sample]:
        """Each picture lasts until the next; the last of all as long as they usually do."""
        times = [unit.capture_us for unit in piece.units]
        if piece.next_us is not None and piece.next_us - times[-1] <= MAX_GAP_US:
            times.append(piece.next_us)
        else:
            times.append(times[-1] + self._usual_us)
        lengths = [max(1, min(MAX_DURATION_US, b - a)) for a, b in pairwise(times)]
        self._usual_us = min(lengths[-1], 1_000_000)
        return [
            Sample(to_sample(unit.data), length) for unit, length in zip(piece.units, lengths, strict=True)
        ]

    def _with_clock(self, segment: Segment) -> Segment:
        """Its wall time, where the clock has become right since its beginning."""
        if segment.is_clock_set:
            return segment
        offset_us, is_set = self._read_clock()
        if not is_set:
            return segment
        self._index.set_clock(self._boot, offset_us)
        return replace(segment, wall_us=segment.start_us + offset_us, is_clock_set=True)

    def _put(self, data: bytes) -> None:
        """Append all of it, or leave the file as it was. The segment grows by it."""
        assert self._descriptor is not None
        assert self._segment is not None
        begin, view = self._segment.size_bytes, memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, begin)
            raise
        self._written.size_bytes += len(data)
        self._segment = replace(self._segment, size_bytes=begin + len(data))
