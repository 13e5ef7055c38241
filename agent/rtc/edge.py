"""The edge between the network and the libraries: what they raise about a packet ends here."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

LOG_INTERVAL_S = 1.0


class Refusals:
    """Counts what was dropped; says so at most once a second, whatever comes in."""

    def __init__(self, what: str) -> None:
        self.count = 0
        self._what = what
        self._said_s = -LOG_INTERVAL_S

    def note(self, reason: object) -> None:
        """One more."""
        self.count += 1
        now_s = time.monotonic()
        if now_s - self._said_s >= LOG_INTERVAL_S:
            self._said_s = now_s
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
