"""Builds the recorder, and hands `app.py` its commands, its work and its section."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from agent.camera.capture import Capture
from agent.config import Settings
from agent.control.stream import StreamControl
from agent.device.commands import Handler
from agent.device.journal import read_moment
from agent.media.packetizer import to_rtp_frame
from agent.media.stream import Stream
from agent.model.clock import now_us
from agent.model.command import CommandError
from agent.model.media import STREAMS, StreamName
from agent.model.part import Part
from agent.model.recording import (
    Locked,
    RecordedTime,
    RecordingsPage,
    RecordingsWanted,
    RecordNow,
    SheetWanted,
    ShownSheet,
)
from agent.model.signal import Result
from agent.model.threads import call_in_thread
from agent.pictures import Late
from agent.record.card import Place
from agent.record.cleaner import Bounds
from agent.record.index import Index
from agent.record.listing import lock, make_shown_sheet, page_of
from agent.record.playbacks import Playbacks, Shelf
from agent.record.recorder import OnEvent, Recorder, Source

MB, DAY_US = 1_000_000, 86_400_000_000
LOCK_S = SHEET_S = 20.0
BY_HAND = "command"


class Recordings:
    """What is kept on the device."""

    def __init__(
        self,
        settings: Settings,
        capture: Capture,
        streams: Mapping[StreamName, Stream],
        control: StreamControl,
        on_event: OnEvent,
        on_change: Callable[[], None],
        tell: Callable[[str, Result], None],
    ) -> None:
        """`tell` has the portal note what a viewer did."""
        record = settings.record
        self._settings, self._capture, self._control = settings, capture, control
        self.recorder = Recorder(
            record,
            _place(settings),
            {name: self._source(name, streams[name]) for name in _streams(settings)},
            _read_clock,
            on_event,
            on_change,
            lambda: wanted(settings, capture.expected_formats()),
        )
        self.section = self.recorder.section
        self.playbacks = Playbacks(Shelf(lambda: self.index), to_rtp_frame, tell)
        self._sheets, self._locking = asyncio.Lock(), asyncio.Lock()
        self._part = Part("recorder", self.recorder.run, on_change)
        self._by_hand: asyncio.TimerHandle | None = None

    @property
    def index(self) -> Index | None:
        """Of the folder, while it can be used."""
        return self.recorder.index

    def handlers(self, late: Late) -> dict[str, Handler]:
        """What each command of the table does here."""
        return {
            "recordings": lambda _, wish: self._page(wish),
            "record": lambda _, wish: self._record(wish),
            "lock": late(lambda _, wish: self._lock(wish, is_locked=True)),
            "sheet": late(lambda _, wish: self._sheet(wish)),
            **self.playbacks.handlers,
            "unlock": late(lambda _, wish: self._lock(wish, is_locked=False)),
        }

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs as long as the agent."""
        yield "recorder", self._part.run()

    def _source(self, name: StreamName, stream: Stream) -> Source:
        most_bps = self._capture.most_bps[name]
        wanted_bps = self._settings.record.unwatched_bitrate_bps if name == "main" else None
        bitrate_bps = min(most_bps, wanted_bps or most_bps)
        return Source(stream.reading, partial(self._control.keeping, name, bitrate_bps), most_bps)

    def _page(self, wish: RecordingsWanted) -> RecordingsPage:
        return page_of(self._used_index(), wish)

    def _record(self, wish: RecordNow) -> None:
        self._used_index()
        if self._by_hand:
            self._by_hand.cancel()
            self._by_hand = None
        if not wish.seconds:
            self._end_by_hand()
            return
        self.recorder.begin(BY_HAND, now_us())
        self._by_hand = asyncio.get_running_loop().call_later(wish.seconds, self._end_by_hand)

    def _end_by_hand(self) -> None:
        self._by_hand = None
        self.recorder.end(BY_HAND, now_us())

    async def _lock(self, wish: RecordedTime, *, is_locked: bool) -> Locked:
        index, cap_bytes = self._used_index(), self.section().cap_bytes
        work = partial(lock, index, cap_bytes, wish, is_locked=is_locked)
        async with self._locking:  # each counts what the one before it has locked
            return await call_in_thread("lock", LOCK_S, work)

    async def _sheet(self, wish: SheetWanted) -> ShownSheet:
        index = self._used_index()
        async with self._sheets:  # one at a time: each decodes a dozen pictures
            return await call_in_thread("sheet", SHEET_S, partial(make_shown_sheet, index, wish))

    def _used_index(self) -> Index:
        if self._settings.record.mode == "off":
            raise CommandError("off", "this camera does not record: set record.mode=event or continuous")
        problem = self.section().problem
        if (index := self.index) is None:
            raise CommandError("no-disk", problem or "the recordings are not read yet: ask again in a moment")
        return index


def _streams(settings: Settings) -> tuple[StreamName, ...]:
    """Those that may be recorded: of a camera without a preview main is, whatever was asked for."""
    return ("main",) if settings.record.streams == "main" else STREAMS


def wanted(settings: Settings, has: Collection[StreamName]) -> tuple[StreamName, ...]:
    """Those that are."""
    asked = settings.record.streams
    return tuple(name for name in STREAMS if name in has and asked in (name, "both")) or ("main",)


def _place(settings: Settings) -> Place:
    record = settings.record
    bounds = Bounds(
        record.max_mb * MB if record.max_mb is not None else None,
        record.min_free_mb * MB,
        record.max_days * DAY_US or None,
    )
    folder = settings.recordings_folder
    boot = "".join(char for char in read_moment().machine_start if char in "0123456789abcdef")[:32].zfill(32)
    return Place(folder.absolute(), record.own_partition, bounds, boot)


def _read_clock() -> tuple[int, bool]:
    moment = read_moment()
    return int(moment.unix_s * 1e6) - now_us(), moment.is_clock_set
