"""Ends the agent, or has the device reboot, a moment after it was asked for, so that the answer leaves."""

import logging
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.model.command import CommandError

log = logging.getLogger(__name__)

PAUSE_S = 1.0
"""The answer has left by then, on a link that is alive."""
SOONEST_S = 450.0
"""systemd gives up after ten starts in an hour: commands alone never make so many."""
REBOOT_UNIT = Path("/usr/lib/systemd/system/pinhole-reboot.path")


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


Later = Callable[[float, Callable[[], None]], object]
"""`later(seconds, act)`, as `loop.call_later`."""


class Power:
    """What only the service manager can do for an agent that is not root."""

    def __init__(
        self,
        later: Later,
        uptime_s: Callable[[], float],
        environ: Mapping[str, str],
        unit: Path = REBOOT_UNIT,
        end: Callable[[], None] = _end,
    ) -> None:
        """`uptime_s` says for how long the agent has run; `end` has it close in order."""
        self._later, self._end, self._uptime_s = later, end, uptime_s
        self._is_service = bool(environ.get("INVOCATION_ID"))  # systemd.exec(5)
        folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._folder = Path(folder) if folder else None
        self._unit = unit

    def restart_agent(self) -> None:
        """Systemd starts it again. Raises CommandError."""
        if not self._is_service:
            raise CommandError("no-service", "it was started by hand: nobody would start it again")
        if (up_s := self._uptime_s()) < SOONEST_S:
            wait_s = SOONEST_S - up_s
            raise CommandError("too-soon", f"it started {up_s:.0f} s ago: wait {wait_s:.0f} s more")
        self._later(PAUSE_S, self._end)

    @property
    def can_reboot(self) -> bool:
        """Somebody reboots for us."""
        return self._folder is not None and self._unit.exists()

    def reboot(self, pause_s: float = PAUSE_S) -> None:
        """`pinhole-reboot.path` sees our file after this pause. Raises CommandError."""
        if not self.can_reboot:
            words = f"nobody here reboots for the agent: {self._unit.name} is missing"
            raise CommandError("no-service", words)
        self._later(pause_s, self._ask)

    def _ask(self) -> None:
        assert self._folder is not None
        try:
            (self._folder / "reboot").write_text("")
        except OSError as exc:
            log.error(f"cannot ask for a reboot: {exc}")  # noqa: TRY400  its words say it all
