"""What the agent costs a Raspberry Pi Zero 2 W: its start, its rest and each viewer.

Valgrind counts instructions here, which load does not bend, and one assumed rate turns them into the board's
time: an estimate, which no board has confirmed. At rest two counts differ by more than there is to count, and
CPU time is taken. The kernel's work is not seen, nor the camera's encoder, which is hardware on that board.
Takes four minutes, and more beside load.
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
from bench.programs import CACHEGRIND, ZERO_2W_INSTRUCTIONS_S, ZERO_2W_SLOWER, Tree, instructions, name_builds
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

ASSUMED = (
    f"assumed, not measured on a board: {ZERO_2W_INSTRUCTIONS_S / 1e6:.0f} million instructions a second, "
    f"and at rest a core {ZERO_2W_SLOWER} times slower than here; viewers until a core is {FULL:.0%} full"
)


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


def estimate(start, rest_ms, viewers):
    """What instructions and milliseconds counted here are on the board, and by which assumptions."""
    rest = rest_ms / 1000 * ZERO_2W_SLOWER
    shares = {name: count / ZERO_2W_INSTRUCTIONS_S for name, count in viewers.items()}
    return {
        "assumed": {
            "instructions_a_second": ZERO_2W_INSTRUCTIONS_S,
            "times_slower_at_rest": ZERO_2W_SLOWER,
            "full_share": FULL,
        },
        "start_s": round(start / ZERO_2W_INSTRUCTIONS_S, 1),
        "rest_share": round(rest, 4),
        "viewer_share": {name: round(share, 4) for name, share in shares.items()},
        "most_viewers": {name: int((FULL - rest) / share) for name, share in shares.items()},
    }


def main(arguments):
    """The figures, and the table."""
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not here: `apt install valgrind`")
    tree, console, viewers = Tree("ours"), Console(), {}
    name_builds(console, [tree])
    console.print("a start, and a minute and a half at rest …")
    start, rest_ms = of_agent(tree)
    with tempfile.TemporaryDirectory(prefix="pinhole-board-") as folder:
        for name, bitrate_bps in STREAMS.items():
            console.print(f"viewers of {name} …")
            viewers[name] = of_viewer(tree, Path(folder), bitrate_bps)
    estimated = estimate(start, rest_ms, viewers)
    show(console, start, rest_ms, viewers, estimated)
    if arguments.json:
        found = {"start": start, "rest_ms_a_second": round(rest_ms, 2)}
        found |= {name: round(count) for name, count in viewers.items()}
        arguments.json.write_text(json.dumps(found | {"estimate": estimated}, indent=2) + "\n")


def show(console, start, rest_ms, viewers, estimated):
    """The table."""
    table = Table("", "here", "on a Zero 2 W, estimated", caption=ASSUMED)
    table.add_row("start", _millions(start), f"{estimated['start_s']} s")
    table.add_row("at rest, a second", f"{rest_ms:.2f} ms of CPU", _share(estimated["rest_share"]))
    for name, count in viewers.items():
        most = f"{_share(estimated['viewer_share'][name])}; at most {estimated['most_viewers'][name]} of them"
        table.add_row(f"a viewer of {name}, a second", _millions(count), most)
    console.print(table)


def _millions(count):
    return f"{count / 1e6:.0f} million instructions"


def _share(part):
    return f"{100 * part:.1f} % of a core"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench board", description=__doc__)
    add_json(parser)
    main(parser.parse_args())
