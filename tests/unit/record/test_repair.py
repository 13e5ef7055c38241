"""Files that end anywhere: what was whole stays, and another's decoder agrees."""

import random
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from parts.recordings import BOOT, START_US, decoded, pictures

from agent.record.footage import Footage
from agent.record.repair import repair


@pytest.fixture
def file(desk):
    desk.record(pictures(20))
    return desk.files()[0]


def test_a_whole_file_stays_as_it_is(file):
    before = file.read_bytes()
    repaired = repair(file)
    assert repaired.cut_bytes == 0
    assert file.read_bytes() == before
    assert repaired.walk.start.origin.boot == BOOT
    assert repaired.walk.start.origin.start_us == START_US


@pytest.fixture
def quick(tmp_path):
    """A folder where a thousand syncs take no time."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def test_wherever_a_file_ends_the_whole_fragments_before_that_stay(file, quick):
    whole, copy, where = file.read_bytes(), quick / "copy.mp4", random.Random(18)
    with Footage(file) as footage:
        walk = footage.walk()
    ends = [walk.start.size_bytes, *(one.end for one in walk.fragments)]
    assert ends == sorted(ends)
    assert ends[-1] == len(whole)
    assert all(later - earlier < 40_000 for earlier, later in pairwise(ends))
    for _ in range(1000):
        length = where.randrange(len(whole) + 1)
        copy.write_bytes(whole[:length])
        repaired = repair(copy)
        expected = max((end for end in ends if end <= length), default=0)
        if expected <= ends[0]:
            assert repaired is None, "no picture of it is whole"
            continue
        assert repaired.size_bytes == expected == copy.stat().st_size
        assert repaired.cut_bytes == length - expected
        assert repair(copy).cut_bytes == 0, "twice changes nothing"


def test_what_was_cut_is_read_by_another_decoder(file, tmp_path):
    whole, copy, where = file.read_bytes(), tmp_path / "copy.mp4", random.Random(7)
    for _ in range(12):
        copy.write_bytes(whole[: where.randrange(30_000, len(whole))])
        repaired = repair(copy)
        assert decoded(copy) == sum(len(one.samples) for one in repaired.walk.fragments)


@pytest.mark.parametrize("hole_bytes", [1, 512, 4096, 20_000])
def test_a_tail_of_zeros_is_no_picture(file, hole_bytes):
    whole = file.read_bytes()
    file.write_bytes(whole[:-hole_bytes] + bytes(hole_bytes))
    repaired = repair(file)
    assert repaired is None or repaired.size_bytes < len(whole)
    assert decoded(file) == sum(len(one.samples) for one in repaired.walk.fragments)


@pytest.mark.parametrize("spoil", [b"", b"no box", bytes(100_000), b"\xff" * 5000])
def test_what_is_no_recording_is_none(tmp_path, spoil):
    file = tmp_path / "x.mp4"
    file.write_bytes(spoil)
    assert repair(file) is None


def test_any_byte_may_be_wrong(file, tmp_path):
    whole, copy, where = file.read_bytes(), tmp_path / "copy.mp4", random.Random(3)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(4):
            data[where.randrange(len(data) if where.random() < 0.5 else 1500)] = where.randrange(256)
        copy.write_bytes(data)
        first = repair(copy)
        again = repair(copy)
        assert again is None if first is None else again.cut_bytes == 0
