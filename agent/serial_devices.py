"""Builds every part of the agent that hangs on a serial wire, and wires them. No logic of its own.

A room's module is imported where the settings name its device: without any nothing is loaded, opened or
logged.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from agent.config import Settings
from agent.device.commands import Handler
from agent.device.ledger import Ledger
from agent.model.event import EventKind
from agent.model.sections import ReadSection
from agent.model.signal import Detail, Result

if TYPE_CHECKING:
    from agent.serial.ptz.desk import Channel

OnEvent = Callable[[EventKind, str, dict[str, Detail]], None]
OpenStick = Callable[[str, str, Callable[[], bool], Callable[[str], None]], "Channel | None"]
"""`open(session, user, may_control, send)`; None where this viewer may not, or there is nothing to move."""


class SerialDevices:
    """What the settings name, and nothing else."""

    def __init__(
        self,
        settings: Settings,
        on_event: OnEvent,
        on_change: Callable[[], None],
        tell: Callable[[str, Result], None],
    ) -> None:
        """`on_change` says the sections again; `tell` has the portal note what a viewer had us do."""
        self._settings, self._on_event, self._on_change = settings, on_event, on_change
        self.sections: dict[str, ReadSection] = {}
        self.handlers: dict[str, Handler] = {}
        """By command of the table in `agent/model/command.py`."""
        self._parts: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self.open_stick: OpenStick = lambda *_: None
        """For a viewer that would move the head."""
        if settings.ptz.port is not None:
            self._add_ptz(tell)

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs beside the camera, each until cancelled, and by name."""
        for name, run in self._parts:
            yield name, run()

    async def stop(self) -> None:
        """What moves stands still, before anything else of the agent ends; each part has a deadline."""
        for stop in self._stops:
            await stop()

    def _add_ptz(self, tell: Callable[[str, Result], None]) -> None:
        from agent.serial.ptz.memory import Memory  # noqa: PLC0415
        from agent.serial.ptz.wiring import build  # noqa: PLC0415

        ptz = build(
            self._settings.ptz,
            Ledger(self._settings.device.state_dir / "ptz.json", TypeAdapter(Memory)),
            clock=time.monotonic,
            tell=tell,
            on_change=self._on_change,
            on_event=self._on_event,
        )
        self.sections["ptz"] = ptz.desk.section
        self.handlers |= ptz.orders.handlers()
        self.open_stick = ptz.desk.open
        self._parts.append(("ptz", ptz.runner.run))
        self._stops.append(ptz.runner.stop)
