"""The stream on a bad link, in numbers and pictures: ours, headless Chromium's, stock aiortc's, in turn.

Chromium watches the dashboard behind an emulated uplink; all senders show the same footage. Plots go to
`.artifacts/bench/link-<scenario>.png`.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from bench.figures import figures
from bench.link_run import SENDERS, run
from bench.plots import plot
from bench.scenarios import SCENARIOS, recorded
from bench.scene import Scene, write
from netlab.link import missing as no_link
from netlab.namespaces import missing as no_lab
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

USUAL = ("ours", "chromium", "aiortc")
PLOTS = Path(__file__).parents[2] / ".artifacts" / "bench"


async def main(options, console):
    chosen = _choose(options)
    jobs = [(scenario, sender) for scenario in chosen for sender in options.sender or USUAL]
    recordings, rows = {}, []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="pinhole-bench-") as folder,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        footage = write(Path(folder) / "footage.yuv")
        scene = Scene(footage)
        task = progress.add_task("", total=len(jobs))
        for scenario, sender in jobs:
            progress.update(task, description=f"{scenario.name}, {sender}")
            recording = await run(scenario, sender, footage, scene, logs=options.logs)
            recordings.setdefault(scenario.name, []).append(recording)
            rows.append(figures(recording))
            if not console.is_terminal:
                print(json.dumps(rows[-1]), flush=True)
            progress.advance(task)
    for name, those in recordings.items():
        if played := [one for one in those if one.viewings]:
            plot(played, options.plots / f"link-{name}.png")
    console.print(_table(rows))
    if any(row["phases"] for row in rows):
        console.print(_phase_table(rows))
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
    return type(scenario)(
        **{name: getattr(scenario, name) for name in scenario.__slots__}
        | {"seconds": seconds, "changes": changes}
    )


def _table(rows):
    table = Table(
        title="The stream on the link, after the first 5 s",
        caption="used: received of the capacity; delay: stamp in the picture to frame callback; "
        "frozen as Chromium counts; queue: of each packet at the bottleneck; "
        "media: without repairs; SSIM against the source",
    )
    names = "used,delay p50,p95,freezes,frozen,fps,queue p95,media,repair,SSIM,p5,height"
    for column in ("scenario", "sender", *names.split(",")):
        table.add_column(column, justify="left" if column in ("scenario", "sender") else "right")
    for row in rows:
        if row["fault"]:
            table.add_row(row["scenario"], row["sender"], row["fault"], style="red")
            continue
        for index, one in enumerate(row["viewers"]):
            used = f"{100 * row['utilisation']:.0f} %" if index == 0 else ""
            first = (row["scenario"], row["sender"]) if index == 0 else ("", f"viewer {index + 1}")
            if "fault" in one:
                table.add_row(*first, one["fault"], style="red")
                continue
            table.add_row(
                *first, used, f"{one['delay_p50_ms']} ms", f"{one['delay_p95_ms']} ms", str(one["freezes"]),
                f"{one['frozen_s']} s", str(one["fps"]), f"{row['queue_p95_ms']} ms" if index == 0 else "",
                f"{one['media_bps'] / 1e3:.0f} kb/s", f"{(one['resent_bps'] + one['fec_bps']) / 1e3:.0f}",
                str(one["ssim"]), str(one["ssim_p5"]), str(one["height_px"]),
            )  # fmt: skip
    return table


def _phase_table(rows):
    table = Table(
        title="Steps", caption="settled: of the rate, from 5 s after a step up and 1 s after a step down"
    )
    for column in ("scenario", "sender", "from", "rate", "settled", "85 % after", "queue p95"):
        table.add_column(column, justify="left" if column in ("scenario", "sender") else "right")
    for row in rows:
        for one in row["phases"]:
            reached = "never" if one["reached_s"] is None else f"{one['reached_s']} s"
            table.add_row(
                row["scenario"], row["sender"], f"{one['from_s']:g} s", f"{one['rate_bps'] / 1e6:g} Mb/s",
                f"{100 * one['settled']:.0f} %", reached, f"{one['queue_p95_ms']} ms",
            )  # fmt: skip
    return table


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench link", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in SCENARIOS]
    parser.add_argument(
        "--scenario",
        action="append",
        choices=names,
        help="may be given several times; else all but the long ones",
    )
    parser.add_argument(
        "--sender",
        action="append",
        choices=list(SENDERS),
        help=f"may be given several times; else {', '.join(USUAL)}; no-parity is ours without FEC",
    )
    parser.add_argument("--seconds", type=float, help="of each run, instead of the scenario's own")
    parser.add_argument(
        "--trace", type=Path, action="append", metavar="FILE", help="a recorded link in mahimahi's format"
    )
    parser.add_argument("--long", action="store_true", help="with the scenarios that take ten minutes")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plots", type=Path, default=PLOTS, metavar="FOLDER")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep what the devices said")
    return parser.parse_args()


if __name__ == "__main__":
    terminal = Console(width=None if Console().is_terminal else 180)
    if reason := no_lab() or no_link():
        terminal.print(f"link: {reason}", style="red")
        raise SystemExit(2)
    raise SystemExit(int(asyncio.run(main(parse(), terminal))))
