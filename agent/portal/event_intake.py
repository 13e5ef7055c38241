"""Takes in what cameras tell, writes it in the background, and then says to each what is kept.

A camera tells an event again until it hears that, so whatever fails here loses nothing. Nothing is confirmed
that the store has not, but for an event that it can never take: that one would come for ever.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy.orm import Session

from agent.errors import MessageError
from agent.model.event import Events
from agent.model.log_limit import LogLimit
from agent.model.signal import BareEvent
from agent.portal import events
from agent.portal.events import Kept
from agent.portal.rate_limit import MinuteLimit
from agent.portal.store import Store, StoreError, ValueRefusedError

MAX_QUEUED, MAX_OF_DEVICE, MAX_BARE = 512, 2, 64
"""Messages, of 64 KiB at most: in all, of one camera, which has one under way where it is sound, and of one
that tells each event by itself, all at once when its link is back."""
MAX_PRESENCES = 20_000
BATCH = 32
"""Messages in one transaction; as many confirmations go to the broker at once."""
PAUSE_S = 0.05
MESSAGES_PER_MINUTE = 120
"""Of one camera; a sound one tells 60 while it catches up. So none fills the store before it is pruned."""
RETRY_S = 5.0
PRUNE_INTERVAL_S = 60.0
IDLE_S = 3600.0
"""Where nothing happens, what is too old goes as well."""
NEWS_S = 600.0
"""What is older is for the page of events, not for who looks at the cameras now."""
MAX_SEEN = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    device: str
    events: tuple[Kept, ...]
    confirm: tuple[str, ...]


class EventIntake:
    """Belongs to one event loop."""

    def __init__(
        self,
        store: Store,
        confirm: Callable[[str, tuple[str, ...]], object],
        show: Callable[[Kept], None],
        clock: Callable[[], float] = time.time,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        """`confirm(device, ids)` says so to the device; `show` is for who looks at it now, once an event.

        `on_written` is called when there may be something new in the store.
        """
        self._store = store
        self._confirm = confirm
        self._show = show
        self._clock = clock
        self._on_written = on_written
        self._queue: OrderedDict[int, _Told] = OrderedDict()
        self._number = 0
        self._of_device: Counter[str] = Counter()
        self._limit = MinuteLimit(MESSAGES_PER_MINUTE)
        self._presences: dict[str, tuple[bool, bool, float]] = {}
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._to_prune: set[str] = set()
        self._prune_at_s = 0.0
        self._wake = asyncio.Event()
        self._faults = LogLimit(60.0)

    def on_events(self, device: str, message: Events) -> None:
        """What a device's journal holds. Raises MessageError `too-fast` where too much waits here."""
        now = self._clock()
        kept = tuple(events.kept_of(device, event, message.said_at, now) for event in message.events)
        self._put(_Told(device, kept, tuple(event.id for event in message.events)))

    def on_bare_event(self, device: str, event: BareEvent, digest: str) -> None:
        """What an agent without a journal says; `digest` is the message's own. Raises as `on_events`."""
        self._put(_Told(device, (events.kept_bare(device, event, digest, self._clock()),), ()))

    def on_presence(self, device: str, *, is_online: bool, is_first: bool) -> None:
        """A device came or went, or is seen for the first time since this portal started."""
        if device in self._presences or len(self._presences) < MAX_PRESENCES:
            self._presences[device] = is_online, is_first, self._clock()
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                await self._write_some()
            except StoreError as exc:
                if self._faults.note(time.monotonic()):
                    log.warning("events wait at the cameras: %s", exc)
                await asyncio.sleep(RETRY_S)
                continue
            except Exception:  # the portal serves all the same
                if self._faults.note(time.monotonic()):
                    log.exception("events wait at the cameras, by a fault of ours")
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.sleep(PAUSE_S)
            if self._queue or self._presences:
                continue
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._wake.wait()

    def _put(self, told: _Told) -> None:
        most = MAX_OF_DEVICE if told.confirm else MAX_BARE
        is_full = len(self._queue) >= MAX_QUEUED or self._of_device[told.device] >= most
        if is_full or not self._limit.admits(told.device, time.monotonic()):
            raise MessageError("too-fast", f"events of {told.device} wait to be written")
        self._number += 1
        self._queue[self._number] = told
        self._of_device[told.device] += 1
        self._wake.set()

    async def _write_some(self) -> None:
        numbers = list(self._queue)[:BATCH]
        batch = [self._queue[number] for number in numbers]
        presences = dict(list(self._presences.items())[: BATCH * 4])
        prune = set[str]()
        if time.monotonic() >= self._prune_at_s:
            self._prune_at_s = time.monotonic() + PRUNE_INTERVAL_S
            prune |= self._to_prune
        work = partial(_write, presences=presences, prune=prune, now=self._clock())
        try:
            await self._store.run(partial(work, told=batch))
        except ValueRefusedError:  # one device's fault shall not hold up the others
            await self._store.run(partial(work, told=[]))
            batch = [await self._write_alone(told) for told in batch]
        for number in numbers:
            told = self._queue.pop(number)
            self._of_device[told.device] -= 1
        self._of_device += Counter()  # forgets those who have none
        for device, noted in presences.items():
            if self._presences.get(device) == noted:
                del self._presences[device]
        self._on_written()
        self._to_prune -= prune
        self._to_prune |= presences.keys()
        for told in batch:
            self._after(told)

    async def _write_alone(self, told: _Told) -> _Told:
        """What of it is kept: one bad event takes none of its neighbours along."""
        if await self._takes(told.events):
            return told
        kept = [event for event in told.events if await self._takes([event])]
        refused = [event.event_id for event in told.events if event not in kept]
        if refused:
            log.warning("the database refuses events of %s: %s", told.device, ", ".join(refused))
        return replace(told, events=tuple(kept))

    async def _takes(self, new: Sequence[Kept]) -> bool:
        try:
            await self._store.run(partial(events.add, new=new))
        except ValueRefusedError:
            return False
        return True

    def _after(self, told: _Told) -> None:
        self._to_prune.add(told.device)
        if told.confirm:
            self._confirm(told.device, told.confirm)
        for event in told.events:
            key = event.device, event.event_id
            is_news = event.kind != events.ENDED and event.received_at - event.at < NEWS_S
            if key not in self._seen and is_news:
                self._show(event)
            self._seen[key] = None
            self._seen.move_to_end(key)
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)


def _write(
    db: Session,
    told: list[_Told],
    presences: dict[str, tuple[bool, bool, float]],
    prune: set[str],
    now: float,
) -> None:
    # In one order for all portals, so that none waits for another in a ring.
    events.add(db, [event for each in sorted(told, key=lambda one: one.device) for event in each.events])
    for device, (is_online, is_first, at) in sorted(presences.items()):
        events.add_presence(db, device, is_online=is_online, is_first=is_first, now=at)
    events.prune(db, sorted(prune), now)
