"""The stream on a bad link, in numbers and pictures: ours, headless Chromium's, stock aiortc's, in turn.

Chromium watches the dashboard behind an emulated uplink; all senders show the same footage. Plots go to
`.artifacts/bench/link-<scenario>.png`. A sender that did not send is a fault, and the exit code is 1.

What `scripts/bench simulated` also has goes by the same name there: jitter, policers, uploads and so on.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.arguments import above_zero, add_json, one_or_more, trace
from bench.figures import LEAST_S, columns, figures, middle
from bench.link_run import SENDERS, run
from bench.plots import plot
from bench.scenarios import SCENARIOS, SETTLE_S, recorded
from bench.scene import Scene, write
from netlab.link import missing as no_link
from netlab.namespaces import missing as no_lab
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

USUAL = ("ours", "chromium", "aiortc")
WIDTH = 190
"""In columns: a narrower terminal would cut the figures of the table."""
DIGITS = {
    "frozen": 1, "longest": 2, "fps": 1, "lost": 1, "SSIM": 3, "p5": 3, "85 %": 1,
}  # fmt: skip
PLOTS = Path(__file__).parents[2] / ".artifacts" / "bench"


async def main(options, console):
    chosen = _choose(options)
    jobs = [
        (scenario, number, sender)
        for scenario in chosen
        for number in range(options.rounds)
        for sender in options.sender or USUAL
    ]
    recordings, rows = {}, []
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="pinhole-bench-") as folder,
        Progress(*bars, console=console, transient=True) as progress,
    ):
        footage = write(Path(folder) / "footage.yuv")
        scene = Scene(footage)
        task = progress.add_task("", total=len(jobs))
        for scenario, number, sender in jobs:
            progress.update(task, description=f"{scenario.name}, {sender}")
            recording = await run(scenario, sender, footage, scene, logs=options.logs)
            recordings.setdefault(scenario.name, []).append(recording)
            rows.append({"round": number + 1, **figures(recording)})
            if not console.is_terminal:
                print(json.dumps(rows[-1]), flush=True)
            progress.advance(task)
    for name, those in recordings.items():
        if played := [one for one in those if one.viewings]:
            plot(played, options.plots / f"link-{name}.png")
    show(rows, console)
    console.print(f"plots: {options.plots}/link-*.png")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return any(row["fault"] for row in rows)


def _choose(options):
    every = {one.name: one for one in SCENARIOS}
    traces = [recorded(path) for path in options.trace or ()]
    if options.scenario:
        chosen = [every[name] for name in options.scenario]
    else:
        chosen = [] if traces else [one for one in SCENARIOS if options.long or not one.is_long]
    return [_shortened(one, options.seconds) for one in chosen + traces]


def _shortened(scenario, seconds):
    if seconds is None:
        return scenario
    changes = tuple(change for change in scenario.changes if change[0] < seconds)
    return replace(scenario, seconds=seconds, changes=changes)


def show(rows, console):
    """The tables: of several rounds the medians, and below them from the least to the greatest."""
    viewers, steps = {}, {}
    for row in rows:
        run = row["scenario"], row["sender"]
        for index in (i for i, one in enumerate(row["viewers"]) if "fault" not in one):
            name = run if index == 0 else ("", f"viewer {index + 1}")
            viewers.setdefault((*run, index), (name, []))[1].append(columns(row, index))
        for one in row["phases"]:
            name = f"{run[0]}, {one['from_s']:g} s, {one['rate_bps'] / 1e6:g} Mb/s", run[1]
            figures_of = {
                "settled\n%": 100 * one["settled"],
                "85 %\nafter s": one["reached_s"],
                "queue p95\nms": one["queue_p95_ms"],
            }
            steps.setdefault(name, (name, []))[1].append(figures_of)
    _print(
        console,
        viewers,
        "The stream on the link, after the first 5 s",
        "used: received of the capacity; delay: stamp in the picture to frame callback; frozen as Chromium "
        "counts, longest: between two pictures; queue: of each packet at the bottleneck; lost: of all on the "
        "uplink; made: pictures of those due, sent or not; TCP: an upload beside; media: without repairs; "
        "SSIM against the source",
    )
    _print(
        console,
        steps,
        "Steps",
        "settled: of the rate, from 5 s after a step up and 1 s after a step down; no time: never",
    )
    for row in rows:
        if row["fault"]:
            console.print(
                f"{row['scenario']}, {row['sender']}, round {row['round']}: {row['fault']}", style="red"
            )


def _print(console, groups, title, caption):
    """`groups`: ((scenario, sender), runs), by what they have in common."""
    if not groups:
        return
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    names = next(iter(groups.values()))[1][0]
    for name in ("scenario", "sender", *names):
        table.add_column(name, justify="right" if name in names else "left", no_wrap=True)
    for name, runs in groups.values():
        found = middle(runs)
        table.add_row(*name, *(_text(key, one and one[:1]) for key, one in found.items()))
        if len(runs) > 1:
            ranges = (_text(key, one and one[1:]) for key, one in found.items())
            table.add_row("", f"of {len(runs)}", *ranges, style="dim")
    console.print(table)


def _text(name, values):
    """One number, or the two of a range."""
    digits = DIGITS.get(name.split("\n")[0], 0)
    return "-".join(dict.fromkeys(f"{value:.{digits}f}" for value in values or ()))


def beyond_settling(text):
    """Seconds of a run of which some count."""
    seconds = above_zero(text)
    if seconds < SETTLE_S + LEAST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is less than {SETTLE_S + LEAST_S:g}, of which one counts")
    return seconds


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench link", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in SCENARIOS]
    parser.add_argument(
        "--scenario",
        action="extend",
        nargs="+",
        choices=names,
        metavar="NAME",
        help=f"of {', '.join(names)}; else all but the long ones",
    )
    parser.add_argument(
        "--sender",
        action="extend",
        nargs="+",
        choices=list(SENDERS),
        help=f"else {', '.join(USUAL)}; no-parity is ours without FEC, l4s ours with ECT(1)",
    )
    parser.add_argument(
        "--rounds", type=one_or_more, default=1, help="of all senders in turn, in each scenario"
    )
    parser.add_argument(
        "--seconds",
        type=beyond_settling,
        help=f"of each run, instead of the scenario's own; the first {SETTLE_S:g} do not count",
    )
    parser.add_argument(
        "--trace",
        type=trace,
        action="extend",
        nargs="+",
        metavar="FILE",
        help="recorded links in mahimahi's format; alone, or beside the scenarios that are named",
    )
    parser.add_argument("--long", action="store_true", help="with the scenarios that take ten minutes")
    add_json(parser)
    parser.add_argument("--plots", type=Path, default=PLOTS, metavar="FOLDER")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep what the devices said")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    terminal = Console(width=max(WIDTH, Console().width))
    if reason := no_lab() or no_link():
        terminal.print(f"link: {reason}", style="red")
        raise SystemExit(2)
    raise SystemExit(int(asyncio.run(main(arguments, terminal))))
