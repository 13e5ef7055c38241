"""Agent and portal of this tree or of another one, as processes, and what they use. Linux alone."""

import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parts.stack import ROOT, await_log, stop_program

ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""A device's release is compiled: what is measured must not be Python's compiler."""


@dataclass(frozen=True)
class Tree:
    """A checkout with an environment of its own, made by `scripts/env`."""

    name: str
    root: Path = ROOT

    @contextmanager
    def running(self, command, config):
        """`pinhole COMMAND --config CONFIG` of this tree, once it has reached its broker."""
        log = config.with_name(f"{command}-{self.name}.log")
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self.root / ".venv/bin/python", "-m", "agent", command, "--config", config],
                cwd=self.root, env=ENVIRON, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            await_log(log, r"connected to (\S+)", process)
            yield process
        finally:
            stop_program(process)


@dataclass(frozen=True)
class Usage:
    """What a process used since its start."""

    cpu_s: float
    wakeups: int
    """Voluntary context switches of all its threads."""
    at_s: float
    """On the monotonic clock."""


def usage(pid):
    """Of all threads that live."""
    cpu_ns = wakeups = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        cpu_ns += int((task / "schedstat").read_text().split()[0])
        wakeups += int(
            re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.MULTILINE)[1]
        )
    return Usage(cpu_ns / 1e9, wakeups, time.monotonic())


def pss_mib(pid):
    """Proportional set size: what is shared counts in part."""
    found = re.search(r"^Pss:\s*(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024


def add_arguments(parser):
    """What both measurements take."""
    parser.add_argument("--base", type=Path, metavar="FOLDER", help="another checkout, measured in turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")


def trees(base):
    """The one that measures, and the one to compare with."""
    return [Tree("ours")] + ([Tree("base", base.resolve())] if base else [])
