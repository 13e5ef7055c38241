"""What the service manager is told: ready, how we are, alive, stopping (sd_notify(3))."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping

from agent.device.vitals import Verdict
from agent.model.text import printable

log = logging.getLogger(__name__)

INTERVAL_S = 10.0
"""How often the status is looked at, where no watchdog asks for more."""
BEATS = 3
"""In each watchdog interval, so that one that is late costs nothing."""
MAX_STATUS = 500


class Heartbeat:
    """Feeds the watchdog while `look` says that the agent is alive; else it only logs."""

    def __init__(self, look: Callable[[], Verdict], environ: MutableMapping[str, str] = os.environ) -> None:
        self._look = look
        self._address = environ.pop("NOTIFY_SOCKET", "")  # the programs that we start shall not speak for us
        self._interval_s = _interval_s(environ)
        self._was_alive = True
        self._words = ""

    async def run(self) -> None:
        """Say that we are ready, then how we are, until cancelled."""
        await asyncio.sleep(0)  # the tasks that were made with this one have begun
        self._tell("READY=1")
        while True:
            self.beat()
            await asyncio.sleep(self._interval_s)

    def beat(self) -> None:
        """Look once, and tell."""
        verdict = self._look()
        if verdict.is_alive != self._was_alive:
            log.log(logging.INFO if verdict.is_alive else logging.ERROR, f"watchdog: {verdict.words}")
            self._was_alive = verdict.is_alive
        lines = ["WATCHDOG=1"] if verdict.is_alive else []
        if verdict.words != self._words:
            self._words = verdict.words
            one_line = " ".join(printable(verdict.words).split())  # a line feed would begin another field
            lines.append(f"STATUS={one_line[:MAX_STATUS]}")
        if lines:
            self._tell("\n".join(lines))

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the zero byte of Linux's abstract names (unix(7)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(message.encode(), address)
        except OSError as exc:
            log.warning(f"the service manager cannot be told {message.partition('=')[0]}: {exc}")


def _interval_s(environ: Mapping[str, str]) -> float:
    """From the watchdog that is meant for this process (sd_watchdog_enabled(3))."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
    if not usec.isdecimal() or int(usec) == 0 or pid != str(os.getpid()):
        return INTERVAL_S
    return min(INTERVAL_S, int(usec) / 1e6 / BEATS)
