"""From samples to what people are told: events, the section, what the tuner sees."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field

import pytest
from parts import clips
from pydantic import TypeAdapter

from agent.device.ledger import Ledger
from agent.model.command import CommandError
from agent.model.labels import Area, Sighting, Sightings
from agent.model.motion import Luma, Retuning, Tuning, Zone
from agent.motion.events import Events
from agent.motion.watch import MotionWatch, World

EVERYWHERE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
BEGUN_UNIX_S = 1_700_000_000.0
WALK = clips.Walk(17.0, 3.0, 0.2, 0.8, 0.25, 0.0, 0.35, 50.0)


class Kept:
    """In memory."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.tuning = tuning

    def load(self) -> Tuning | None:
        return self.tuning

    def write(self, value: Tuning) -> None:
        self.tuning, self.writer = value, threading.get_ident()

    def try_again(self, _now_s: float) -> None: ...


@dataclass
class Stage:
    """A watch, the world around it, and all that it said."""

    tuning: Tuning = field(default_factory=Tuning)
    store: Kept = field(default_factory=Kept)
    at_us: int = 0
    is_turning: bool = False
    is_looking: bool = False
    events: list = field(default_factory=list)
    told: list = field(default_factory=list)
    states: list = field(default_factory=list)
    sections: list = field(default_factory=list)

    def __post_init__(self) -> None:
        events = Events(
            self._note,
            lambda event, at_us: self.told.append(("begun", event, at_us)),
            lambda event: self.told.append(("seen", event)),
            lambda event, at_us: self.told.append(("ended", event, at_us)),
        )
        world = World(
            look=self._look,
            clock=lambda: BEGUN_UNIX_S + self.at_us / 1e6,
            monotonic_us=lambda: self.at_us,
            is_turning=lambda: self.is_turning,
            on_begun=events.begin,
            on_seen=events.see,
            on_ended=events.end,
            on_motion=lambda *_: None,
            on_change=self._on_change,
        )
        self.watch = MotionWatch(self.tuning, self.store, 5.0, 10.0, world)

    def _on_change(self):
        section = self.watch.section()
        self.states.append(section.state)
        self.sections.append((section.state, section.labels))

    @contextlib.contextmanager
    def _look(self, _on_luma, _on_sightings):
        self.is_looking = True
        try:
            yield
        finally:
            self.is_looking = False

    def _note(self, kind, message, details, *, at=None, has_thumbnail=False):
        self.events.append((kind, message, details, at, has_thumbnail))
        return f"e{len(self.events)}"

    def play(self, scene: clips.Scene, seconds: float, begin_s: float = 0.0) -> None:
        for luma in scene.play(seconds, begin_s):
            self.at_us = luma.capture_us
            self.watch.on_luma(luma)


def test_a_walk_is_told_while_it_goes_on_and_once_more_when_it_is_over():
    it = Stage(Tuning(zones=(Zone("Door", EVERYWHERE),)))
    it.play(clips.Scene(1).add(WALK), 40)
    (kind, message, details, at, has_picture), (over, words, last, until, has_none) = it.events
    assert (kind, message, has_picture) == ("motion", "Motion in Door", True)
    assert details["zones"] == "Door"
    assert 0 < details["score"] <= 1
    assert BEGUN_UNIX_S + WALK.begin_s <= at <= BEGUN_UNIX_S + WALK.begin_s + 2.5
    assert (over, last["begun"], has_none) == ("motion-ended", "e1", False)
    assert words.startswith("Motion in Door is over, after ")
    assert at < until <= BEGUN_UNIX_S + WALK.end_s + 1
    assert last["seconds"] == pytest.approx(until - at, abs=0.11)
    assert [what[:2] for what in it.told] == [("begun", "e1"), ("ended", "e1")]
    assert it.told[0][2] < it.told[1][2]


def test_the_section_says_what_is_and_only_where_that_changes():
    it = Stage()
    assert it.watch.section().state == "away"
    it.play(clips.Scene(1).add(WALK), 40)
    assert it.states == ["learning", "idle", "moving", "idle"]
    assert BEGUN_UNIX_S + WALK.end_s < it.watch.section().since < BEGUN_UNIX_S + WALK.end_s + 7


async def test_it_looks_as_long_as_it_runs_and_what_moves_then_is_over():
    it = Stage()
    run = asyncio.create_task(it.watch.run())
    await asyncio.sleep(0)
    assert it.is_looking
    it.play(clips.Scene(1).add(WALK), 19.5)
    assert [kind for kind, *_ in it.events] == ["motion"]
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run
    assert not it.is_looking
    assert [kind for kind, *_ in it.events] == ["motion", "motion-ended"]
    assert it.watch.section().state == "away"


def test_its_head_that_turns_is_no_motion():
    it = Stage()
    it.play(clips.Scene(1), 17)
    it.is_turning = True
    it.play(clips.Scene(2), 3, 17)
    assert it.watch.section().state == "learning"
    it.is_turning = False
    it.play(clips.Scene(3), 20, 20)
    assert it.events == []


async def test_what_was_tuned_counts_at_once_and_after_a_restart():
    it = Stage()
    it.play(clips.Scene(1), 16)
    sky = (Zone("Sky", EVERYWHERE, is_ignored=True),)
    tuned = Tuning(sensitivity=80, zones=sky)
    assert await it.watch.tune(Retuning(sensitivity=80, zones=sky)) == tuned
    assert it.store.writer != threading.get_ident(), "a card may take a second for it"
    it.play(clips.Scene(1).add(WALK), 5, 16)
    assert it.events == []
    assert Stage(Tuning(sensitivity=10), it.store).watch.tuning == tuned


async def test_what_is_not_named_stays_also_where_two_tune_at_once():
    it = Stage(Tuning(20, 1.5, (Zone("Door", EVERYWHERE),)))
    await asyncio.gather(
        it.watch.tune(Retuning(sensitivity=80)), it.watch.tune(Retuning(min_size_percent=2.5))
    )
    assert it.watch.tuning == it.store.tuning == Tuning(80, 2.5, (Zone("Door", EVERYWHERE),))
    await it.watch.tune(Retuning(zones=()))
    assert it.watch.tuning == Tuning(80, 2.5)


async def test_a_disk_that_never_answers_is_said_and_what_was_tuned_counts_all_the_same(monkeypatch):
    it, may_go = Stage(), threading.Event()
    monkeypatch.setattr("agent.motion.watch.STORE_S", 0.0)
    monkeypatch.setattr(it.store, "write", lambda _: may_go.wait(20))
    with pytest.raises(CommandError, match="in force, but the disk does not answer"):
        await it.watch.tune(Retuning(sensitivity=80))
    may_go.set()
    assert it.watch.tuning.sensitivity == 80


async def test_what_was_tuned_while_the_disk_refused_is_written_once_it_does_not(monkeypatch, tmp_path):
    monkeypatch.setattr("agent.motion.watch.TICK_S", 0)
    state = tmp_path / "state"
    state.write_text("no folder")
    it = Stage(store=Ledger(state / "motion.json", TypeAdapter(Tuning)))
    tuned = await it.watch.tune(Retuning(sensitivity=80))
    state.unlink()
    run = asyncio.create_task(it.watch.run())
    async with asyncio.timeout(60):
        while not (state / "motion.json").exists():
            await asyncio.sleep(0)
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run
    assert Stage(store=it.store).watch.tuning == tuned


def test_the_tuner_sees_the_cells_that_move():
    it = Stage()
    nothing = it.watch.now()
    assert (nothing.at, nothing.state, nothing.moving) == (0.0, "away", "00")
    it.play(clips.Scene(1).add(WALK), 19.6)
    now = it.watch.now()
    assert (now.columns, now.rows, now.state) == (32, 18, "moving")
    assert len(now.moving) == 2 * 32 * 18 // 8
    bits = f"{int(now.moving, 16):0{32 * 18}b}"
    cells = [(at % 32, at // 32) for at, bit in enumerate(bits) if bit == "1"]
    x = WALK.x + WALK.dx * (19.4 - WALK.begin_s) / WALK.seconds
    assert cells
    assert all(abs((column + 0.5) / 32 - x) < 0.12 for column, _ in cells)
    assert int(now.differing, 16) & int(now.moving, 16) == int(now.moving, 16)


def test_a_camera_that_gives_no_picture_is_away():
    it = Stage()
    it.play(clips.Scene(1), 10)
    it.at_us += 5_000_000
    assert it.watch.now().state == "away"


def test_a_picture_of_one_size_after_another_is_no_fault():
    it = Stage()
    it.play(clips.Scene(1), 5)
    it.watch.on_luma(Luma(bytes(32 * 24), 32, 24, 5_200_000))
    assert it.watch.now().rows == 24


def walker(at_us):
    """Of the walk, at this moment, as a network on the sensor labels it."""
    middle = WALK.x + WALK.dx * (at_us / 1e6 - WALK.begin_s) / WALK.seconds
    area = Area(middle - 0.05, WALK.y - WALK.height, middle + 0.05, WALK.y)
    return Sightings(at_us, (Sighting("person", 0.9, area),))


def test_a_person_is_told_as_soon_as_it_is_sure_and_not_at_the_end():
    stage = Stage()
    for luma in clips.Scene(5).add(WALK).play(40):
        stage.at_us = luma.capture_us
        stage.watch.on_luma(luma)
        if (
            "motion" in [kind for kind, *_ in stage.events]
            and WALK.begin_s < luma.capture_us / 1e6 < WALK.end_s
        ):
            stage.watch.on_sightings(walker(luma.capture_us))
    (kind, words, details, at, _), *_, (last, _, ended, over_at, _) = stage.events
    assert (kind, last) == ("motion", "motion-ended")
    assert words == "Motion"
    assert "label" not in details
    (seen,) = [event for event in stage.events if event[0] == "motion-seen"]
    assert seen[1] == "Person"
    assert seen[2]["label"] == "person"
    assert seen[2]["begun"] == "e1"
    assert "known_label" not in seen[2]
    assert at < seen[3] < at + 1.0 < over_at
    assert seen[4], "with a picture of who was seen"
    assert ended["label"] == "person"
    assert ("seen", "e2") in stage.told


def test_who_is_labelled_before_it_counts_as_motion_is_told_with_it():
    stage = Stage()
    for luma in clips.Scene(5).add(WALK).play(24):
        stage.at_us = luma.capture_us
        if WALK.begin_s < luma.capture_us / 1e6 < WALK.end_s:
            stage.watch.on_sightings(walker(luma.capture_us))
        stage.watch.on_luma(luma)
    kinds = [(kind, words) for kind, words, *_ in stage.events]
    assert kinds[0] == ("motion", "Person")
    assert "motion-seen" not in [kind for kind, _ in kinds]
    assert ("moving", ("person",)) in stage.sections


def test_why_nothing_is_labelled_is_said():
    stage = Stage()
    stage.play(clips.Scene(5), 3)
    stage.watch.on_sightings(Sightings(stage.at_us, problem="the network was not read"))
    assert stage.watch.section().problem == "the network was not read"
    stage.watch.on_sightings(Sightings(stage.at_us))
    assert stage.watch.section().problem == ""
