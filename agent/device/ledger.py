"""A small record that survives restarts and power cuts, and spares the SD card."""

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from agent.model.disk import write_whole

T = TypeVar("T")

WRITE_INTERVAL_S = 60.0
"""At most one write in this time: 4 KiB a minute is nothing to a card, one a second wears it out."""

log = logging.getLogger(__name__)


class Ledger(Generic[T]):
    """One value in one file; each write replaces the whole file at once (rename(2))."""

    def __init__(
        self,
        path: Path,
        adapter: TypeAdapter[T],
        defer: Callable[[Callable[[], None]], object] = lambda write: write(),
    ) -> None:
        """`defer` runs a write elsewhere: a card may take a second for it, or hang. One at a time."""
        self._path = path
        self._adapter = adapter
        self._defer = defer
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._written: T | None = None
        self._newest: T | None = None
        """What is being written, or after that."""
        self._is_at_work = False
        self._tried_s: float | None = None

    def load(self) -> T | None:
        """What the disk has, or None. A damaged file is put aside, to be looked at.

        Keys that a newer release wrote are left out: who goes back to this one keeps the rest.
        """
        self._written = None
        try:
            self._written = self._adapter.validate_json(self._path.read_bytes(), extra="ignore")
        except FileNotFoundError:
            pass
        except OSError as exc:
            log.warning("%s cannot be read: %s", self._path, exc)
        except ValidationError as exc:
            aside = self._path.with_suffix(".damaged")
            log.warning("%s cannot be read and is now %s: %s", self._path, aside.name, exc)
            with contextlib.suppress(OSError):
                self._path.replace(aside)
        return self._written

    def keep(self, value: T, now_s: float, *, is_urgent: bool = False) -> None:
        """Write where it differs and the last write is long enough ago, or soon where urgent."""
        if value == (self._newest if self._is_at_work else self._written):
            if not self._is_at_work:  # what the disk did not take before that is not wanted any more
                self._newest = value
        elif is_urgent or not self._is_early(now_s):
            self._newest = value
            self._begin(now_s)

    def try_again(self, now_s: float) -> None:
        """Write what the disk did not take: now and then, for who keeps a value once."""
        if self._newest not in (None, self._written) and not self._is_early(now_s):
            self._begin(now_s)  # which writes the newest: by then it may be another

    def _is_early(self, now_s: float) -> bool:
        return self._tried_s is not None and now_s - self._tried_s < WRITE_INTERVAL_S

    def _begin(self, now_s: float) -> None:
        self._tried_s = now_s
        with self._turn:
            is_idle, self._is_at_work = not self._is_at_work, True
        if is_idle:
            self._defer(self._work)

    def _work(self) -> None:
        """Until the newest is written: what came meanwhile waits here, and not in threads of its own."""
        try:
            while not self._is_done(self._write_newest()):
                pass
        except BaseException:
            self._is_at_work = False
            raise

    def _is_done(self, tried: T | None) -> bool:
        with self._turn:
            self._is_at_work = self._newest is not tried
            return not self._is_at_work

    def write(self, value: T) -> None:
        """Write now. A disk that is full or read-only is told in the log."""
        self._newest = value
        self._write_newest()

    def _write_newest(self) -> T | None:
        """What was tried: whoever writes writes the newest, so that no older one comes after it."""
        with self._lock:
            value = self._newest
            if value is None or value == self._written:
                return value
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._path, self._adapter.dump_json(value) + b"\n")
                self._written = value
            except OSError as exc:
                log.warning("%s cannot be written: %s", self._path, exc)
            return value
