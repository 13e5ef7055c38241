"""Exports by command: one at a time, in a thread, and found again by who fetches them."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.model.command import CommandError
from agent.model.export import Exported, ExportWanted
from agent.model.threads import call_in_thread
from agent.record.export import About, Export, Exporter, ExportError, Seal
from agent.record.index import Index

MOST_S = 900.0
"""Three times what a slow card takes to read and to write the most that there may be."""


class Exports:
    """Of what a recorder keeps."""

    def __init__(
        self,
        read_index: Callable[[], Index | None],
        about: About,
        seal: Seal,
        min_free_bytes: int,
        max_bytes: int | None = None,
    ) -> None:
        """`read_index` gives None while the recordings' folder cannot be used."""
        self._read_index, self._about, self._seal = read_index, about, seal
        self._min_free_bytes, self._max_bytes = min_free_bytes, max_bytes
        self._turn = asyncio.Lock()

    async def make(self, wanted: ExportWanted) -> Exported:
        """Export a span. Raises CommandError."""
        if self._turn.locked():
            raise CommandError("busy", "another export is being made: try again when it is done")
        async with self._turn:
            exporter, is_wanted = self._exporter(), threading.Event()
            is_wanted.set()
            make = partial(_make, exporter, wanted, is_wanted.is_set)
            try:
                return _told(await call_in_thread("export", MOST_S, make))
            except ExportError as exc:
                raise CommandError("not-exported", str(exc)) from exc
            except (OSError, sqlite3.Error) as exc:
                raise CommandError("disk", f"the recordings' disk fails: {exc}") from exc
            finally:
                is_wanted.clear()

    def find(self, number: str) -> Path | None:
        """Where an export is, while it is there."""
        index = self._read_index()
        return Exporter(index, self._about, self._seal, 0).find(number) if index else None

    def _exporter(self) -> Exporter:
        index = self._read_index()
        if index is None:
            raise CommandError("no-recordings", "nothing is recorded here: `record.mode` says whether it is")
        return Exporter(index, self._about, self._seal, self._min_free_bytes, max_bytes=self._max_bytes)


def _make(exporter: Exporter, wanted: ExportWanted, is_wanted: Callable[[], bool]) -> Export:
    exporter.tidy()
    return exporter.make(wanted.stream, wanted.from_at, wanted.until_at, is_wanted)


def _told(export: Export) -> Exported:
    parts = export.manifest.parts
    return Exported(
        export.id, export.size_bytes, export.sha256, parts[0].since, parts[-1].until, len(parts) - 1
    )
