"""The congestion controller on simulated links: of every kind, or minutes of recorded ones.

Repeats exactly: it asks neither the network nor the clock.
"""

import argparse
import json

from bench.arguments import add_json, trace
from netlab.shape import Shape, read_trace
from rich.console import Console
from rich.table import Table
from unit.control.conditions import CONDITIONS, SETTLE_S, Condition

from agent.control.stream import START_BPS

WINDOW_S = 60
WINDOWS = 3
"""Of each recorded link, spread over it."""
SEEDS = (1, 2, 3)
WIDTH = 180
"""In columns: a narrower terminal would cut the figures of the table."""
LEGEND = (
    "Means over the seeds, of runs of a minute where the link says nothing else; keyframes, dropped and lost "
    f"of all of it, the others without the first {SETTLE_S:g} s. used: received of what the link carries, 1 "
    "is all; rival: a TCP upload beside; frozen, freezes: how long and how often no picture came when one "
    "was due; p50, p95: from capture to display; queue: at the bottleneck, 0 on a link without a fixed rate; "
    "dropped: pictures that were never sent; lost: of the packets, 1 is all"
)


def recorded(path):
    """Some minutes of a trace in mahimahi's format, or once the whole of a shorter one."""
    times = read_trace(path)
    lasts_ms = min(WINDOW_S * 1000, times[-1])
    spare_ms, seconds = times[-1] - lasts_ms, lasts_ms / 1000
    windows = {}
    for index in range(WINDOWS):
        start_ms = spare_ms * index // (WINDOWS - 1)
        cut = [at - start_ms for at in times if start_ms <= at < start_ms + lasts_ms]
        shape = Shape(trace=(*cut, lasts_ms), queue_bytes=300_000, delay_ms=20)
        mean_bps = len(cut) * 1500 * 8 / seconds
        name = f"{path.stem.lower()}+{start_ms // 1000}"
        windows[name] = Condition(path.name, shape, mean_bps, seconds, {"start_bps": START_BPS})
    return windows


def figures(condition, seeds):
    """Means over the seeds, after the first seconds."""
    runs = [condition.run(seed) for seed in seeds]
    stop_s = condition.seconds

    def mean(values):
        return sum(values) / len(runs)

    return {
        "used": round(mean(run.mean_bps(SETTLE_S, stop_s) for run in runs) / condition.mean_bps, 3),
        "rival_kbps": round(mean(run.rival_bps(SETTLE_S, stop_s) for run in runs) / 1e3),
        "frozen_s": round(mean(run.freezes(SETTLE_S)[1] for run in runs), 2),
        "freezes": round(mean(run.freezes(SETTLE_S)[0] for run in runs), 1),
        "p50_ms": round(mean(run.delay_ms(0.5) for run in runs)),
        "p95_ms": round(mean(run.delay_ms(0.95) for run in runs)),
        "queue_p95_ms": round(mean(run.queue_ms(0.95) for run in runs)),
        "fps": round(mean(len(run.delays_ms()) for run in runs) / (stop_s - SETTLE_S), 1),
        "keyframes": round(mean(run.keyframes for run in runs), 1),
        "dropped": round(mean(run.dropped_frames for run in runs), 1),
        "lost": round(mean(run.lost_packets / max(1, run.sent_packets) for run in runs), 4),
    }


def chosen(names, files):
    """The conditions with these names and the links in these files; else all conditions."""
    traces = {name: one for path in files or () for name, one in recorded(path).items()}
    return {name: CONDITIONS[name] for name in names or (() if traces else CONDITIONS)} | traces


def main(options, console):
    conditions = chosen(options.condition, options.trace)
    traces = {name: one for name, one in conditions.items() if name not in CONDITIONS}
    rows = {name: figures(one, options.seed or SEEDS) for name, one in conditions.items()}
    if traces:
        rows["mean"] = {
            key: round(sum(rows[name][key] for name in traces) / len(traces), 3)
            for key in next(iter(rows.values()))
        }
    show(rows, conditions, console)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def show(rows, conditions, console):
    """The table."""
    table = Table(title="The controller on simulated links", caption=LEGEND)
    for column in ("link", "what it is"):
        table.add_column(column)
    for column in next(iter(rows.values())):
        table.add_column(column, justify="right", no_wrap=True)
    for name, row in rows.items():
        one = conditions.get(name)
        what = _what(one) if one else "of the traces"
        table.add_row(name, what, *(f"{value:g}" for value in row.values()))
    console.print(table)


def _what(one):
    return one.what if one.seconds == WINDOW_S else f"{one.what}, for {one.seconds:g} s"


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench simulated",
        description=__doc__,
        epilog="conditions:\n" + "".join(f"  {name:14}{_what(one)}\n" for name, one in CONDITIONS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--condition",
        action="append",
        choices=list(CONDITIONS),
        metavar="NAME",
        help="of those below; may be given several times; else all, or none where there is a trace",
    )
    parser.add_argument(
        "--trace",
        type=trace,
        action="append",
        metavar="FILE",
        help=f"a recorded link in mahimahi's format: {WINDOWS} windows of {WINDOW_S} s, or the whole of a "
        "shorter one; may be given several times",
    )
    parser.add_argument("--seed", type=int, action="append", help="may be given several times; else 1 to 3")
    add_json(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main(parse(), Console(width=max(WIDTH, Console().width)))
