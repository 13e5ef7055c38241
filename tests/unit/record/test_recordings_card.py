"""The card's side of the disk, without its thread."""

import pytest
from parts.recordings import BOOT, GOP, OFFSET_US, START_US, pictures

from agent.record import card
from agent.record.card import Card, Place
from agent.record.cleaner import Bounds
from agent.record.fragmenter import Fragmenter

WALL_US = START_US + OFFSET_US
ALWAYS = 0, 1 << 60


class Desk:
    """A card whose thread is the test."""

    def __init__(self, folder, clock=(OFFSET_US, True)):
        self.clock = clock
        place = Place(folder, False, Bounds(None, 0, None), BOOT)
        self.card = Card(place, lambda: self.clock, lambda _: None)
        self.look()

    @property
    def index(self):
        return self.card.opened.index

    def look(self):
        """What the thread does some seconds later, without any job."""
        self.card._look_s = 0.0
        assert self.card._is_usable()
        self.card._perform(None)

    def record(self, units):
        cut = Fragmenter("main")
        pieces = [*(piece for unit in units if (piece := cut.push(unit))), cut.flush()]
        for job in (*pieces, card.finish("main")):
            self.card._perform(job)


@pytest.fixture
def open_desk(tmp_path):
    made = []

    def open_desk(*clock):
        made.append(Desk(tmp_path / "recordings", *clock))
        return made[-1]

    yield open_desk
    for one in made:
        one.card.opened.abandon()


def test_a_clip_from_before_the_clock_was_right_gets_its_time(open_desk):
    desk = open_desk((1_000, False))
    desk.record(pictures(4))
    desk.index.mark("motion", "e1", BOOT, START_US + 1_000_000, START_US + 1_001_000, 2_000_000)
    assert desk.index.spans("main", *ALWAYS) == [(START_US + 1_000, START_US + 4_001_000)]
    desk.clock = OFFSET_US, True
    desk.look()
    assert desk.index.spans("main", *ALWAYS) == [(WALL_US, WALL_US + 4_000_000)]
    (mark,) = desk.index.marks(*ALWAYS)
    assert mark.start_us == WALL_US + 1_000_000
    assert all(segment.is_clock_set for segment in desk.index.segments("main", *ALWAYS))


def test_what_nothing_could_show_is_counted_as_lost(open_desk):
    desk = open_desk()
    units = pictures(4)
    desk.record(units[5:])
    assert desk.card.written.lost == GOP - 5
    assert desk.index.spans("main", *ALWAYS) == [(WALL_US + 2_000_000, WALL_US + 4_000_000)]


def test_a_clock_that_is_set_again_moves_nothing(open_desk):
    desk = open_desk()
    desk.record(pictures(4))
    desk.index.mark("motion", "e1", BOOT, START_US, WALL_US, 2_000_000)
    assert desk.index.set_clock(BOOT, OFFSET_US + 3600_000_000) == 0
    assert [mark.start_us for mark in desk.index.marks(*ALWAYS)] == [WALL_US]
