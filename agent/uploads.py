"""Builds what sends recordings to a store, and hands `app.py` its commands, its work and its section."""

import math
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from agent.config import Settings
from agent.config.settings import RecordUploadSettings
from agent.control.allowance import DataAllowance
from agent.device.commands import Handler
from agent.device.journal import read_moment
from agent.device.ledger import Ledger
from agent.model.clock import EARLIEST_UNIX_S
from agent.model.command import CommandError, Order
from agent.model.hours import parse_hours
from agent.model.media import STREAMS, StreamName
from agent.model.part import Part
from agent.model.sections import ModemSection
from agent.model.threads import in_background
from agent.model.upload import NOTE, UploadNote, UploadSection
from agent.record.index import Index
from agent.record.segment import Segment, Tier
from agent.recordings import Recordings
from agent.rtc.give_way import GiveWay, Link
from agent.upload.conditions import Now, Rules, Why, why_not

if TYPE_CHECKING:
    from agent.upload.uploader import OnEvent, Uploader

MB = 1_000_000
SETTLED_S = 600.0
"""A clock that nobody has called right is taken for it so long after the machine's start."""


class Uploads:
    """What leaves the device by itself."""

    def __init__(
        self,
        settings: Settings,
        recordings: Recordings,
        allowance: DataAllowance | None,
        viewers: Callable[[], int],
        read_modem: Callable[[], ModemSection | None],
        on_event: "OnEvent",
        on_change: Callable[[], None],
    ) -> None:
        self._recordings, self._allowance = recordings, allowance
        self._viewers, self._read_modem = viewers, read_modem
        self._left_s = -math.inf
        """When the viewers last changed."""
        wanted = settings.record.upload
        self._rules = Rules(tuple(map(parse_hours, wanted.hours)), wanted.signal, _plan_bytes(settings))
        self._of = _Of(
            STREAMS if settings.record.streams == "preview" else ("main",),
            tuple(tier for tier in Tier if wanted.what == "all" or tier > Tier.CONTINUOUS),
        )
        self.handlers: dict[str, Handler] = {"upload": _no_upload, "uploaded": _no_upload}
        """What each command of the table does here."""
        self._origin = ""
        self._ledger = Ledger(settings.device.state_dir / NOTE, TypeAdapter(UploadNote), in_background)
        self._uploader: Uploader | None = None
        if wanted.what != "off":
            self._uploader = self._begin(wanted, on_event, on_change)
            self._part = Part("uploader", self._uploader.run, on_change)

    def section(self) -> UploadSection | None:
        """What the device's state says of it; None where nothing is to be sent."""
        if self._uploader is None:
            return None
        said = self._uploader.section()
        return replace(said, problem=self._part.problem[:500]) if self._part.problem else said

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs as long as the agent."""
        if self._uploader:
            yield "uploader", self._part.run()

    def on_viewers(self) -> None:
        """Somebody came to watch, or left."""
        if self._uploader:
            self._left_s = time.monotonic()
            self._uploader.look()

    def _begin(
        self, wanted: RecordUploadSettings, on_event: "OnEvent", on_change: Callable[[], None]
    ) -> "Uploader":
        from agent.upload.uploader import Means, Uploader  # noqa: PLC0415  most cameras send nothing

        means = Means(
            self._shelf,
            self._why_not,
            self._missed,
            partial(_Pace, wanted.max_bps),
            self._allowance.on_sent if self._allowance else lambda _: None,
            on_event,
            on_change,
            self._keep_note,
        )
        uploader = Uploader(means, allow_http=wanted.allow_http, known=self._ledger.load())
        self.handlers = {"upload": uploader.take, "uploaded": uploader.finish}
        return uploader

    def _keep_note(self, note: UploadNote) -> None:
        is_news, self._origin = note.origin != self._origin, note.origin
        self._ledger.keep(note, time.monotonic(), is_urgent=is_news)

    def _missed(self) -> int:
        unsent = self._recordings.recorder.unsent
        return sum(unsent.get((stream, tier), 0) for stream in self._of.streams for tier in self._of.tiers)

    def _shelf(self) -> "_Shelf | None":
        index = self._recordings.index
        return _Shelf(index, self._of) if index else None

    def _why_not(self) -> Why:
        local, moment = time.localtime(), read_moment()
        is_settled = moment.unix_s >= EARLIEST_UNIX_S and moment.up_s >= SETTLED_S
        modem = self._read_modem()
        now = Now(
            local.tm_wday,
            local.tm_hour * 60 + local.tm_min,
            moment.is_clock_set or is_settled,
            self._viewers(),
            time.monotonic() - self._left_s,
            modem.signal if modem and modem.state == "connected" else "",
            self._used_bytes(modem),
        )
        return why_not(self._rules, now)

    def _used_bytes(self, modem: ModemSection | None) -> int:
        """Of this month's data: what we sent, or where it counts, all that went through the modem."""
        sent_bytes = self._allowance.usage.sent_bytes if self._allowance else 0
        if modem is None or not modem.data_since:
            return sent_bytes
        return max(sent_bytes, (modem.sent_bytes or 0) + (modem.received_bytes or 0))


@dataclass(frozen=True, slots=True)
class _Of:
    """What is to be sent."""

    streams: tuple[StreamName, ...]
    tiers: tuple[Tier, ...]


class _Shelf:
    """An index, as the uploader sees it."""

    def __init__(self, index: Index, of: _Of) -> None:
        self.folder = index.folder
        self._index, self._of = index, of

    def next_kept(self, but: tuple[int, ...]) -> Segment | None:
        return self._index.unsent(self._of.streams, self._of.tiers, but)

    def is_kept(self, number: int) -> bool:
        return self._index.get(number) is not None

    def waiting(self) -> tuple[int, int]:
        return self._index.count_unsent(self._of.streams, self._of.tiers)

    def note_uploaded(self, number: int) -> None:
        self._index.note_uploaded(number)


class _Pace:
    """A file's rate beside the live picture, within the settings' bound."""

    def __init__(self, most_bps: int | None) -> None:
        self._most_bps, self._give_way = most_bps, GiveWay()

    def look(self, rtt_s: float | None) -> float:
        rate_bps = self._give_way.look(Link(rtt_s=rtt_s))
        return rate_bps if self._most_bps is None else min(rate_bps, self._most_bps)


def _plan_bytes(settings: Settings) -> int | None:
    cap_mb = settings.data_plan.monthly_cap_mb
    return None if cap_mb is None else cap_mb * MB * settings.record.upload.plan_percent // 100


def _no_upload(_order: Order, _wish: object) -> None:
    raise CommandError("unknown-file", "this camera sends nothing to a store: record.upload.what")
