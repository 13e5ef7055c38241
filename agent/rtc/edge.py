"""The edge between the network and the libraries: what they raise about a packet ends here."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent.model.log_limit import LogLimit

log = logging.getLogger(__name__)


class Refusals:
    """Counts what was dropped; says so at most once a second, whatever comes in."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._limit = LogLimit()

    @property
    def count(self) -> int:
        """How many were dropped."""
        return self._limit.count

    def note(self, reason: object) -> None:
        """One more."""
        if self._limit.note(time.monotonic()):
            log.info("%s dropped, %d so far: %.200r", self._what, self.count, reason)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Drop what a handler fails on. ConnectionError is the end of the session, and passes."""
        try:
            yield
        except ConnectionError:
            raise
        except Exception as exc:  # noqa: BLE001  the libraries' handlers raise anything at all
            self.note(exc)
