"""Decides what is recorded, from when to when; everything that waits is in the card's thread."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from agent.config.settings import RecordSettings
from agent.model.clock import now_us
from agent.model.event import EventKind
from agent.model.hours import parse_hours
from agent.model.log_limit import LogLimit
from agent.model.media import StreamName, Unit
from agent.model.sections import RecordSection
from agent.model.threads import call_soon
from agent.record.card import Act, Card, Place, Report, finish, keep_for
from agent.record.cleaner import LOCKED_WARN_SHARE
from agent.record.fragmenter import Piece
from agent.record.index import Index
from agent.record.ring import Ring
from agent.record.segment import Tier
from agent.record.track import Track
from agent.record.writer import ReadClock

log = logging.getLogger(__name__)

LATE_US = 5_000_000
"""A trigger tells of what began up to so long ago: motion is found a while after it began."""
MAX_RING_BYTES = 12 * 1024 * 1024
LOOK_S = 1.0
SETTLED_S = 60.0
"""A card that fails again within this has not recovered: nobody is told each time."""
GRACE_S = 15.0
"""After a failure what is lost up to a keyframe belongs to it."""
RARELY_S = 3600.0
"""Between two events that say the same."""

OnEvent = Callable[[EventKind, str, dict[str, str | int | float | bool]], None]


class Reader(Protocol):
    """As in `agent.media.stream`."""

    @property
    def wants_keyframe(self) -> bool: ...
    def push(self, unit: Unit) -> None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """One stream, from the recorder's side."""

    reading: Callable[[Reader], AbstractContextManager[None]]
    keeping: Callable[[], AbstractContextManager[None]]
    """Its encoder makes what the settings say while nobody watches, for the length of the block."""
    most_bps: int
    """The most that its encoder makes."""


@dataclass(frozen=True, slots=True)
class _Cause:
    at_us: int
    event: str
    tier: Tier


class Recorder:
    """For the event loop. Times are those of `Unit.capture_us`, in µs."""

    def __init__(
        self,
        settings: RecordSettings,
        place: Place,
        sources: Mapping[StreamName, Source],
        read_clock: ReadClock,
        on_event: OnEvent,
        on_change: Callable[[], None],
        wanted: Callable[[], Collection[StreamName]] | None = None,
    ) -> None:
        """`sources` are the streams to record; `on_change` says the section anew.

        `wanted`: which of them now, as a camera may have no preview, which is known once it has run.
        """
        self._settings, self._sources = settings, sources
        self._wanted = wanted or (lambda: tuple(sources))
        self._hours = [parse_hours(text) for text in settings.schedule]
        self._place, self._read_clock = place, read_clock
        self._on_event, self._on_change = on_event, on_change
        self._causes: dict[str, _Cause] = {}
        self._is_base = False
        """Recording without any cause, by the mode."""
        self._calm: asyncio.TimerHandle | None = None
        self._card: Card | None = None
        self._report = Report()
        self._lost_before = 0
        self._is_failure_told = False
        self._well_since_s = 0.0
        self._locked_told_s = self._lost_told_s = -24 * RARELY_S
        self._faults = LogLimit(60.0)
        pre_us, keyframe_us = int(settings.pre_s * 1e6), int(settings.keyframe_s * 1e6)
        self._pre_us = pre_us
        self._all_tracks = {
            stream: Track(
                stream,
                Ring(pre_us + LATE_US, _ring_bytes(source.most_bps, pre_us + LATE_US + keyframe_us)),
                keyframe_us,
                self._put,
                lambda name: self._do(finish(name)),
            )
            for stream, source in sources.items()
        }
        self._tracks = {stream: self._all_tracks[stream] for stream in self._wanted()}
        """Of the streams that are recorded, or would be."""
        self._attached: dict[StreamName, ExitStack] = {}

    @property
    def index(self) -> Index | None:
        """What is recorded; None while the folder cannot be used."""
        opened = self._card.opened if self._card else None
        return opened.index if opened else None

    @property
    def unsent(self) -> Mapping[tuple[StreamName, Tier], int]:
        """Files that were removed before they were uploaded, since the start."""
        return self._card.unsent if self._card else {}

    @property
    def is_recording(self) -> bool:
        """Whether anything goes to the card."""
        return not self._report.problem and any(track.is_recording for track in self._tracks.values())

    def section(self) -> RecordSection:
        """What the device's state says of it."""
        index, report = self.index, self._report
        mode = self._settings.mode
        state = "off" if mode == "off" else "failed" if report.problem else "waiting"
        oldest_us = index.oldest_us if index else None
        return RecordSection(
            mode=mode,
            state="recording" if self.is_recording else state,
            cause=",".join(self._causes)[:200],
            problem=report.problem[:500],
            streams=",".join(self._tracks),
            used_bytes=index.used_bytes if index else 0,
            locked_bytes=index.locked_bytes if index else 0,
            cap_bytes=report.cap_bytes,
            free_bytes=report.free_bytes,
            oldest_at=(oldest_us or 0) / 1e6,
            written_bytes=self._card.written.size_bytes if self._card else 0,
            lost=self._lost,
        )

    def begin(self, cause: str, at_us: int, event: str = "") -> None:
        """Keep what is seen from `record.pre_s` before that on. `event`: the id of the device's event."""
        if self._settings.mode == "off":
            return
        tier = Tier.MOTION if cause == "motion" else Tier.EVENT
        self._causes[cause] = _Cause(at_us, event, tier)
        self._cancel_calm()
        self._keep(at_us - self._pre_us)
        for track in self._tracks.values():
            track.hurry(is_urgent=True)
            track.begin(at_us - self._pre_us)
        self._on_change()

    def end(self, cause: str, at_us: int) -> None:
        """What `begin` was called for is over; `record.post_s` more is kept, to the next keyframe."""
        begun = self._causes.pop(cause, None)
        if begun is None:
            return
        dur_us = max(0, at_us - begun.at_us)
        boot = self._place.boot
        self._do(
            lambda opened: opened.index.mark(
                cause, begun.event, boot, begun.at_us, max(0, begun.at_us + opened.read_clock()[0]), dur_us
            )
        )
        if not self._causes:
            left_s = self._settings.post_s - (now_us() - at_us) / 1e6
            self._calm = asyncio.get_running_loop().call_later(max(0.0, left_s), self._calm_down)
        self._on_change()

    async def run(self) -> None:
        """Until cancelled. Reads the streams for as long, so the camera runs all the time."""
        if self._settings.mode == "off":
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        self._is_base = False
        card = self._card = Card(
            self._place, self._read_clock, lambda report: call_soon(loop, self._take_report, report)
        )
        card.start()
        try:
            while True:
                self._attach()
                self._follow()
                await asyncio.sleep(LOOK_S)
        finally:
            for stream in tuple(self._attached):
                self._attached.pop(stream).close()
            self._cancel_calm()
            for cause in tuple(self._causes):
                self.end(cause, now_us())
            self._cancel_calm()
            for track in self._tracks.values():
                track.stop()
            with contextlib.suppress(RuntimeError):
                await asyncio.shield(loop.run_in_executor(None, card.close))

    def _attach(self) -> None:
        """Read the streams that are wanted now, and no others."""
        wanted = tuple(self._wanted())
        gone = [stream for stream in self._attached if stream not in wanted]
        for stream in wanted:
            if stream not in self._attached:
                track = self._all_tracks[stream]
                reading = self._attached[stream] = ExitStack()
                reading.enter_context(self._sources[stream].keeping())
                reading.enter_context(self._sources[stream].reading(track))
                if self._is_base or self._causes or self._calm:
                    track.hurry(is_urgent=bool(self._causes))
                    track.begin(now_us())
        for stream in gone:  # last, so that the camera goes on
            self._attached.pop(stream).close()
        if tuple(self._tracks) != wanted:
            for stream in set(self._tracks) - set(wanted):
                self._all_tracks[stream].stop()
            self._tracks = {stream: self._all_tracks[stream] for stream in wanted}
            self._on_change()

    def _follow(self) -> None:
        """What time alone brings."""
        now = time.localtime()
        is_base = self._settings.mode == "continuous" or (
            self._settings.mode == "schedule"
            and any(hours.covers(now.tm_wday, now.tm_hour * 60 + now.tm_min) for hours in self._hours)
        )
        if is_base != self._is_base:
            self._is_base = is_base
            for track in self._tracks.values():
                if is_base:
                    track.begin(now_us())
                elif not self._causes and not self._calm:
                    track.end()
            self._on_change()
        for track in self._tracks.values():
            track.flush_stale(now_us())
        self._tell_hung()
        self._tell_recovery()
        self._tell_losses()

    def _calm_down(self) -> None:
        """The last cause is over, and what follows it is recorded."""
        self._calm = None
        for track in self._tracks.values():
            track.hurry(is_urgent=False)
            if not self._is_base:
                track.end()
        self._do(keep_for(Tier.CONTINUOUS, "", 0, 0))
        self._on_change()

    def _cancel_calm(self) -> None:
        if self._calm:
            self._calm.cancel()
        self._calm = None

    def _keep(self, since_us: int) -> None:
        """Say what the card's thread writes from now on is kept for."""
        if not self._causes:
            return
        worth = max(self._causes.values(), key=lambda one: (one.tier, one.at_us))
        event = next((one.event for one in reversed(self._causes.values()) if one.event), "")
        self._do(keep_for(worth.tier, event, since_us, now_us()))

    def _put(self, piece: Piece) -> bool:
        return self._card is not None and self._card.put(piece)

    def _do(self, act: Act) -> None:
        if self._card and not self._card.do(act) and self._faults.note(time.monotonic()):
            log.warning("the recordings' disk is too slow")

    @property
    def _lost(self) -> int:
        written = self._card.written.lost if self._card else 0
        return written + sum(track.lost for track in self._all_tracks.values())

    def _take_report(self, report: Report) -> None:
        before, self._report = self._report, report
        now_s = time.monotonic()
        if report.problem and not self._is_failure_told:
            self._is_failure_told = True
            kind: EventKind = "record-disk-full" if report.is_full else "record-failed"
            self._on_event(kind, f"Nothing is recorded: {report.problem}", {})
        elif before.problem and not report.problem:
            self._well_since_s = now_s
            self._keep(now_us())  # the writers are new
        index = self.index
        is_near = index and report.cap_bytes and index.locked_bytes > LOCKED_WARN_SHARE * report.cap_bytes
        if index and is_near and now_s - self._locked_told_s >= 24 * RARELY_S:
            self._locked_told_s = now_s
            share = index.locked_bytes * 100 // report.cap_bytes
            words = f"{share} % of the room for recordings is locked, and is never removed by itself"
            self._on_event("recordings-near-full", words, {"locked_mb": index.locked_bytes >> 20})
        if report.problem != before.problem:
            self._on_change()

    def _tell_hung(self) -> None:
        """Its thread, which says what fails, waits for the disk; once that answers, it says so."""
        words = self._card.hung() if self._card else ""
        if words and not self._report.problem:
            log.warning("nothing is recorded: %s", words)
            self._take_report(replace(self._report, problem=words))

    def _tell_recovery(self) -> None:
        is_well = not self._report.problem and time.monotonic() - self._well_since_s >= SETTLED_S
        if self._is_failure_told and is_well:
            self._is_failure_told = False
            self._on_event("record-recovered", "It is recorded again", {"lost": self._lost})

    def _tell_losses(self) -> None:
        """A card that is too slow, at most once an hour; one that fails has told."""
        lost, now_s = self._lost, time.monotonic()
        if self._report.problem or now_s - self._well_since_s < GRACE_S:
            self._lost_before = lost
        elif lost > self._lost_before and now_s - self._lost_told_s >= RARELY_S:
            words = f"{lost - self._lost_before} pictures were not recorded: the card is too slow"
            self._lost_told_s, self._lost_before = now_s, lost
            self._on_event("recordings-lost", words, {"lost": lost})


def _ring_bytes(most_bps: int, span_us: int) -> int:
    """Twice what the stream takes in that time, since an encoder is not held to its rate by the second."""
    return min(MAX_RING_BYTES, max(1 << 20, 2 * span_us * most_bps // 8_000_000))
