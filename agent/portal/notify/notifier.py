"""Tells people: has each event judged, takes what is due, sends it, and notes what became of it."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

from sqlalchemy.orm import Session

from agent.model.log_limit import LogLimit
from agent.model.tasks import TaskGroup
from agent.portal.accounts.access import CodeRule
from agent.portal.notify import deliveries
from agent.portal.notify.deliveries import LEASE_S, Outcome, Taken
from agent.portal.notify.matching import BATCH, judge_new
from agent.portal.notify.outside import ChannelError
from agent.portal.notify.words import Message, compose
from agent.portal.store import Store, StoreError

AT_ONCE = 8
"""Messages under way; of one channel, one."""
SEND_TIMEOUT_S = LEASE_S / 2
POLL_S = 10.0
"""How often to look for what another portal has left, where the database tells of nothing, ..."""
SAFETY_POLL_S = 300.0
"""... and where it tells: of its word alone, or if the clock was set anew."""
SHORTEST_S = 0.2
RETRY_S = 5.0
PRUNE_EVERY_S = 3600.0

log = logging.getLogger(__name__)


class Send(Protocol):
    """Carries a message by a channel. Raises ChannelError."""

    def __call__(self, taken: Taken, message: Message) -> Awaitable[None]: ...


class Notifier:
    """Belongs to one event loop. Any number of portals may run one on the same database."""

    def __init__(
        self,
        store: Store,
        send: Send,
        names: Callable[[], Mapping[str, str]],
        rule: CodeRule = "nobody",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`names()` are the cameras', as people see them; `rule` is who has to have a second factor."""
        self._store = store
        self._send = send
        self._names = names
        self._rule = rule
        self._clock = clock
        self._wake = asyncio.Event()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._faults = LogLimit(60.0)
        self._prune_at_s = 0.0
        self.base = ""
        """The portal's own address, for links; known when it listens."""
        self.sent = self.failed = self.waiting = 0

    def wake(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    async def run(self) -> None:
        """Tell until cancelled; what is under way then is told again when its lease is over."""
        async with TaskGroup() as group:
            try:
                while True:
                    # Before the look: what comes in between is seen next time.
                    version = self._store.version(sure=True)
                    await self._rest(await self._look(group), version)
            finally:
                for task in self._busy.values():
                    task.cancel()

    async def _look(self, group: TaskGroup) -> float:
        """Judge and take; returns for how many seconds there is nothing to do."""
        self._wake.clear()
        try:
            while await self._store.run(lambda db: judge_new(db, self._clock())) == BATCH:
                pass
            due_at = await self._take(group)
        except Exception as exc:  # noqa: BLE001  the portal serves all the same, and who is told waits
            if self._faults.note(time.monotonic()):
                _warn("nobody is told of anything for now", exc)
            return RETRY_S
        due_s = SAFETY_POLL_S if due_at is None else due_at - self._clock()
        return max(SHORTEST_S, min(SAFETY_POLL_S, due_s))

    async def _take(self, group: TaskGroup) -> float | None:
        prune = time.monotonic() >= self._prune_at_s
        free = AT_ONCE - len(self._busy)
        busy, now, lease = frozenset(self._busy), self._clock(), secrets.token_hex(16)

        def work(db: Session) -> tuple[list[Taken], float | None, int]:
            if prune:
                deliveries.prune(db, now)
            found = deliveries.take(db, now, lease, free, busy=busy, rule=self._rule) if free else []
            db.flush()
            return (
                found,
                deliveries.next_due(db, {*busy, *(one.channel for one in found)}),
                deliveries.waiting(db),
            )

        taken, due_at, self.waiting = await self._store.run(work)
        if prune:
            self._prune_at_s = time.monotonic() + PRUNE_EVERY_S
        for one in taken:
            task = group.create_task(self._tell(one), name=f"notification-{one.id}")
            self._busy[one.channel] = task
            task.add_done_callback(partial(self._on_told, one.channel))
        return due_at

    async def _rest(self, seconds: float, version: int | None) -> None:
        """Until somebody wakes us, something is due, or another program may have brought something about."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + seconds
        while True:
            is_told, left_s = self._store.hears, end_s - loop.time()
            # In step with all else that looks around now and then.
            wait_s = left_s if is_told else min(left_s, POLL_S - loop.time() % POLL_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            is_quiet = is_told or (version is not None and self._store.version(sure=True) == version)
            if self._wake.is_set() or not is_quiet or loop.time() >= end_s:
                return

    def _on_told(self, channel: int, _task: object) -> None:
        self._busy.pop(channel, None)
        self._wake.set()

    async def _tell(self, taken: Taken) -> None:
        outcome = await self._try(taken)
        if outcome.error:
            log.info("a %s message to %s was not taken: %s", taken.channel_kind, taken.owner, outcome.error)
        try:
            await self._store.run(lambda db: deliveries.finish(db, taken, outcome, self._clock()))
        except Exception as exc:  # noqa: BLE001  told again when the lease is over
            _warn("what became of a notification is not noted", exc)
        self.sent += not outcome.error
        self.failed += bool(outcome.error)

    async def _try(self, taken: Taken) -> Outcome:
        now = self._clock()
        try:
            message = compose(
                taken.id, taken.kind, taken.items, taken.more, self._names(), taken.zone, self.base, now
            )
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._send(taken, message)
        except TimeoutError:
            return Outcome(f"It took longer than {SEND_TIMEOUT_S:g} s.")
        except ChannelError as exc:
            return Outcome(str(exc), exc.retry_after_s, exc.is_final, exc.is_gone)
        except StoreError as exc:
            return Outcome(f"The portal's database does not answer: {exc}")
        except Exception as exc:  # noqa: BLE001  libraries meet an address with any error at all
            _warn(f"a {taken.channel_kind} message to {taken.owner} cannot be sent", exc)
            return Outcome("The portal cannot send it: its log says why.", is_final=True)
        return Outcome()


def _warn(what: str, exc: Exception) -> None:
    log.warning("%s: %s", what, exc, exc_info=None if isinstance(exc, StoreError) else exc)
