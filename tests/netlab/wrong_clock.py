"""`python -m netlab.wrong_clock FILE ARGUMENTS`: the agent, its clock wrong by the seconds in the file.

Time namespaces leave CLOCK_REALTIME alone, so Python's clock is stepped; the monotonic one runs on.
"""

import runpy
import sys
import time
from pathlib import Path

_NS_PER_S = 1_000_000_000
_right_s, _right_ns = time.time, time.time_ns


def step(file: Path, wrong_by_s: int) -> None:
    """Have the agent's clock be wrong by so much from now on.

    The agent reads the file for each picture: it finds the old one or the new one, and never an empty one,
    at which the camera would stop.
    """
    beside = file.with_suffix(".new")
    beside.write_text(str(wrong_by_s))
    beside.replace(file)


def run(file: Path, arguments: list[str]) -> None:
    """Run the agent; `step` may change the file at any time."""
    time.time = lambda: _right_s() + float(file.read_text())
    time.time_ns = lambda: _right_ns() + int(float(file.read_text()) * _NS_PER_S)
    sys.argv = ["agent", *arguments]
    runpy.run_module("agent", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
