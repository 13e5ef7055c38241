"""Reads a file of ours: where it belongs, its fragments and its pictures.

A file may end anywhere, since the power may fail at any time; nothing in it is believed beyond its bounds.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent.model.inside import open_inside
from agent.model.media import STREAMS
from agent.record.avc import BadStreamError, ParameterSets
from agent.record.boxes import MARK_UUID, ORIGIN, ORIGIN_UUID, WALL_IS_RIGHT, Origin, from_ntp

MAX_START_BYTES = 64 * 1024
"""`ftyp`, our box and `moov` are about 700."""
MAX_MOOF_BYTES = 64 * 1024
"""Of 30 pictures it has 400."""
MAX_FRAGMENT_BYTES = 64 * 1024 * 1024
MAX_SAMPLES = 4096
MAX_FILE_BYTES, MAX_FILE_US = 1 << 32, 1 << 32
"""What the index has room for; a file is one of a minute."""
MAX_US = 10**18
"""Since 1970: the year 33658."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a file begins with."""

    origin: Origin
    sets: ParameterSets
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """Where one is, and what is in it."""

    offset: int
    """Of its first box."""
    data_offset: int
    end: int
    at_us: int
    """From the file's start."""
    duration_us: int
    is_keyframe: bool
    wall_us: int
    is_clock_set: bool
    samples: tuple[tuple[int, int], ...]
    """Duration in µs and size in bytes of each picture."""


@dataclass(frozen=True, slots=True)
class Walk:
    """All that is whole in a file."""

    start: Start
    fragments: tuple[Fragment, ...]
    marks: tuple[str, ...]
    end: int
    """Behind the last whole box: what follows is torn."""


class Footage:
    """An open file. Close it, or use it as a context."""

    def __init__(self, file: Path) -> None:
        """Raises OSError."""
        self._descriptor = open_inside(file)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hold the file no more."""
        os.close(self._descriptor)

    def start(self) -> Start:
        """Raises BadStreamError, OSError."""
        data = os.pread(self._descriptor, MAX_START_BYTES, 0)
        origin, position = None, 0
        while found := _header(data, position, len(data)):
            kind, body, end = found
            if kind == b"uuid" and data[body : body + 16] == ORIGIN_UUID:
                origin = _origin(data[body + 16 : end])
            elif kind == b"moov":
                if origin is None:
                    break
                return Start(origin, _sets(data[body:end]), end)
            position = end
        raise BadStreamError("the file has no whole beginning of ours")

    def fragments(self, offset: int, limit: int | None = None) -> Iterator[Fragment | str | int]:
        """From `offset` on fragments, and the texts of marks; at the end, where the last whole box ended.

        `limit`: the file's size, where it grows meanwhile. Raises OSError.
        """
        size_bytes = self._size_bytes if limit is None else limit
        position = begin = offset
        wall: tuple[int, bool] = 0, False
        moof: tuple[int, int, tuple[tuple[int, int], ...], bool, int] | None = None
        while True:
            head = os.pread(self._descriptor, 8, position)
            found = _header(head, 0, 8, space=size_bytes - position)
            if found is None or position >= MAX_FILE_BYTES:
                break
            kind, _, length = found
            end = position + length
            if kind == b"mdat":
                if moof is None or not _fits(moof, position, end):
                    break
                at_us, _, samples, is_keyframe, _ = moof
                duration_us = sum(duration for duration, _ in samples)
                yield Fragment(
                    begin, position + 8, end, at_us, duration_us, is_keyframe, *wall, samples
                )  # fmt: skip
                moof, wall, begin = None, (0, False), end
            elif kind in (b"prft", b"moof", b"uuid") and length <= MAX_MOOF_BYTES:
                body = os.pread(self._descriptor, length - 8, position + 8)
                try:
                    if kind == b"prft":
                        wall = _prft(body)
                    elif kind == b"moof":
                        moof = (*_moof(body), position)
                    elif body[:16] == MARK_UUID:
                        yield body[16:].decode(errors="replace")
                        begin = end
                except (struct.error, BadStreamError):
                    break
            else:
                break  # none that we write
            position = end
        yield begin

    def walk(self) -> Walk:
        """Raises BadStreamError, OSError."""
        start = self.start()
        fragments: list[Fragment] = []
        marks: list[str] = []
        end = start.size_bytes
        for one in self.fragments(start.size_bytes):
            match one:
                case Fragment():
                    fragments.append(one)
                case str():
                    marks.append(one)
                case int():
                    end = one
        return Walk(start, tuple(fragments), tuple(marks), end)

    def samples(self, fragment: Fragment) -> list[bytes]:
        """The pictures of a fragment. Raises OSError, BadStreamError where the file is shorter by now."""
        size_bytes = sum(size for _, size in fragment.samples)
        data = os.pread(self._descriptor, size_bytes, fragment.data_offset)
        if len(data) != size_bytes:
            raise BadStreamError("the file is shorter than it was")
        found, position = [], 0
        for _, size in fragment.samples:
            found.append(data[position : position + size])
            position += size
        return found


def _header(
    data: bytes, position: int, limit: int, space: int | None = None
) -> tuple[bytes, int, int] | None:
    """Kind, begin of the body and end of the box there; None where it is not whole."""
    if position + 8 > limit or len(data) < position + 8:
        return None
    size, kind = struct.unpack_from(">I4s", data, position)
    room = limit - position if space is None else space
    if size < 8 or size > room or size > MAX_FRAGMENT_BYTES:
        return None
    return kind, position + 8, position + size


def _children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while found := _header(data, position, len(data)):
        kind, body, position = found
        yield kind, data[body:position]


def _child(data: bytes, *path: bytes) -> bytes:
    for kind in path:
        data = next((body for name, body in _children(data) if name == kind), b"")
    return data


def _origin(data: bytes) -> Origin:
    if len(data) < ORIGIN.size:
        raise BadStreamError("our box is torn")
    version, stream, boot, start_us, wall_us, is_set = ORIGIN.unpack_from(data)
    if version != 1 or stream >= len(STREAMS) or max(start_us, wall_us) > MAX_US:
        raise BadStreamError("a newer version has written this file")
    return Origin(STREAMS[stream], boot.hex(), start_us, wall_us, bool(is_set))


def _sets(moov: bytes) -> ParameterSets:
    entry = _child(moov, b"trak", b"mdia", b"minf", b"stbl", b"stsd")[8:]
    config = _child(_child(entry, b"avc1")[78:], b"avcC")
    try:
        (sps_bytes,) = struct.unpack_from(">H", config, 6)
        sps = config[8 : 8 + sps_bytes]
        (pps_bytes,) = struct.unpack_from(">H", config, 9 + sps_bytes)
        pps = config[11 + sps_bytes : 11 + sps_bytes + pps_bytes]
    except struct.error as exc:
        raise BadStreamError("the file names no parameter sets") from exc
    if len(sps) != sps_bytes or len(pps) != pps_bytes or len(sps) < 4 or not pps:
        raise BadStreamError("the file names no parameter sets")
    return ParameterSets(sps, pps)


def _prft(body: bytes) -> tuple[int, bool]:
    head, _, ntp, _ = struct.unpack_from(">IIQQ", body)
    return from_ntp(ntp), head & 0xFFFFFF == WALL_IS_RIGHT


def _moof(body: bytes) -> tuple[int, int, tuple[tuple[int, int], ...], bool]:
    traf = _child(body, b"traf")
    _, at_us = struct.unpack_from(">IQ", _child(traf, b"tfdt"))
    run = _child(traf, b"trun")
    _, count, data_offset, first = struct.unpack_from(">IIII", run)
    if not 0 < count <= MAX_SAMPLES or len(run) != 16 + 8 * count or at_us >= MAX_FILE_US:
        raise BadStreamError("a fragment's table is torn")
    samples = tuple(struct.iter_unpack(">II", run[16:]))
    return at_us, data_offset, samples, not first & 0x10000


def _fits(moof: tuple[int, int, tuple[tuple[int, int], ...], bool, int], mdat: int, end: int) -> bool:
    """Whether the pictures that the table names fill the data that follows it."""
    _, data_offset, samples, _, position = moof
    return position + data_offset == mdat + 8 and sum(size for _, size in samples) == end - mdat - 8
