"""What goes for room, and in which order."""

from collections import Counter

import pytest
from parts.recordings import OFFSET_US, START_US, pictures

from agent.model.command import CommandError
from agent.model.recording import RecordedTime, RecordingsWanted
from agent.record.cleaner import Bounds, Cleaner, NoRoomError, Space
from agent.record.listing import lock, page_of
from agent.record.segment import Tier

WALL_US = START_US + OFFSET_US
DAY_US = 86_400_000_000
ALWAYS = 0, 1 << 60


def record(desk, number, tier=Tier.CONTINUOUS, *, is_clock_set=True):
    desk.is_clock_set = is_clock_set
    writer = desk.writer()
    writer.keep_for(tier, "")
    desk.record(pictures(2, START_US + number * 60_000_000), writer=writer)


def left(desk):
    return [one.id for one in desk.index.segments("main", *ALWAYS)]


def cleaner(desk, max_bytes=None, free_bytes=1 << 40, min_free=0, max_age_us=None):
    disk = Space(1 << 40, free_bytes)
    return Cleaner(desk.index, Bounds(max_bytes, min_free, max_age_us), lambda _: disk)


def test_the_order(desk):
    tiers = [Tier.EVENT, Tier.MOTION, Tier.CONTINUOUS, Tier.MOTION, Tier.CONTINUOUS, Tier.EVENT, Tier.EVENT]
    for number, tier in enumerate(tiers):
        record(desk, number, tier)
    desk.index.note_uploaded(6)
    desk.index.lock(WALL_US + 360_000_000, WALL_US + 361_000_000, is_locked=True)
    gone = []
    while len(left(desk)) > 1:
        before = set(left(desk))
        cleaner(desk, desk.index.used_bytes).make_room(1, WALL_US)
        gone += before - set(left(desk))
    assert gone == [6, 3, 5, 2, 4, 1], "uploaded, continuous, motion, events; the oldest of each first"
    with pytest.raises(NoRoomError, match="locked"):
        cleaner(desk, desk.index.used_bytes).make_room(1, WALL_US)
    assert left(desk) == [7]


def test_of_what_is_too_old_what_is_nowhere_else_goes_last(desk, monkeypatch):
    monkeypatch.setattr("agent.record.cleaner.AT_ONCE", 2)
    for number in range(5):
        record(desk, number, Tier.EVENT)
    for number in (2, 4):
        desk.index.note_uploaded(number)
    unsent, disk = Counter(), Space(1 << 40, 1 << 40)
    one = Cleaner(desk.index, Bounds(None, 0, DAY_US), lambda _: disk, unsent)
    one.make_room(1, WALL_US + 2 * DAY_US)
    assert left(desk) == [1, 3, 5]
    assert not unsent
    one.make_room(1, WALL_US + 2 * DAY_US)
    assert left(desk) == [5], "age counts all the same"
    assert unsent == {("main", Tier.EVENT): 2}


def test_no_more_goes_than_must(desk):
    for number in range(6):
        record(desk, number)
    size = desk.files()[0].stat().st_size
    cleaner(desk, 6 * size).make_room(size, WALL_US)
    assert left(desk) == [2, 3, 4, 5, 6]


def test_the_disks_own_room_counts(desk):
    for number in range(6):
        record(desk, number)
    free = desk.files()[0].stat().st_size
    full = cleaner(desk, free_bytes=free, min_free=4 * free)
    assert full.cap_bytes == 3 * free
    full.make_room(0, WALL_US)
    assert len(left(desk)) <= 3


def test_nothing_left_to_remove_names_what_fills_the_disk(desk):
    with pytest.raises(NoRoomError, match="other files fill it"):
        cleaner(desk, free_bytes=0, min_free=1_000_000).make_room(1, WALL_US)


def test_age(desk):
    for number in range(6):
        record(desk, number)
    cleaner(desk, max_age_us=DAY_US).make_room(0, WALL_US + DAY_US + 150_000_000)
    assert left(desk) == [4, 5, 6]


def test_a_clock_that_was_never_set_makes_nothing_old_at_once(desk):
    desk.offset_us = -START_US  # 1970
    record(desk, 0, is_clock_set=False)
    desk.offset_us = OFFSET_US
    record(desk, 1)
    cleaner(desk, max_age_us=DAY_US).make_room(0, WALL_US + 60_000_000)
    assert left(desk) == [1, 2]
    cleaner(desk, max_age_us=DAY_US).make_room(0, WALL_US + DAY_US + 150_000_000)
    assert left(desk) == [], "but what is before something old is old"


def test_pages_hold_all_and_each_once(desk):
    for number in range(7):
        record(desk, 2 * number)
        desk.index.mark("motion", f"e{number}", "00" * 16, 1, WALL_US + number * 120_000_000, 1_000_000)
    seen, events, from_at = [], [], 0.0
    while True:
        page = page_of(desk.index, RecordingsWanted(from_at=from_at, limit=3))
        assert len(page.spans) <= 3
        seen += [one for one in page.spans if one not in seen]
        events += [one.event for one in page.events if one.event not in events]
        if page.more_from is None:
            break
        assert page.more_from > from_at
        from_at = page.more_from
    assert [round(one.start - WALL_US / 1e6) for one in seen] == [120 * number for number in range(7)]
    assert events == [f"e{number}" for number in range(7)]
    (only,) = page_of(
        desk.index, RecordingsWanted(from_at=WALL_US / 1e6 + 230, until_at=WALL_US / 1e6 + 250)
    ).spans
    assert round(only.end - only.start) == 2


def test_no_more_than_half_can_be_locked(desk):
    for number in range(4):
        record(desk, number)
    size, began = desk.files()[0].stat().st_size, WALL_US / 1e6
    done = lock(desk.index, 6 * size, RecordedTime(began, began + 100), is_locked=True)
    assert done.files == 2
    with pytest.raises(CommandError, match="50%") as caught:
        lock(desk.index, 5 * size, RecordedTime(began, began + 200), is_locked=True)
    assert caught.value.code == "too-much"
    with pytest.raises(CommandError, match="nothing is recorded"):
        lock(desk.index, 5 * size, RecordedTime(1.0, 2.0), is_locked=True)
    assert lock(desk.index, 1, RecordedTime(0.0, 2.0**40), is_locked=False).locked_bytes == 0
