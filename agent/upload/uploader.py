"""Offers file after file to the portal, and sends them where it says. See `agent/model/upload.py`."""

import asyncio
import contextlib
import logging
import random
import sqlite3
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from agent.errors import PinholeError
from agent.model.command import CommandError, Order
from agent.model.event import EventKind
from agent.model.network_fault import network_fault
from agent.model.pauses import Pauses
from agent.model.signal import Detail
from agent.model.threads import HungCallError, call_in_thread
from agent.model.upload import Upload, Uploaded, UploadNote, UploadSection
from agent.upload.conditions import Why
from agent.upload.parcel import MARGIN_S, Kept, Parcel, Part
from agent.upload.sending import LIMIT_S, Answer, FileGoneError, HaltedError, Pace, Sending, parse_url

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""Between two looks whether it may send."""
IDLE_S = 10.0
"""Between two looks for a file, while there is none."""
COUNT_S = 30.0
"""Between two counts of what waits."""
SILENT_S = 60.0
"""A portal that gives no URL for so long has no store, or cannot reach it."""
MAX_PAUSE_S = 300.0
"""Between two tries of a store that takes nothing."""
DISK_S = 20.0
STUCK_S = 6 * 3600.0
"""An event tells of a store that took nothing in so much time in which it might have."""
RARELY_S = 3600.0
"""Between two events that say the same."""
REFUSED_S = 600.0
"""A file for which the portal gives nothing for so long makes way: it may refuse this one alone."""
PASSED_S = 3600.0
MAX_PASSED, MAX_FAULTS = 64, 5
"""A file that the store refused so often is left alone for an hour, and so many at a time are."""

T = TypeVar("T")
OnEvent = Callable[[EventKind, str, dict[str, Detail]], None]


class Shelf(Protocol):
    """What is recorded, of what is to be sent. Blocks; raises sqlite3.Error, OSError, PinholeError."""

    @property
    def folder(self) -> Path: ...
    def next_kept(self, but: tuple[int, ...]) -> Kept | None:
        """The most wanted, but for these."""

    def is_kept(self, number: int) -> bool:
        """Whether it is still there."""

    def waiting(self) -> tuple[int, int]:
        """Files and bytes."""

    def note_uploaded(self, number: int) -> None:
        """The store has it."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the agent gives an uploader."""

    open_shelf: Callable[[], Shelf | None]
    """None while the recordings' folder cannot be used."""
    why_not: Callable[[], Why]
    """What is in the way of sending now."""
    missed: Callable[[], int]
    """Files that were removed before they were sent, since the start."""
    make_pace: Callable[[], Pace]
    on_sent: Callable[[int], None]
    """Counts bytes for the data plan."""
    on_event: OnEvent
    on_change: Callable[[], None]
    """Says the section anew."""
    keep_note: Callable[[UploadNote], None]


class Uploader:
    """For the event loop."""

    def __init__(
        self,
        means: Means,
        *,
        allow_http: bool,
        known: UploadNote | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._means, self._allow_http, self._clock, self._jitter = means, allow_http, clock, jitter
        self._origin, self._sent_at = (known.origin, known.sent_at) if known else ("", 0.0)
        self._parcel: Parcel | None = None
        self._sending: Sending | None = None
        self._done: Kept | None = None
        """The portal says that the store has it, and the index does not know yet."""
        self._why: Why = "disk"
        self._problem = ""
        self._waiting = (0, 0)
        self._is_idle = False
        """There was nothing to send when the index was last asked."""
        self._counted_s = self._missed_told_s = -RARELY_S
        self._sent = self._missed_told = 0
        self._offered_s = self._retry_s = self._turned_s = self._stuck_s = 0.0
        self._is_stuck_told = False
        self._faults = 0
        self._pauses = Pauses(MAX_PAUSE_S)
        self._passed: dict[int, float] = {}
        self._woken = asyncio.Event()
        self._tls: ssl.SSLContext | None = None
        self._told: UploadSection | None = None

    def section(self) -> UploadSection:
        """What the device's state says of it."""
        files, size_bytes = self._waiting
        made = partial(
            UploadSection,
            problem=self._problem[:500],
            waiting=files,
            waiting_bytes=size_bytes,
            sent=self._sent,
            missed=self._means.missed(),
        )
        parcel = self._parcel
        if self._why not in ("", "store"):
            return made(state="waiting", why=self._why)
        if parcel is None:
            return made(state="idle" if self._is_idle else "sending")
        state = "waiting" if self._why else "sending"
        now_s = self._clock()
        return made(state=state, why=self._why, next=parcel.told(), want=parcel.wanted(now_s))

    def look(self) -> None:
        """Something may have come in the way, as a viewer: what is being sent is cut off at once."""
        if self._sending and self._means.why_not():
            self._sending.halt()
        self._woken.set()

    def take(self, _order: Order, wish: Upload) -> None:
        """The command `upload`. Raises CommandError."""
        parcel = self._checked(wish.file, wish.bytes)
        try:
            self._take(parcel, wish)
        except CommandError as exc:  # the portal would give the same again: a person has to know
            self._problem, self._why = str(exc), "store"
            self._woken.set()
            raise

    def _take(self, parcel: Parcel, wish: Upload) -> None:
        if not parcel.has([*wish.have, *(part.number for part in wish.parts)]):
            raise CommandError("unknown-part", "this file has fewer parts")
        for part in wish.parts:
            try:
                url = parse_url(part.url)
            except ValueError as exc:
                raise CommandError("bad-url", str(exc)) from None
            self._origin = f"{url.scheme}://{url.netloc}"[:500]
            if url.scheme != "https" and not self._allow_http:
                raise CommandError("not-https", "this camera sends by https alone: record.upload.allow_http")
        life_s = wish.expires_unix_s - time.time()
        if life_s <= MARGIN_S and wish.parts:
            raise CommandError("expired", "by this camera's clock these URLs are good no more: is it right?")
        parcel.take(wish.parts, wish.have, self._clock() + life_s)
        self._offered_s = self._clock()
        if parcel.lost >= MAX_FAULTS:  # it would be sent for ever, and use up the data plan
            self._fail("the store has not what it took")
            self._retry_s = self._clock() + PASSED_S
            self._pass(parcel, f"{wish.file}: {self._problem}")
        self._woken.set()

    def finish(self, _order: Order, wish: Uploaded) -> None:
        """The command `uploaded`. Raises CommandError."""
        self._done = self._checked(wish.file, wish.bytes).kept
        self._parcel = None
        if self._sending:
            self._sending.halt()
        self._woken.set()

    def _note(self) -> UploadNote:
        said = self.section()
        return UploadNote(said.why, said.problem, said.waiting, self._origin, self._sent_at)

    async def run(self) -> None:
        """Until cancelled."""
        self._turned_s = self._clock()
        try:
            while True:
                self._woken.clear()
                pause_s = await self._turn()
                self._tell_missed()
                self._tell()
                self._means.keep_note(self._note())
                if pause_s > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await self._woken.wait()
        finally:
            if self._sending:
                self._sending.halt()

    async def _turn(self) -> float:
        """One step; how long to wait then, unless something happens."""
        self._count_time()
        shelf = self._means.open_shelf()
        if shelf is None:  # the section `record` says why
            self._why, self._parcel = "disk", None
            return LOOK_S
        try:
            await self._note_done(shelf)
            await self._count(shelf)
            if why := self._means.why_not():
                self._why = why
                return LOOK_S
            if self._why not in ("", "store"):
                self._begin()
            return await self._step(shelf)
        except (PinholeError, OSError, sqlite3.Error) as exc:
            log.warning("recordings cannot be sent: %s", exc)
            self._why, self._parcel = "disk", None
            return LOOK_S

    def _begin(self) -> None:
        """Nothing is in the way any more."""
        self._why, self._offered_s = "", self._clock()

    async def _step(self, shelf: Shelf) -> float:
        if self._parcel and not await _in_thread(partial(shelf.is_kept, self._parcel.kept.id)):
            self._parcel = None  # it was removed meanwhile
        if self._parcel is None and not await self._choose(shelf):
            self._why, self._is_idle = "", True
            if not self._passed:  # nothing waits that it could keep waiting
                self._problem = ""
            return IDLE_S
        parcel, now_s = self._parcel, self._clock()
        assert parcel is not None
        if now_s < self._retry_s:
            return min(self._retry_s - now_s, LOOK_S)
        if part := parcel.next_part(now_s):
            self._tell()
            await self._send(shelf.folder, parcel, part)
            return 0.0
        if now_s - self._offered_s > SILENT_S and not self._why:
            self._why = "store"
            self._problem = self._problem or "the portal gives no URL: it has no store, or cannot reach it"
        if now_s - self._offered_s > REFUSED_S and await self._has_another(shelf, parcel):
            self._leave(parcel)
            return 0.0
        return LOOK_S

    async def _has_another(self, shelf: Shelf, parcel: Parcel) -> bool:
        but = (*self._passed, parcel.kept.id)
        return await _in_thread(partial(shelf.next_kept, but)) is not None

    async def _choose(self, shelf: Shelf) -> bool:
        now_s = self._clock()
        self._passed = {number: until_s for number, until_s in self._passed.items() if now_s < until_s}
        kept = await _in_thread(partial(shelf.next_kept, tuple(self._passed)))
        if kept is None:
            return False
        self._parcel, self._faults, self._offered_s, self._is_idle = Parcel(kept), 0, now_s, False
        return True

    async def _send(self, folder: Path, parcel: Parcel, part: Part) -> None:
        if self._means.why_not():  # since the index was asked
            return
        kept = parcel.kept
        self._sending = sending = Sending(
            folder / kept.name, kept.size_bytes, part, self._means.make_pace(), self._tls_context
        )
        try:
            answer = await call_in_thread("upload", LIMIT_S, sending.run)
        except HaltedError:
            return
        except FileGoneError as exc:
            self._pass(parcel, f"{kept.name}: {exc}")
        except HungCallError:
            sending.abandon()
            self._fail("the store is too slow")
        except OSError as exc:
            self._fail(f"the store: {network_fault(exc)}")
        else:
            self._take_answer(parcel, part, answer)
        finally:
            sending.halt()
            self._sending = None
            self._means.on_sent(sending.sent_bytes)

    def _take_answer(self, parcel: Parcel, part: Part, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            parcel.note_sent(part.number)
            self._offered_s = self._clock()
            self._be_well()
            return
        if answer.code == "NoSuchUpload":
            parcel.begin_anew()
        elif answer.status < 500:  # what the store would not take there again
            parcel.drop_url(part.number)
        self._fail(f"the store refuses: {answer.status} {answer.code}".rstrip())
        if answer.status < 500:
            self._faults += 1
            if self._faults >= MAX_FAULTS:
                self._pass(parcel, self._problem)

    def _be_well(self) -> None:
        self._problem, self._why, self._stuck_s, self._retry_s, self._faults = "", "", 0.0, 0.0, 0
        self._pauses = Pauses(MAX_PAUSE_S)
        if self._is_stuck_told:
            self._is_stuck_told = False
            self._means.on_event("upload-recovered", "Recordings are sent again", {})

    def _fail(self, words: str) -> None:
        if words != self._problem:
            log.warning("a recording was not sent: %s", words)
        self._problem, self._why = words, "store"
        now_s = self._clock()
        pause_s = self._pauses.after(0.0) * (0.5 + self._jitter())  # half a fleet comes back later
        self._retry_s = now_s + min(pause_s, MAX_PAUSE_S)

    def _pass(self, parcel: Parcel, words: str) -> None:
        log.warning("a recording is left alone: %s", words)
        self._leave(parcel)

    def _leave(self, parcel: Parcel) -> None:
        """Alone, for a while."""
        self._passed[parcel.kept.id] = self._clock() + PASSED_S
        while len(self._passed) > MAX_PASSED:
            self._passed.pop(next(iter(self._passed)))
        if self._parcel is parcel:
            self._parcel = None

    async def _note_done(self, shelf: Shelf) -> None:
        if done := self._done:
            await _in_thread(partial(shelf.note_uploaded, done.id))
            self._sent += 1
            self._done, self._sent_at = None, time.time()
            self._counted_s = -RARELY_S
            self._be_well()

    async def _count(self, shelf: Shelf) -> None:
        now_s = self._clock()
        if now_s - self._counted_s >= COUNT_S:
            self._counted_s = now_s
            self._waiting = await _in_thread(shelf.waiting)

    def _count_time(self) -> None:
        """How long the store has taken nothing, while it might have."""
        now_s = self._clock()
        if self._why == "store" and self._parcel:
            self._stuck_s += now_s - self._turned_s
        self._turned_s = now_s
        if self._stuck_s >= STUCK_S and not self._is_stuck_told:
            self._is_stuck_told = True
            words = f"Nothing was sent to the store in {STUCK_S / 3600:g} hours: {self._problem}"
            self._means.on_event("upload-failed", words[:500], {"waiting": self._waiting[0]})

    def _tell_missed(self) -> None:
        """What was removed before it was sent: it is nowhere any more."""
        now_s, missed = self._clock(), self._means.missed()
        self._missed_told = min(self._missed_told, missed)  # a recorder that begins anew counts from 0
        if missed > self._missed_told and now_s - self._missed_told_s >= RARELY_S:
            count, self._missed_told, self._missed_told_s = missed - self._missed_told, missed, now_s
            words = f"{count} recordings were removed before they were sent to the store"
            self._means.on_event("upload-missed", words, {"files": count, "why": self._why})

    def _tell(self) -> None:
        if (section := self.section()) != self._told:
            self._told = section
            self._means.on_change()

    def _checked(self, file: str, size_bytes: int) -> Parcel:
        parcel = self._parcel
        if parcel is None or not parcel.is_of(file, size_bytes):
            raise CommandError("unknown-file", "this camera does not offer this file, or not any more")
        return parcel

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def _in_thread(call: Callable[[], T]) -> T:
    return await call_in_thread("upload-index", DISK_S, call)
