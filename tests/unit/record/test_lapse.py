"""A time-lapse: evenly, within its bytes, and no trouble where the disk is."""

import asyncio

import pytest
from fakes.clock import LoopClock

from agent.errors import CameraError
from agent.model.still import Still
from agent.record.lapse import Bounds, Lapse

NOON = 1_795_953_600.0
SIZE = 1000


class Bench:
    def __init__(self, folder, max_bytes=10 * SIZE, min_free_bytes=0):
        self.folder, self.now_s, self.taken_s, self.fault, self.is_mounted = folder, NOON + 7, [], None, True
        bounds = Bounds(60.0, max_bytes, min_free_bytes)
        self.lapse = Lapse(folder, bounds, self.take, lambda: self.is_mounted, lambda: self.now_s)

    async def take(self):
        if self.fault:
            raise self.fault
        self.taken_s.append(self.now_s)
        return Still(bytes(SIZE), self.now_s, 640, 360)

    async def take_each(self, *times_s):
        for self.now_s in times_s:
            await self.lapse.take_one()

    def names(self):
        return sorted(str(file.relative_to(self.folder)) for file in self.folder.glob("*/*"))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "lapse")


async def test_a_still_is_named_by_its_time(bench):
    await bench.take_each(NOON, NOON + 86_400)
    assert bench.names() == ["2026-11-29/120000.jpg", "2026-11-30/120000.jpg"]


async def test_they_come_at_whole_multiples(bench):
    clock = LoopClock()
    began_s = clock.now_s
    bench.lapse._unix_s = lambda: NOON + 7 + clock.now_s - began_s
    came_s = []

    async def take_one():
        came_s.append(clock.now_s - began_s)

    bench.lapse.take_one = take_one
    running = asyncio.create_task(bench.lapse.run())
    await clock.until(lambda: len(came_s) == 2)
    running.cancel()
    assert came_s == pytest.approx([53, 113], abs=0.1)


async def test_none_is_taken_before_its_time_where_the_clock_is_slewed(bench):
    clock = LoopClock()
    began_s = clock.now_s
    bench.lapse._unix_s = lambda: NOON + 7 + (clock.now_s - began_s) * 0.99
    came_s = []

    async def take_one():
        came_s.append(bench.lapse._unix_s() - NOON)

    bench.lapse.take_one = take_one
    running = asyncio.create_task(bench.lapse.run())
    await clock.until(lambda: len(came_s) == 2)
    running.cancel()
    assert came_s == pytest.approx([60, 120], abs=0.1)


async def test_the_oldest_goes_with_its_day_and_a_new_start_knows_them(bench, tmp_path):
    await bench.take_each(NOON, NOON + 86_400)
    again = Bench(tmp_path / "lapse", max_bytes=2 * SIZE)
    await again.take_each(NOON + 2 * 86_400)
    assert again.names() == ["2026-11-30/120000.jpg", "2026-12-01/120000.jpg"]
    assert not (tmp_path / "lapse" / "2026-11-29").exists()


async def test_a_camera_or_a_disk_that_fails_costs_stills_alone(bench, tmp_path, caplog):
    bench.fault = CameraError("no picture came within 15 s")
    await bench.take_each(NOON)
    assert "no picture came" in caplog.text
    bench.fault, bench.is_mounted = None, False
    await bench.take_each(NOON)
    bench.is_mounted = True
    await bench.take_each(NOON + 60)
    assert bench.names() == ["2026-11-29/120100.jpg"]
    full = Bench(tmp_path / "full", min_free_bytes=1 << 60)
    await full.take_each(NOON)
    assert full.names() == []


@pytest.mark.parametrize("where", ["lapse", "lapse/2026-11-01"])
async def test_a_link_on_a_prepared_card_leads_nowhere(tmp_path, where):
    outside = tmp_path / "outside" / "2026-11-01"
    outside.mkdir(parents=True)
    (outside / "120000.jpg").write_bytes(bytes(SIZE))
    link = tmp_path / where
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside if link.name != "lapse" else outside.parent)
    bench = Bench(tmp_path / "lapse", max_bytes=SIZE)
    await bench.take_each(NOON, NOON + 86_400)
    assert [file.name for file in outside.iterdir()] == ["120000.jpg"]
    assert [one.name for one in outside.parent.iterdir()] == ["2026-11-01"]


async def test_only_stills_of_ours_are_removed(bench):
    (bench.folder / "album").mkdir(parents=True)
    (bench.folder / "album" / "cat.jpg").write_bytes(bytes(20 * SIZE))
    await bench.take_each(NOON)
    assert bench.names() == ["2026-11-29/120000.jpg", "album/cat.jpg"]
