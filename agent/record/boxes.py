"""Writes fragmented MP4 (ISO 14496-12, -15), a fragment at a time: nothing depends on what comes last. Pure.

Ours instead of PyAV's: `OutputContainer.mux` of PyAV 18 takes packets only, so a fragment cannot be ended
(`frag_custom` needs a flush with none) before the next picture is there, and the data would be copied twice
more. These bytes also are what the reader and the repair walk through.

Times in a file are microseconds from its first picture, in each fragment anew (`tfdt`), so that any player
shows it from 0:00 on. `prft` gives each fragment's wall time, and a box of our own where the file belongs.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from agent.model.media import STREAMS, StreamName
from agent.record.avc import ParameterSets, picture_size

TIMESCALE = 1_000_000
ORIGIN_UUID = bytes.fromhex("8f0a6d1c5b7e4c5c9a52e3d07b1f4a01")
MARK_UUID = bytes.fromhex("8f0a6d1c5b7e4c5c9a52e3d07b1f4a02")
WALL_IS_RIGHT, WALL_IS_CONSISTENT = 24, 8
"""Flags of `prft` (ISO 14496-12:2020 section 8.16.5): the time of capture, or an arbitrary but steady one."""
NTP_EPOCH_S = 2_208_988_800
"""From 1900 to 1970."""
ORIGIN = struct.Struct(">BB16sQQB")
"""Version, stream, boot id, monotonic and wall time in µs, whether that is right."""
_SYNC_FLAGS, _OTHER_FLAGS = 0x02000000, 0x01010000
MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file belongs: enough to have the index again from files alone."""

    stream: StreamName
    boot: str
    """The kernel's boot id, 32 hexadecimal digits: `start_us` counts on this start of the machine."""
    start_us: int
    """`Unit.capture_us` of the first picture."""
    wall_us: int
    """The same by the wall clock, since 1970."""
    is_clock_set: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a fragment."""

    data: bytes
    duration_us: int


def box(kind: bytes, *payloads: bytes) -> bytes:
    """One box."""
    size = 8 + sum(map(len, payloads))
    return b"".join((struct.pack(">I", size), kind, *payloads))


def full_box(kind: bytes, version: int, flags: int, *payloads: bytes) -> bytes:
    """One with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payloads)


def encode_start(origin: Origin, sets: ParameterSets) -> bytes:
    """What a file begins with. Raises BadStreamError where the SPS is none."""
    brands = box(b"ftyp", b"iso6", struct.pack(">I", 0), b"iso6", b"cmfc", b"mp41")
    place = ORIGIN.pack(
        1,
        STREAMS.index(origin.stream),
        bytes.fromhex(origin.boot),
        origin.start_us,
        origin.wall_us,
        origin.is_clock_set,
    )
    return brands + box(b"uuid", ORIGIN_UUID, place) + _moov(sets)


def encode_mark(text: str) -> bytes:
    """A note between two fragments: why this is kept."""
    return box(b"uuid", MARK_UUID, text.encode()[:512])


def encode_fragment(
    number: int, at_us: int, wall_us: int, samples: Sequence[Sample], *, is_keyframe: bool, is_clock_set: bool
) -> bytes:
    """One fragment. Of its pictures the first alone may be an IDR; `at_us` counts from the file's start."""
    flags = WALL_IS_RIGHT if is_clock_set else WALL_IS_CONSISTENT
    wall = full_box(b"prft", 1, flags, struct.pack(">IQQ", 1, to_ntp(wall_us), at_us))
    table = b"".join(struct.pack(">II", sample.duration_us, len(sample.data)) for sample in samples)
    # data-offset, first-sample-flags, sample-duration, sample-size
    run_bytes = 8 + 4 + 12 + len(table)
    header = full_box(b"mfhd", 0, 0, struct.pack(">I", number))
    track = full_box(b"tfhd", 0, 0x020020, struct.pack(">II", 1, _OTHER_FLAGS))
    time = full_box(b"tfdt", 1, 0, struct.pack(">Q", at_us))
    moof_bytes = 8 + len(header) + 8 + len(track) + len(time) + run_bytes
    first = _SYNC_FLAGS if is_keyframe else _OTHER_FLAGS
    run = full_box(b"trun", 0, 0x000305, struct.pack(">III", len(samples), moof_bytes + 8, first), table)
    moof = box(b"moof", header, box(b"traf", track, time, run))
    return b"".join((wall, moof, box(b"mdat", *(sample.data for sample in samples))))


def to_ntp(wall_us: int) -> int:
    """RFC 5905 section 6: 32 bits of seconds since 1900, and 32 of fraction."""
    seconds, fraction_us = divmod(wall_us, 1_000_000)
    return (seconds + NTP_EPOCH_S & 0xFFFFFFFF) << 32 | (fraction_us << 32) // 1_000_000


def from_ntp(ntp: int) -> int:
    """Microseconds since 1970, up to 2036."""
    seconds = (ntp >> 32) - NTP_EPOCH_S
    return seconds * 1_000_000 + round((ntp & 0xFFFFFFFF) * 1_000_000 / 2**32)


def _moov(sets: ParameterSets) -> bytes:
    width, height = picture_size(sets.sps)
    movie = full_box(
        b"mvhd", 0, 0,
        struct.pack(">IIIIIH10x", 0, 0, TIMESCALE, 0, 0x10000, 0x100),
        MATRIX, bytes(24), struct.pack(">I", 2),
    )  # fmt: skip
    track = full_box(
        b"tkhd", 0, 3,
        struct.pack(">IIIII8xHHHxx", 0, 0, 1, 0, 0, 0, 0, 0), MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )  # fmt: skip
    media = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, TIMESCALE, 0, 0x55C4, 0))
    handler = full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"Pinhole\0")
    nowhere_else = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    no_samples = b"".join(
        full_box(kind, 0, 0, bytes(size))
        for kind, size in ((b"stts", 4), (b"stsc", 4), (b"stsz", 8), (b"stco", 4))
    )
    description = full_box(b"stsd", 0, 0, struct.pack(">I", 1), avc1(sets, width, height))
    tables = box(b"stbl", description, no_samples)
    information = box(b"minf", full_box(b"vmhd", 0, 1, bytes(8)), nowhere_else, tables)
    fragments = box(b"mvex", full_box(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0)))
    return box(b"moov", movie, box(b"trak", track, box(b"mdia", media, handler, information)), fragments)


def avc1(sets: ParameterSets, width: int, height: int) -> bytes:
    """A sample entry (ISO 14496-15 section 5.4.2): what a decoder needs for the pictures that name it."""
    sps, pps = sets.sps, sets.pps
    config = b"".join(
        (
            bytes((1, sps[1], sps[2], sps[3], 0xFF, 0xE1)),
            struct.pack(">H", len(sps)), sps, b"\1", struct.pack(">H", len(pps)), pps,
        )
    )  # fmt: skip
    entry = struct.pack(">6xH16xHHIIIH32sHh", 1, width, height, 0x480000, 0x480000, 0, 1, bytes(32), 24, -1)
    return box(b"avc1", entry, box(b"avcC", config))
