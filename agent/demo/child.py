"""A program of ours as a child process that never outlives the demo."""

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from agent.errors import PinholeError
from agent.model.text import printable

MAX_LINE_BYTES = 64 * 1024
LAST_LINES = 20
TERM_S = 0.5
KILL_S = 0.5
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a child gets when its parent dies."""
LOG_LINE = re.compile(r"^\S+ \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) (\S+): ")
TOLD = "agent.camera.select"
"""The logger that says which camera was chosen, and why: of interest also where all is well."""

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Child:
    """`python -m agent COMMAND --config FILE`, with its output read and its end noticed."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    @classmethod
    async def start(cls, name: str, command: str, config: Path) -> Self:
        """Start it in a session of its own: Ctrl-C is the supervisor's to pass on, in order."""
        parent = os.getpid()

        def die_with_parent() -> None:
            _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before the call
                os._exit(1)

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", command, "--config", str(config)),
            cwd=config.parent,  # `-m` looks here first, and in it is no module
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
            start_new_session=True,
            preexec_fn=die_with_parent,  # no thread of ours runs yet, and prctl takes no lock
        )
        return cls(name, process)

    async def follow(self, say: Callable[[str], None]) -> None:
        """Pass its warnings on, and raise PinholeError with its last lines when it ends."""
        assert self._process.stdout is not None
        loud = False
        while True:
            try:
                raw = await self._process.stdout.readline()
            except ValueError:  # longer than MAX_LINE_BYTES; asyncio has dropped it
                continue
            if not raw:
                break
            line = printable(raw.decode(errors="replace").rstrip())
            self._last.append(line)
            loud = is_loud(line, after_loud=loud)
            if loud:
                say(f"{self.name}: {line}")
        code = await self._process.wait()
        lines = "\n  ".join(["", *self._last])
        raise PinholeError(f"the {self.name} ended with exit code {code}; its last lines:{lines}")

    async def stop(self, grace_s: float) -> None:
        """SIGINT, then SIGTERM, then SIGKILL; takes at most `grace_s` + TERM_S + KILL_S."""
        for number, wait_s in ((signal.SIGINT, grace_s), (signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), wait_s)
                return


def is_loud(line: str, *, after_loud: bool) -> bool:
    """Whether a person needs to see this line; a line of a traceback goes with the one above."""
    found = LOG_LINE.match(line)
    if not found:
        return after_loud
    return found[1] not in ("DEBUG", "INFO") or found[2] == TOLD
