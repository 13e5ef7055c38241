"""Looks at a camera's pictures for as long as the agent runs, and says when something moves."""

import asyncio
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from agent.model.command import CommandError
from agent.model.labels import Sightings
from agent.model.motion import Luma, MotionNow, MotionSection, Retuning, Tuning
from agent.model.threads import HungCallError, call_in_thread
from agent.motion.detector import Detector, Motion
from agent.motion.episodes import Episode, Episodes, Phase, Turn
from agent.motion.labels import Labels

TICK_S = 1.0
"""How soon it is noticed that no picture comes."""
AWAY_S = 3.0
STORE_S = 10.0
"""A card may take a second to keep a tuning."""

OnLuma = Callable[[Luma], None]
OnSightings = Callable[[Sightings], None]


class Store(Protocol):
    """Where what was tuned outlives the agent."""

    def load(self) -> Tuning | None: ...
    def write(self, value: Tuning) -> None: ...
    def try_again(self, now_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class World:
    """What the rest of the agent gives, and is told."""

    look: Callable[[OnLuma, OnSightings], AbstractContextManager[None]]
    """Keeps the camera on, and calls with each sample, and with what its sensor labels, in the event loop."""
    clock: Callable[[], float]
    """Unix time."""
    monotonic_us: Callable[[], int]
    """By the clock of the samples."""
    is_turning: Callable[[], bool]
    """The camera's own head moves."""
    on_begun: Callable[[Episode, float], None]
    """Something began to move, at this Unix time, ..."""
    on_seen: Callable[[Episode, float, int], None]
    """... more of it was seen at this one, which is the third by the clock of the samples, ..."""
    on_ended: Callable[[Episode, float], None]
    """... and was last seen to at this one."""
    on_motion: Callable[[Motion, int, int, AbstractSet[str]], None]
    """What a sample of so many cells showed, and what is known of it: for who labels it."""
    on_change: Callable[[], None]
    """The section says something else."""


class MotionWatch:
    """Belongs to one event loop."""

    def __init__(self, tuning: Tuning, store: Store, quiet_s: float, merge_s: float, world: World) -> None:
        """`tuning` holds until somebody has tuned it."""
        self.tuning = store.load() or tuning
        self._store, self._world = store, world
        self._storing = asyncio.Lock()
        self._detector = Detector(self.tuning)
        self._episodes = Episodes(quiet_s, merge_s)
        self._labels = Labels()
        self._problem = ""
        self._motion = Motion(0)
        self._luma: Luma | None = None
        self._is_turning = False
        self._since = 0.0
        self._told = MotionSection("away")

    async def run(self) -> None:
        """Look until cancelled; then what still moves is said to be over."""
        try:
            with self._world.look(self.on_luma, self.on_sightings):
                while True:
                    await asyncio.sleep(TICK_S)
                    now_us = self._world.monotonic_us()
                    self._turn(self._episodes.tick(now_us))
                    self._store.try_again(now_us / 1e6)
        finally:
            self._turn(self._episodes.end())
            self._luma = None
            self._tell()

    def on_luma(self, luma: Luma) -> None:
        """Take a sample."""
        is_turning = self._world.is_turning()
        if is_turning is not self._is_turning:
            self._is_turning = is_turning
            self._detector.on_moving(is_moving=is_turning, now_us=luma.capture_us)
        self._luma, self._motion = luma, self._detector.on_picture(luma)
        self._labels.move(self._motion, luma.width_px, luma.height_px)
        self._turn(self._episodes.on(self._motion, self._labels.sure(luma.capture_us)))
        self._world.on_motion(self._motion, luma.width_px, luma.height_px, self._episodes.labels)

    def on_sightings(self, sightings: Sightings) -> None:
        """Take what was labelled in a picture, of now or of a while ago."""
        self._problem = sightings.problem
        self._labels.see(sightings)
        now_us = self._world.monotonic_us()
        self._turn(self._episodes.label(self._labels.sure(now_us), now_us))

    async def tune(self, wish: Retuning) -> Tuning:
        """From the next sample on, and after every restart. Raises CommandError."""
        self.tuning = tuning = wish.of(self.tuning)
        self._detector.tune(tuning)
        async with self._storing:  # in their order
            try:
                await call_in_thread("tuning", STORE_S, partial(self._store.write, tuning))
            except HungCallError as exc:
                words = "it is in force, but the disk does not answer: after a restart it may be as before"
                raise CommandError("not-kept", words) from exc
        return tuning

    def section(self) -> MotionSection:
        return self._told

    def now(self) -> MotionNow:
        """What it sees, for who tunes it."""
        motion, luma = self._motion, self._luma
        columns, rows = (luma.width_px, luma.height_px) if luma else (1, 1)
        count = columns * rows
        return MotionNow(
            self._unix(motion.at_us) if luma else 0.0,
            columns,
            rows,
            _mask(motion.differing if luma else (), count),
            _mask(motion.cells if luma else (), count),
            motion.note if luma and motion.note == "light" else self._state(),
            motion.score,
            motion.zones,
            self._detector.is_raining,
        )

    def _turn(self, turn: Turn) -> None:
        if turn.ended:
            self._world.on_ended(turn.ended, self._unix(turn.ended.last_us))
        if turn.begun:
            self._world.on_begun(turn.begun, self._unix(turn.begun.begun_us))
        if turn.seen:
            now_us = self._world.monotonic_us()
            self._world.on_seen(turn.seen, self._unix(now_us), now_us)
        self._tell()

    def _tell(self) -> None:
        state, told = self._state(), self._told
        # Zones are said when it begins: a new state for each that somebody walks through helps nobody.
        is_moving = state == "moving"
        labels = tuple(sorted(self._episodes.labels)) if is_moving else ()
        if (state, labels, self._problem) == (told.state, told.labels, told.problem):
            return
        zones = told.zones
        if state != told.state:
            zones = self._motion.zones if is_moving else ()
            if "moving" in (state, told.state):
                self._since = self._world.clock()
        self._told = MotionSection(state, self._since, zones, labels, self._problem)
        self._world.on_change()

    def _state(self) -> str:
        if self._luma is None or self._world.monotonic_us() - self._luma.capture_us > AWAY_S * 1e6:
            return "away"
        if self._episodes.phase is Phase.ACTIVE:
            return "moving"
        return "learning" if self._motion.note in ("learning", "turning") else "idle"

    def _unix(self, at_us: int) -> float:
        return max(0.0, self._world.clock() - (self._world.monotonic_us() - at_us) / 1e6)


def _mask(cells: Iterable[int], count: int) -> str:
    bits = bytearray((count + 7) // 8)
    for cell in cells:
        bits[cell // 8] |= 0x80 >> cell % 8
    return bits.hex()
