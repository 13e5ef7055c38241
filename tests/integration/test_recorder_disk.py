"""A small disk that is recorded to for days: within its bounds all the time, and what is locked stays."""

import os
import subprocess
from itertools import pairwise

import pytest
from parts.need import need
from parts.recordings import BOOT, OFFSET_US, START_US, pictures

from agent.record.card import Opened, Place
from agent.record.cleaner import Bounds, NoRoomError, read_space
from agent.record.fragmenter import Fragmenter
from agent.record.segment import Tier
from agent.record.spans import JOIN_US
from agent.record.writer import Written

SIZE_MIB, KEPT_FREE = 64, 4_000_000
MINUTE_US = 60_000_000
DAY_MIN = 24 * 60
DRIFT_US = 3_000
"""Each file reads the clock anew, which is slewed to and fro."""


@pytest.fixture
def disk(tmp_path):
    """A file system of 64 MB, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", "pinhole-test", folder]
    need(
        os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0,
        "needs to mount a small file system: run as root",
    )
    yield folder
    subprocess.run(["umount", folder], check=True)


class Simulated:
    """Continuous recording, as fast as it goes."""

    def __init__(self, folder, bounds):
        self.now_us = START_US
        self.written = Written()
        self.offset_us = OFFSET_US
        place = Place(folder, True, bounds, BOOT)
        self.opened = Opened(place, lambda: (self.offset_us, True), self.written)
        self.index, self.folder = self.opened.index, folder
        self.opened.make_room = self._make_room
        for writer in self.opened.writers.values():
            writer._make_room = self._make_room
        self._minute = pictures(60)
        self.most_over = self.most_segment = 0
        self._cut = Fragmenter("main")

    def _make_room(self, needed_bytes):
        self.opened.cleaner.make_room(needed_bytes or 1 << 20, self.now_us + OFFSET_US)

    def minute(self, cap_bytes):
        for unit in self._minute:
            later = unit.__class__(
                unit.data, unit.capture_us - START_US + self.now_us, unit.epoch, unit.is_keyframe
            )
            if piece := self._cut.push(later):
                self.opened.writers["main"].write(piece)
        self.now_us += MINUTE_US
        self.offset_us = OFFSET_US + self.now_us // MINUTE_US % 2 * DRIFT_US
        used = sum(file.stat().st_size for file in self.folder.glob("*/*.mp4"))
        segments = self.index.segments("main", self.now_us + OFFSET_US - 2 * MINUTE_US, 1 << 60)
        self.most_segment = max(self.most_segment, *(one.size_bytes for one in segments))
        self.most_over = max(self.most_over, used - cap_bytes)


@pytest.fixture
def simulate(disk):
    made = []

    def simulate(bounds):
        made.append(Simulated(disk, bounds))
        return made[-1]

    yield simulate
    for one in made:
        one.opened.abandon()


@pytest.mark.parametrize(
    "minutes", [600, pytest.param(2 * DAY_MIN, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_a_long_time_on_a_small_disk(disk, simulate, minutes):
    """Of 1.6 MB each: the disk is written over dozens of times."""
    cap_bytes = 40_000_000
    simulated = simulate(Bounds(cap_bytes, KEPT_FREE, None))
    simulated.minute(cap_bytes)
    simulated.index.lock(0, 1 << 60, is_locked=True)
    locked = simulated.index.segments("main", 0, 1 << 60)[0]
    for number in range(minutes):
        writer = simulated.opened.writers["main"]
        if number % 200 == 100:
            writer.keep_for(Tier.MOTION, f"event-{number}")
        elif number % 200 == 102:
            writer.keep_for(Tier.CONTINUOUS, "")
        simulated.minute(cap_bytes)
    assert simulated.most_over <= simulated.most_segment, "never above the cap by more than a file"
    assert simulated.written.size_bytes > 20 * cap_bytes
    index = simulated.index
    assert index.get(locked.id).is_locked, "it is the oldest of all, and still there"
    assert (disk / locked.name).stat().st_size >= locked.size_bytes
    assert index.used_bytes == sum(file.stat().st_size for file in disk.glob("*/*.mp4"))
    there = index.segments("main", 0, 1 << 60)
    assert index.oldest_us == there[0].wall_us
    joints = sum(later.wall_us - one.end_us <= JOIN_US for one, later in pairwise(there))
    assert len(index.spans("main", 0, 1 << 60)) == len(there) - joints
    motion = [one for one in index.segments("main", 0, 1 << 60) if one.tier == Tier.MOTION]
    assert len({one.event for one in motion}) >= min(6, minutes // 200), "what moved outlives what did not"
    assert simulated.opened.cleaner.removed > 500


def test_other_files_on_the_disk_are_given_way_to(disk, simulate):
    simulated = simulate(Bounds(None, KEPT_FREE, None))
    for _ in range(60):
        simulated.minute(1 << 40)
    assert read_space(disk).free_bytes >= KEPT_FREE - 2 * simulated.most_segment
    before = simulated.index.used_bytes
    free = read_space(disk).free_bytes
    with (disk / "others").open("wb") as others:
        others.write(bytes(free - 2_500_000))
    for _ in range(4):
        simulated.minute(1 << 40)
    assert read_space(disk).free_bytes >= KEPT_FREE - 2 * simulated.most_segment
    assert simulated.index.used_bytes < before


def test_where_all_is_locked_it_is_said_and_nothing_of_it_goes(simulate):
    cap_bytes = 10_000_000
    simulated = simulate(Bounds(cap_bytes, KEPT_FREE, None))
    for _ in range(3):
        simulated.minute(cap_bytes)
    simulated.index.lock(0, 1 << 60, is_locked=True)

    def go_on():
        for _ in range(8):
            simulated.minute(cap_bytes)
            simulated.index.lock(0, 1 << 60, is_locked=True)

    with pytest.raises(NoRoomError, match="are locked: unlock some"):
        go_on()
    assert simulated.index.oldest_us == START_US + OFFSET_US


def test_what_is_too_old_goes(simulate):
    hour = 60 * MINUTE_US
    simulated = simulate(Bounds(None, KEPT_FREE, hour // 4))
    for _ in range(25):
        simulated.minute(1 << 40)
    oldest = simulated.index.oldest_us
    assert simulated.now_us + OFFSET_US - oldest <= hour // 4 + 2 * MINUTE_US
