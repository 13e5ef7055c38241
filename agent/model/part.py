"""A part of the agent that may fail alone: whatever ends it, camera and broker go on."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from agent.model.pauses import Pauses
from agent.model.sections import GnssSection, ModemSection

log = logging.getLogger(__name__)

MAX_PAUSE_S = 60.0


class Part:
    """One, begun anew after each end."""

    def __init__(
        self, name: str, run: Callable[[], Coroutine[Any, Any, None]], on_change: Callable[[], None]
    ) -> None:
        """`run` may be called again once it has ended; `on_change` says the sections anew."""
        self.name = name
        self.problem = ""
        """Why it does not run; empty while it does."""
        self._run, self._on_change = run, on_change

    async def run(self) -> None:
        """Until cancelled."""
        loop, pauses = asyncio.get_running_loop(), Pauses(MAX_PAUSE_S)
        while True:
            began_s = loop.time()
            try:
                await self._run()
                why = "it returned"
            except Exception as exc:
                log.exception(f"{self.name} has failed")
                why = f"{type(exc).__name__}: {exc}"
            pause_s = pauses.after(loop.time() - began_s)
            log.warning(f"{self.name} begins anew in {pause_s:g} s: {why}")
            self._tell(f"{self.name} of the agent has failed, and is begun anew: {why}")
            await asyncio.sleep(pause_s)
            self._tell("")

    def _tell(self, problem: str) -> None:
        self.problem = problem
        self._on_change()


def told(section: Callable[[], Any], parts: Iterable[Part]) -> Any:
    """A section, with why one of its parts does not run. A head or a modem then says by itself what it is."""
    said, problem = section(), next((part.problem for part in parts if part.problem), "")
    match said:
        case ModemSection() if problem:
            return replace(said, reason=problem)
        case GnssSection() if problem:
            return replace(said, state="absent", problem=problem)
        case _:
            return said
