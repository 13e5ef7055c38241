"""Writes one whole MP4 (ISO 14496-12, -15) with its tables in front, which every player opens. Pure.

Recordings are fragmented, because they may end anywhere. What is exported is whole, and meets players that
are older than fragments: so it has the tables of 2001, and nothing behind the pictures is needed.
"""

import struct
from array import array
from collections.abc import Iterable
from itertools import groupby

from agent.record.avc import ParameterSets, picture_size
from agent.record.boxes import MATRIX, avc1, box, full_box

TIMESCALE = 90_000
"""Ticks a second: 32 bits of them are 13 hours."""
MAX_MEDIA_BYTES = 0xFFFF_0000
"""Offsets and sizes are 32 bits wide."""
EPOCH_S = 2_082_844_800
"""From 1904, where MP4's times begin, to 1970."""


class Movie:
    """The tables of one track: first every picture is added, in order, then they are encoded."""

    def __init__(self) -> None:
        self._sizes, self._keyframes = array("I"), array("I")
        self._ends = array("d")
        """When each picture ends, in µs: rounded to ticks together, so that nothing drifts."""
        self._chunks: list[tuple[int, int, int]] = []
        """Bytes, pictures, and which of the sample entries, of each run of pictures that lie together."""
        self._entries: list[ParameterSets] = []
        self.media_bytes = 0

    @property
    def duration_us(self) -> float:
        """Of all so far."""
        return self._ends[-1] if self._ends else 0.0

    @property
    def pictures(self) -> int:
        """How many so far."""
        return len(self._sizes)

    def add(self, sets: ParameterSets, samples: Iterable[tuple[int, int]], *, is_keyframe: bool) -> None:
        """Pictures that lie together: duration in µs and size of each; the first alone may be an IDR."""
        if sets not in self._entries:
            self._entries.append(sets)
        if is_keyframe:
            self._keyframes.append(len(self._sizes) + 1)
        first, end_us, chunk_bytes = len(self._sizes), self.duration_us, 0
        for duration_us, size_bytes in samples:
            end_us += duration_us
            chunk_bytes += size_bytes
            self._sizes.append(size_bytes)
            self._ends.append(end_us)
        self._chunks.append((chunk_bytes, len(self._sizes) - first, self._entries.index(sets) + 1))
        self.media_bytes += chunk_bytes

    def encode_start(self, made_at: float) -> bytes:
        """All that stands before the pictures' data. Raises BadStreamError where an SPS is none."""
        brands = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isom", b"iso2", b"avc1", b"mp41")
        made_s = int(made_at) + EPOCH_S & 0xFFFFFFFF
        moov_bytes = len(self._moov(made_s, 0))
        offset = len(brands) + moov_bytes + 8
        return brands + self._moov(made_s, offset) + struct.pack(">I4s", 8 + self.media_bytes, b"mdat")

    def _moov(self, made_s: int, offset: int) -> bytes:
        ticks = _ticks(self.duration_us)
        sizes = [picture_size(sets.sps) for sets in self._entries]
        width, height = sizes[0]
        movie = full_box(
            b"mvhd", 0, 0,
            struct.pack(">IIIIIH10x", made_s, made_s, TIMESCALE, ticks, 0x10000, 0x100),
            MATRIX, bytes(24), struct.pack(">I", 2),
        )  # fmt: skip
        track = full_box(
            b"tkhd", 0, 3,
            struct.pack(">IIIII8xHHHxx", made_s, made_s, 1, 0, ticks, 0, 0, 0), MATRIX,
            struct.pack(">II", width << 16, height << 16),
        )  # fmt: skip
        media = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", made_s, made_s, TIMESCALE, ticks, 0x55C4, 0))
        handler = full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"Pinhole\0")
        here = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
        entries = [avc1(sets, *size) for sets, size in zip(self._entries, sizes, strict=True)]
        tables = box(
            b"stbl",
            full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries),
            self._durations(),
            _table(b"stss", self._keyframes),
            self._runs(),
            full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(self._sizes)), _big_endian(self._sizes)),
            self._offsets(offset),
        )
        information = box(b"minf", full_box(b"vmhd", 0, 1, bytes(8)), here, tables)
        return box(b"moov", movie, box(b"trak", track, box(b"mdia", media, handler, information)))

    def _durations(self) -> bytes:
        """`stts`: how many pictures in a row last how long."""
        ends = [_ticks(end_us) for end_us in self._ends]
        lasts = (end - before for before, end in zip([0, *ends], ends, strict=False))
        runs = [(sum(1 for _ in same), duration) for duration, same in groupby(lasts)]
        pairs = b"".join(struct.pack(">II", *run) for run in runs)
        return full_box(b"stts", 0, 0, struct.pack(">I", len(runs)), pairs)

    def _runs(self) -> bytes:
        """`stsc`: from which chunk on each has how many pictures of which entry."""
        rows: list[tuple[int, int, int]] = []
        for number, (_, pictures, entry) in enumerate(self._chunks, 1):
            if not rows or rows[-1][1:] != (pictures, entry):
                rows.append((number, pictures, entry))
        packed = b"".join(struct.pack(">III", *row) for row in rows)
        return full_box(b"stsc", 0, 0, struct.pack(">I", len(rows)), packed)

    def _offsets(self, offset: int) -> bytes:
        found = array("I")
        for chunk_bytes, _, _ in self._chunks:
            found.append(offset)
            offset += chunk_bytes
        return _table(b"stco", found)


def _table(kind: bytes, values: "array[int]") -> bytes:
    return full_box(kind, 0, 0, struct.pack(">I", len(values)), _big_endian(values))


def _big_endian(values: "array[int]") -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _ticks(us: float) -> int:
    return round(us * TIMESCALE / 1_000_000)
