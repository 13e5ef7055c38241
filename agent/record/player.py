"""Shows a viewer what was recorded, in the place of the live picture and over the same congestion control.

Nothing is encoded again. A picture is handed over when it is due and what was handed over has nearly left, so
that a slow link makes the player slow, or has it show the small stream, and nothing is dropped.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from agent.errors import PinholeError
from agent.model.clock import now_us
from agent.model.command import CommandError
from agent.model.media import RtpFrame, StreamName, Unit
from agent.model.pacing import Room
from agent.record.playhead import IDR_SPEED, MIN_INTERVAL_US, Choice, Playhead
from agent.record.reader import RecordedUnit
from agent.record.tape import MAX_GROUP, Library, Tape, in_thread
from agent.record.watched import Watched

log = logging.getLogger(__name__)

MAX_QUEUE_MS = 120
"""No picture is handed over while more than this waits to leave: the pacer drops what waits twice as long."""
POLL_S = 0.02
EDGE_S = 0.5
"""Between two looks for more, where the recording goes on."""
CATCH_UP_S = 0.5
"""From a keyframe up to the very picture that was asked for, where the link carries that in this time."""
RIGHT_S = 0.5
"""Between two looks at the right: pictures may be far apart."""
JUDGE_S, REPAIR_S = 0.25, 1.0
"""Between two looks at the link, and between two times that the viewer is given a keyframe anew."""


class Screen(Protocol):
    """One viewer, as the congestion control knows it."""

    @property
    def stream(self) -> StreamName: ...
    @property
    def room(self) -> Room: ...
    def leave_live(self) -> None: ...
    def show(self, frame: RtpFrame) -> None: ...
    def go_live(self) -> None: ...


State = Literal["seeking", "playing", "paused", "ended"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a viewer is shown. Times are seconds since 1970."""

    state: State
    """`ended`: there is no more, yet."""
    at: float
    """When the picture was taken."""
    speed: float
    stream: StreamName


@dataclass(frozen=True, slots=True)
class Wish:
    """What the viewer wants to see from now on."""

    at_us: int | None
    """Go there; None: from where it is."""
    speed: float
    """0 stands still."""
    small: bool = False
    """The small stream, as for looking through a day in haste."""
    steps: int = 0
    """Pictures forward, or back."""


class Player:
    """One viewer's. Orders come from outside and return at once; `run` follows them."""

    def __init__(
        self,
        library: Library,
        screen: Screen,
        packetize: Callable[[Unit], RtpFrame | None],
        may_play: Callable[[], bool],
        on_over: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`may_play` is asked all the time: who loses the right is shown the live picture within a second.

        `on_over` hears in words what was watched, at the end of each playback.
        """
        self._library, self._tape = library, Tape(library)
        self._screen, self._packetize, self._may_play = screen, packetize, may_play
        self._wish: Wish | None = None
        self._ordered = asyncio.Event()
        self._is_small = False
        """By wish, and not for a link that carries no more."""
        self._choice = Choice("main")
        self._main_bps: int | None = None
        self._state: State = "seeking"
        self._position_us = 0
        self._repaired_s = self._judged_s = 0.0
        self._on_over = on_over
        self._watched: Watched | None = None
        """While something is played."""

    @property
    def standing(self) -> Standing | None:
        """None while it is live."""
        if (wish := self._wish) is None:
            return None
        return Standing(self._state, self._position_us / 1e6, wish.speed, self._choice.stream)

    def play(self, at_s: float, speed: float, *, small: bool) -> None:
        """Recorded pictures from this time on, instead of live ones. Raises CommandError."""
        if not any(self._library.has(stream) for stream in ("main", "preview")):
            raise CommandError("nothing-recorded", "nothing is recorded on this camera")
        if self._wish is None:
            self._choice = Choice(self._screen.stream)
            self._position_us = round(at_s * 1e6)
        self._order(Wish(round(at_s * 1e6), speed, small))

    def seek(self, at_s: float | None, speed: float, *, small: bool) -> None:
        """Elsewhere, or at another speed. Raises CommandError while it is live."""
        self._check_playing()
        self._order(Wish(None if at_s is None else round(at_s * 1e6), speed, small))

    def step(self, pictures: int) -> None:
        """So many pictures on, or back; it stands still then. Raises CommandError while it is live."""
        self._check_playing()
        self._order(Wish(None, 0.0, steps=pictures))

    def go_live(self) -> None:
        """Back to what the camera sees now."""
        self._order(None)

    def tell_over(self) -> None:
        """Say what was watched, where something is."""
        if (watched := self._watched) is not None:
            self._watched = None
            self._on_over(watched.words(time.monotonic()))

    async def run(self) -> None:
        """Follow the orders until cancelled."""
        while True:
            await self._ordered.wait()
            self._ordered.clear()
            if self._wish is not None:
                await self._show_until_live()

    def _check_playing(self) -> None:
        if self._wish is None:
            raise CommandError("is-live", "the live picture is shown: play something first")

    def _order(self, wish: Wish | None) -> None:
        before = self._wish
        if wish and before and self._ordered.is_set() and wish.at_us is None:
            wish = replace(wish, at_us=before.at_us, small=before.small)  # which nobody has followed yet
        self._wish = wish
        if wish is not None and (wish.at_us is not None or wish.steps):
            self._state = "seeking"
        self._ordered.set()

    async def _show_until_live(self) -> None:
        self._screen.leave_live()
        self._watched = Watched(self._position_us, time.monotonic())
        try:
            while (wish := self._wish) is not None:
                self._ordered.clear()
                await self._follow(wish)
        except Exception as exc:  # of a hostile card, too: the viewer's session goes on
            log.warning("a recording cannot be played: %r", exc, exc_info=not isinstance(exc, PinholeError))
            self._wish = None
        finally:
            self._screen.go_live()
            self.tell_over()
            await self._tape.close()

    async def _follow(self, wish: Wish) -> None:
        """Until the next order, or until the right is gone."""
        await self._turn(wish)
        is_opened_anew = not self._tape.is_open
        if is_opened_anew:
            await self._open()
        if wish.at_us is not None:
            await self._seek(wish.at_us)
        elif is_opened_anew or self._tape.is_sparse:
            await self._catch_up(self._position_us)
        if wish.steps:
            await self._step(wish.steps)
        if wish.speed:
            await self._play(wish)
            return
        if not self._ordered.is_set():
            self._state = "paused"
        while not await self._is_ordered(POLL_S * 10):
            if self._is_torn():
                await self._catch_up(self._position_us)

    async def _play(self, wish: Wish) -> None:
        head = Playhead(self._position_us, wish.speed, now_us())
        is_by_keyframes = wish.speed > IDR_SPEED or wish.speed < 0
        shown_us = 0
        while not self._ordered.is_set():
            if self._is_torn() or await self._has_turned(wish):
                await self._catch_up(self._position_us)
                head.slip(self._position_us, now_us())
            unit = await (self._tape.next_keyframe(wish.speed) if is_by_keyframes else self._tape.next())
            if unit is None:
                self._state = "ended"
                if await self._is_ordered(EDGE_S):
                    return
                continue
            self._state = "playing"
            due_us = head.due_us(unit.wall_us, now_us(), is_after_gap=unit.is_after_gap)
            if is_by_keyframes and due_us - shown_us < MIN_INTERVAL_US:
                continue
            if await self._is_ordered((due_us - now_us()) / 1e6):
                if not is_by_keyframes:
                    self._tape.put_back(unit)
                return
            if await self._is_held_up():
                head.slip(unit.wall_us, now_us())
            self._show(unit, due_us)
            shown_us = due_us

    # ---- where it reads

    async def _open(self) -> None:
        """Raises PinholeError."""
        stream = self._choice.stream
        if not self._library.has(stream):
            stream = "preview" if stream == "main" else "main"
            self._choice = Choice(stream)
        await self._tape.open(stream)

    async def _turn(self, wish: Wish) -> None:
        """To the small stream and back, as it is wished."""
        if wish.small and self._library.has("preview"):
            await self._turn_to("preview")
            self._is_small = True
        elif self._is_small:
            await self._turn_to(self._screen.stream)
            self._is_small = False

    async def _turn_to(self, stream: StreamName) -> None:
        if stream != self._choice.stream:
            await self._tape.close()
            self._choice = Choice(stream)

    async def _has_turned(self, wish: Wish) -> bool:
        """Whether the link wants the other stream, which is then read."""
        now_s, before = time.monotonic(), self._choice.stream
        if wish.small or self._main_bps is None or now_s - self._judged_s < JUDGE_S:
            return False
        if not self._library.has("preview" if before == "main" else "main"):
            return False
        self._judged_s, room = now_s, self._screen.room
        if room.is_stalled or self._choice.update(room.carries_bps, self._main_bps, now_us()) == before:
            return False
        kbps = room.carries_bps // 1000
        log.info("a viewer whose link has %d kb/s is shown the recorded %s", kbps, self._choice.stream)
        await self._tape.close()
        await self._open()
        return True

    async def _seek(self, wall_us: int) -> None:
        """Show the keyframe there at once, and go on to the very picture where the link carries that."""
        self._main_bps = await in_thread(partial(self._library.bitrate_bps, "main", wall_us))
        if not await self._tape.seek(wall_us):
            raise PinholeError("nothing is recorded there any more")
        await self._show_up_to(wall_us, self._screen.room.carries_bps * CATCH_UP_S / 8)

    async def _catch_up(self, wall_us: int) -> None:
        """The keyframe before, and all from there up to this picture, at once."""
        self._repaired_s = time.monotonic()
        if await self._tape.seek(wall_us):
            await self._show_up_to(wall_us, float("inf"))

    async def _show_up_to(self, wall_us: int, most_bytes: float) -> None:
        """The next picture, and those behind it up to this time where they are no more than so many bytes."""
        for number in range(MAX_GROUP):
            if (unit := await self._tape.next()) is None:
                return
            most_bytes -= len(unit.data)
            if number and (unit.wall_us > wall_us or most_bytes < 0 or self._ordered.is_set()):
                self._tape.put_back(unit)
                return
            await self._is_held_up()
            self._show(unit, now_us())

    async def _step(self, pictures: int) -> None:
        for _ in range(pictures):
            if unit := await self._tape.next():
                self._show(unit, now_us())
        if pictures < 0:  # a decoder gets there from the keyframe before it
            await self._catch_up(await self._tape.time_before(self._position_us, -pictures))

    # ---- what it shows

    def _show(self, unit: RecordedUnit, due_us: int) -> None:
        frame = self._packetize(Unit(unit.data, due_us, 0, unit.is_keyframe))
        self._position_us = unit.wall_us
        if self._watched is not None:
            self._watched.note(unit.wall_us)
        if frame is not None:
            self._screen.show(frame)

    def _is_torn(self) -> bool:
        """The viewer lost a picture, and needs a keyframe to go on."""
        return time.monotonic() - self._repaired_s > REPAIR_S and self._screen.room.wants_keyframe

    async def _is_held_up(self) -> bool:
        """Wait until the link has taken what it was given; whether there was any wait."""
        waited = False
        while (room := self._screen.room).queue_ms > MAX_QUEUE_MS or room.is_stalled:
            waited = True
            if await self._is_ordered(POLL_S):
                break
        return waited

    async def _is_ordered(self, seconds: float) -> bool:
        """Wait for the next order; False where none came in so long."""
        ends_s = time.monotonic() + seconds
        while True:
            if self._wish is not None and not self._may_play():
                log.info("a viewer lost the right to look back")
                self._order(None)
            left_s = ends_s - time.monotonic()
            if left_s <= 0 or self._ordered.is_set():
                return self._ordered.is_set()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, RIGHT_S)):
                    await self._ordered.wait()
