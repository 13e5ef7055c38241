"""Agent and portal of this tree or of another one, as processes, and what they use. Linux alone."""

import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.arguments import add_json, checkout, one_or_more
from parts.stack import ROOT, START_TIMEOUT_S, await_log, stop_program

ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""A device's release is compiled: what is measured must not be Python's compiler."""
ENVIRON["PYTHONHASHSEED"] = "0"  # or no two runs take the same number of instructions

CACHEGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
"""Counts instructions, of a start to 0.01 % the same each time."""
UNDER_TIMEOUT_S = 600.0
"""With it a start takes half a minute, and several beside load."""
ZERO_2W_INSTRUCTIONS_S = 450_000_000
"""Of Python and its libraries on a Cortex-A53 at 1 GHz, about: 0.45 a cycle, of two that it could issue (Arm
DDI 0500, it works in order). Assumed, and not measured on a board."""
ZERO_2W_SLOWER = 10
"""Than a server's core of today, about."""


def instructions(words):
    """What `CACHEGRIND` has counted, from what the process wrote to standard error."""
    return int(re.search(r"I +refs: +([\d,]+)", words)[1].replace(",", ""))


@dataclass(frozen=True)
class Tree:
    """A checkout with an environment of its own, made by `scripts/env`."""

    name: str
    root: Path = ROOT

    @property
    def python(self):
        """The interpreter's build, which the figures depend on."""
        command = [self.root / ".venv/bin/python", "-c", "import sys; print(sys.version)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def log(self, command, config):
        """The file that holds what the program says."""
        return config.with_name(f"{command}-{self.name}.log")

    @contextmanager
    def running(self, command, config, under=()):
        """`pinhole COMMAND --config CONFIG` of this tree, once it has reached its broker."""
        log = self.log(command, config)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*under, self.root / ".venv/bin/python", "-m", "agent", command, "--config", config],
                cwd=self.root, env=ENVIRON, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            await_log(log, r"connected to (\S+)", process, UNDER_TIMEOUT_S if under else START_TIMEOUT_S)
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
    parser.add_argument("--base", type=checkout, metavar="FOLDER", help="another checkout, measured in turn")
    parser.add_argument("--rounds", type=one_or_more, default=3)
    add_json(parser)


def trees(base):
    """The one that measures, and the one to compare with."""
    return [Tree("ours")] + ([Tree("base", base.resolve())] if base else [])


def name_builds(console, measured):
    """A line for each tree: another build of Python takes another number of instructions."""
    for tree in measured:
        console.print(f"{tree.name}: Python {tree.python}", markup=False, highlight=False, soft_wrap=True)
