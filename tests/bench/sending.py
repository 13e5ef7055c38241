"""What sending costs, by measures that other programs hardly disturb: 1080p30 at 3.8 Mb/s, replayed exactly.

Instructions of our own code and the libraries, by valgrind; calls of Python functions; how often the process
wakes; CPU time with warm caches, and with cold ones as after every sleep. With another checkout as --base
both are measured in turn, and the table says whether they send the same.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.arguments import one_or_more
from bench.programs import CACHEGRIND, ZERO_2W_INSTRUCTIONS_S, add_arguments, instructions, name_builds, trees
from rich.console import Console
from rich.table import Table

WARM_FRAMES, FRAMES = 150, 300
"""What happens in the first five seconds, while the estimate climbs, does not count."""

ASSUMED = (
    f"Zero 2 W: of a core that does {ZERO_2W_INSTRUCTIONS_S / 1e6:.0f} million instructions a second: "
    "assumed, not measured on a board"
)


def replay(tree, *arguments, frames=FRAMES, under=()):
    """What one run of the tree's own `replay.py` prints, and what valgrind says of it."""
    do, viewers, *others = map(str, arguments)
    done = subprocess.run(
        [*under, tree.root / ".venv/bin/python", "tests/bench/replay.py", do, viewers, str(frames), *others],
        cwd=tree.root,
        env=os.environ | {"PYTHONPATH": ".:tests", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"the replay of {tree.root} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout), done.stderr


def instructions_a_packet(tree, viewers, trace):
    """Of a packet once the estimate has climbed: the difference of two runs."""
    counts = []
    for frames in (WARM_FRAMES, FRAMES):
        found, words = replay(tree, "play", viewers, trace, frames=frames, under=CACHEGRIND)
        counts.append((instructions(words), found["packets"]))
    (early, few), (late, many) = counts
    return round((late - early) / (many - few))


def measure(tree, viewers, folder, arguments):
    """One row; the CPU times are filled in by rounds."""
    trace = folder / f"{tree.name}-{viewers}"
    found, _ = replay(tree, "record", viewers, trace)
    if found["arrived"] != found["packets"] or found["frames"] != viewers * FRAMES:
        sys.exit(f"{tree.name}: not all that was made has arrived: {found}")
    row = {"hash": found["hash"], "trace": str(trace), "µs warm": [], "µs cold": []}
    found, _ = replay(tree, "play", viewers, trace, "--skip", WARM_FRAMES, "--calls")
    row["calls a frame and viewer"] = round(found["calls_a_frame_and_viewer"], 1)
    row["wake-ups/s"] = found["wakes_a_second"]
    row["packets/s"] = round(found["packets_a_second"], 1)
    if arguments.instructions:
        row["instructions a packet"] = instructions_a_packet(tree, viewers, trace)
        instructions_s = row["instructions a packet"] * row["packets/s"]
        row["Zero 2 W"] = f"{100 * instructions_s / ZERO_2W_INSTRUCTIONS_S:.1f} %"
    return row


def main(arguments):
    """Every tree and number of viewers, the CPU times in turn."""
    if arguments.instructions and not shutil.which("valgrind"):
        sys.exit("valgrind is not here: `apt install valgrind`, or measure with --no-instructions")
    both = trees(arguments.base)
    name_builds(Console(), both)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="pinhole-sending-") as folder:
        for viewers in arguments.viewers:
            for tree in both:
                rows[viewers, tree.name] = measure(tree, viewers, Path(folder), arguments)
            for _ in range(arguments.rounds):
                for tree in both:
                    row = rows[viewers, tree.name]
                    for name, options in (("µs warm", []), ("µs cold", ["--cold"])):
                        found, _ = replay(
                            tree, "play", viewers, row["trace"], "--skip", WARM_FRAMES, *options
                        )
                        row[name].append(round(found["us_a_packet"], 1))
    show(rows, arguments)


def show(rows, arguments):
    """The table; of CPU times the least, which others disturbed least."""
    names = ["calls a frame and viewer", "wake-ups/s", "µs warm", "µs cold"]
    if arguments.instructions:
        names = ["instructions a packet", "Zero 2 W", *names]
    is_alone = all(name == "ours" for _, name in rows)
    table = Table(
        "viewers",
        "",
        *names,
        *(() if is_alone else ("bytes",)),
        caption=ASSUMED if arguments.instructions else None,
    )
    for (viewers, name), row in rows.items():
        del row["trace"]
        cells = [str(min(value) if isinstance(value := row[one], list) else value) for one in names]
        if not is_alone:
            cells.append("the same" if row["hash"] == rows[viewers, "ours"]["hash"] else "others")
        table.add_row(str(viewers), name, *cells)
    Console().print(table)
    if arguments.json:
        found = {f"{name}, {viewers} viewers": row for (viewers, name), row in rows.items()}
        arguments.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench sending", description=__doc__)
    parser.add_argument("--viewers", type=one_or_more, nargs="+", default=[1, 8])
    parser.add_argument("--no-instructions", dest="instructions", action="store_false", help="no valgrind")
    add_arguments(parser)
    main(parser.parse_args())
