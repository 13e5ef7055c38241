"""What the agent costs a Raspberry Pi Zero 2 W: its start, its rest and each viewer.

Valgrind counts instructions here, which load does not bend, and one assumed rate turns them into the board's
time. At rest two counts differ by more than there is to count, and CPU time is taken. The kernel's work is
not seen, nor the camera's encoder, which is hardware on that board.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.arguments import add_json
from bench.programs import CACHEGRIND, ZERO_2W_INSTRUCTIONS_S, ZERO_2W_SLOWER, Tree, instructions
from bench.replay import FPS
from bench.rest import measure
from bench.sending import FRAMES, WARM_FRAMES, replay
from parts.fleet_broker import fleet
from parts.stack import stop_program
from rich.console import Console
from rich.table import Table

SETTLE_S, REST_S = 30, 60
"""The doctor's visit and the first clean-up are over by then."""
VIEWERS = 4
STREAMS = {"1080p30, 3.8 Mb/s": 3_800_000, "720p30, 2 Mb/s": 2_000_000}
FULL = 0.6
"""Of a core: one thread serves all viewers, and needs the rest for the kernel, keyframes and repairs."""


def of_agent(tree):
    """Instructions of a start, and milliseconds of CPU time a second at rest."""
    command = [tree.root / ".venv/bin/python", "-m", "compileall", "-q", "agent"]
    subprocess.run(command, cwd=tree.root, check=True)  # as a device has it
    with fleet() as one:
        one.enroll("still", one.claim())
        stop_program(one.portal)
        config = one.camera("still")
        with tree.running("run", config, under=CACHEGRIND) as agent:
            agent.send_signal(signal.SIGUSR1)  # ends it where it is: to close is no part of the figure
            agent.wait()
        start = instructions(tree.log("run", config).read_text())
        with tree.running("run", config) as agent:
            rest_ms, *_ = measure(agent, SETTLE_S, REST_S)
    return start, rest_ms


def of_viewer(tree, folder, bitrate_bps):
    """Instructions of a second of one of several viewers, once the estimate has climbed."""
    trace, options = folder / str(bitrate_bps), ("--bitrate", bitrate_bps)
    replay(tree, "record", VIEWERS, trace, *options)
    early, late = (
        instructions(replay(tree, "play", VIEWERS, trace, *options, frames=frames, under=CACHEGRIND)[1])
        for frames in (WARM_FRAMES, FRAMES)
    )
    return (late - early) * FPS / (FRAMES - WARM_FRAMES) / VIEWERS


def main(arguments):
    """The figures, and the table."""
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not here: `apt install valgrind`")
    tree = Tree("ours")
    start, rest_ms = of_agent(tree)
    rest = rest_ms / 1000 * ZERO_2W_SLOWER
    found = {"start": start, "rest_ms_a_second": round(rest_ms, 2)}
    table = Table("", "here", "on a Zero 2 W", title="estimated")
    table.add_row("start", _millions(start), f"{start / ZERO_2W_INSTRUCTIONS_S:.1f} s")
    table.add_row("at rest, a second", f"{rest_ms:.2f} ms of CPU", _share(rest))
    with tempfile.TemporaryDirectory(prefix="pinhole-board-") as folder:
        for name, bitrate_bps in STREAMS.items():
            viewer = of_viewer(tree, Path(folder), bitrate_bps)
            found[name] = round(viewer)
            share = viewer / ZERO_2W_INSTRUCTIONS_S
            table.add_row(
                f"a viewer of {name}, a second",
                _millions(viewer),
                f"{_share(share)}; {int((FULL - rest) / share)} viewers",
            )
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def _millions(count):
    return f"{count / 1e6:.0f} million instructions"


def _share(part):
    return f"{100 * part:.1f} % of a core"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench board", description=__doc__)
    add_json(parser)
    main(parser.parse_args())
