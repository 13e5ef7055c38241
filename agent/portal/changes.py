"""Hears from PostgreSQL (LISTEN) that another program changed something: a portal at rest need not ask.

That is hearsay. Notifications are lost with their connection, behind a pooler that shares connections out by
transaction, and where somebody dropped the trigger. So the connection is proven again and again by a
notification of our own, and then it is asked for changes too; while it is not proven, everybody asks.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from agent.errors import PortalError

PROOF_S = 30.0
"""Between two proofs: what is lost unseen is found out this late, ..."""
PROOF_TIMEOUT_S = 5.0
"""... and as much later as a notification may take."""
RETRY_S = 5.0
EVENT = "event"
"""What is said where something happened at a camera, which is no change of a device."""

Tell = Callable[[str], Awaitable[int | None]]
"""Says a channel's name on it; returns the revision, which grows with each change. Raises PortalError."""

log = logging.getLogger(__name__)


class ListenError(PortalError):
    """The connection that listens cannot be opened, or is lost."""


class Listener(Protocol):
    """A connection that listens; none of its methods waits."""

    fileno: int
    """Readable when there is something to take."""

    def take(self) -> list[str]:
        """What each notification says that has come. Raises ListenError when the connection is lost."""

    def close(self) -> None:
        """End it."""


class Changes:
    """Counts what was heard. For the event loop's thread."""

    def __init__(self, open_listener: Callable[[str], Awaitable[Listener]]) -> None:
        """`open_listener` takes a channel to hear beside the one of changes; it raises PortalError."""
        self._open = open_listener
        self._token = secrets.token_hex(8)
        self._count = 0
        self._revision: int | None = None
        self._is_proven = self._was_warned = False
        self._on_event: Callable[[], None] = lambda: None
        self._lost, self._heard = asyncio.Event(), asyncio.Event()

    def version(self) -> int | None:
        """Another number after a change; None while it is not known whether there was one."""
        return self._count if self._is_proven else None

    async def run(self, tell: Tell, on_event: Callable[[], None] = lambda: None) -> None:
        """Listen until cancelled. `on_event()`: there is one, or one may have been missed, or may be now."""
        self._on_event = on_event
        while True:
            try:
                listener = await self._open(self._token)
                try:
                    await self._prove_while_open(listener, tell)
                finally:
                    self._set_proven(is_proven=False)
                    listener.close()
            except PortalError as exc:
                log.log(
                    logging.DEBUG if self._was_warned else logging.WARNING,
                    "changes by other portals are asked for every second, since PostgreSQL cannot tell: %s",
                    exc,
                )
                self._was_warned = True
            await asyncio.sleep(RETRY_S)

    async def _prove_while_open(self, listener: Listener, tell: Tell) -> None:
        """Raises PortalError, once it cannot be proven any more."""
        loop = asyncio.get_running_loop()
        self._lost.clear()
        self._revision = None  # nobody heard what changed before
        loop.add_reader(listener.fileno, self._take, listener)
        try:
            while not self._lost.is_set():
                await self._prove(tell)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROOF_S - loop.time() % PROOF_S):  # in step with the others
                        await self._lost.wait()
            raise ListenError("the connection was lost")
        finally:
            loop.remove_reader(listener.fileno)

    async def _prove(self, tell: Tell) -> None:
        self._heard.clear()
        try:
            async with asyncio.timeout(PROOF_TIMEOUT_S):
                revision = await tell(self._token)
                await self._heard.wait()
        except TimeoutError:
            raise ListenError("no notification comes through") from None
        if self._lost.is_set():
            return
        self._set_proven(is_proven=True)
        self._was_warned = False
        if revision != self._revision:  # also where its notification was lost
            self._revision = revision
            self._count += 1

    def _set_proven(self, *, is_proven: bool) -> None:
        was_proven, self._is_proven = self._is_proven, is_proven
        if was_proven != is_proven:
            self._on_event()

    def _take(self, listener: Listener) -> None:
        try:
            said = listener.take()
        except ListenError as exc:
            log.debug("%s", exc)
            asyncio.get_running_loop().remove_reader(listener.fileno)
            self._set_proven(is_proven=False)
            self._lost.set()
            self._heard.set()
            return
        for word in said:
            if word == self._token:
                self._heard.set()
            elif word == EVENT:
                self._on_event()
            else:
                self._count += 1
