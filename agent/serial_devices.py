"""Builds every part of the agent that hangs on a serial wire, and wires them. No logic of its own.

A room's module is imported where the settings name its device: without any nothing is loaded, opened or
logged.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from agent.config import Settings
from agent.device.commands import Handler
from agent.model.event import EventKind
from agent.model.sections import ReadSection
from agent.model.signal import Detail

OnEvent = Callable[[EventKind, str, dict[str, Detail]], None]


class SerialDevices:
    """What the settings name, and nothing else."""

    def __init__(self, settings: Settings, on_event: OnEvent, on_change: Callable[[], None]) -> None:
        """`on_change` says the sections again."""
        self._settings, self._on_event, self._on_change = settings, on_event, on_change
        self.sections: dict[str, ReadSection] = {}
        self.handlers: dict[str, Handler] = {}
        """By command of the table in `agent/model/command.py`."""
        self._parts: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._stops: list[Callable[[], Awaitable[None]]] = []

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs beside the camera, each until cancelled, and by name."""
        for name, run in self._parts:
            yield name, run()

    async def stop(self) -> None:
        """What moves stands still, before anything else of the agent ends; each part has a deadline."""
        for stop in self._stops:
            await stop()
