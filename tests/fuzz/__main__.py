"""`scripts/fuzz`: long runs of the fuzzing targets."""

import argparse
import json
import sys
import time
from pathlib import Path

from fuzz.catalogue import CANARIES, load, names
from fuzz.runner import Report, replay, run_target
from rich.console import Console
from rich.table import Table

EXPLAIN = """\
Feeds every parser of hostile input with inputs that its own coverage leads to (atheris), or, where there is
no atheris for this Python or processor, with faulty versions of its seeds (hypothesis).

  scripts/fuzz                              every target, a minute each
  scripts/fuzz rtcp sctp --seconds 3600     two of them for an hour each
  scripts/fuzz rtcp --replay FILE           run one input again and see its traceback

A run stops at the first input that crashes, hangs, or makes memory grow, keeps it in .artifacts/fuzz/TARGET/
and prints the command that replays it. What a target learnt stays in .artifacts/fuzz/TARGET/corpus, so that
the next run goes on from there. Exit code: 0 nothing found, 1 something found, 2 wrong usage."""
PLAIN_INTERVAL_S = 10.0


def main() -> int:
    """Parse the command line, and run; the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description=EXPLAIN, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all; --list shows them")
    parser.add_argument("--seconds", type=float, default=60, metavar="N", help="for each target; default 60")
    parser.add_argument("--list", action="store_true", help="show the targets, and end")
    parser.add_argument("--seed-corpus", metavar="DIR", help="more inputs to begin with, one a file")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    parser.add_argument("--replay", metavar="FILE", type=Path, help="run this one input of one target")
    wanted = parser.parse_args()
    if wanted.list:
        _list()
        return 0
    known = names() + CANARIES
    if unknown := [name for name in wanted.targets if name not in known]:
        parser.error(f"no such target: {', '.join(unknown)}; there are: {', '.join(names())}")
    if wanted.replay:
        if len(wanted.targets) != 1 or not wanted.replay.is_file():
            parser.error("--replay needs one target, and a file that exists")
        return _replay(wanted.targets[0], wanted.replay)
    if wanted.seconds < 1:
        parser.error("--seconds must be at least 1")
    if wanted.seed_corpus and not Path(wanted.seed_corpus).is_dir():
        parser.error(f"--seed-corpus: {wanted.seed_corpus} is no folder")
    corpora = [str(Path(wanted.seed_corpus).resolve())] if wanted.seed_corpus else []
    reports = _run(wanted.targets or names(), wanted.seconds, corpora)
    if wanted.json:
        wanted.json.write_text(json.dumps([report.as_json() for report in reports], indent=2) + "\n")
    return int(any(report.result != "ok" for report in reports))


def _run(targets: tuple[str, ...] | list[str], seconds: float, corpora: list[str]) -> list[Report]:
    reports: list[Report] = []
    try:
        for name in targets:
            reports.append(run_target(name, seconds, corpora, _Progress(seconds)))
            print("\r\x1b[K" * sys.stderr.isatty() + _line(reports[-1]), file=sys.stderr)
            if reports[-1].result != "ok":
                _explain(reports[-1])
                break
    except KeyboardInterrupt:
        print("\nfuzz: stopped", file=sys.stderr)
    _summary(reports)
    return reports


class _Progress:
    """One line that follows the run; on no terminal one every ten seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._shown_s = time.monotonic()

    def __call__(self, report: Report) -> None:
        live, now_s = sys.stderr.isatty(), time.monotonic()
        if now_s - self._shown_s >= (0.5 if live else PLAIN_INTERVAL_S):
            self._shown_s = now_s
            text = f"{_line(report)}, {max(0.0, self._seconds - report.seconds):.0f} s left"
            print(f"\r\x1b[K{text}" if live else text, end="" if live else "\n", file=sys.stderr, flush=True)


def _line(report: Report) -> str:
    coverage = "-" if report.coverage is None else report.coverage
    return (
        f"{report.target:18} {report.runs:>9,} runs  {report.runs_per_s:>7,.0f}/s  coverage {coverage:>5}  "
        f"{report.last_mib:>5.0f} MiB"
    )


def _explain(report: Report) -> None:
    words = {
        "crash": "an input crashes it, or breaks what should hold",
        "hang": "an input takes too long",
        "growth": "memory grows",
        "broken": "the target itself does not run",
    }
    print(f"\n{report.said}\n\nfuzz: {report.target}: {words[report.result]}", file=sys.stderr)
    if report.replay:
        print(f"fuzz: the input is {report.input}\nfuzz: {report.replay}", file=sys.stderr)


def _summary(reports: list[Report]) -> None:
    table = Table("target", "result", title="fuzz")
    for column in ("runs", "runs/s", "coverage", "MiB settled", "MiB last"):
        table.add_column(column, justify="right")
    for report in reports:
        coverage = "-" if report.coverage is None else f"{report.coverage:,}"
        settled = "-" if report.settled_mib is None else f"{report.settled_mib:.0f}"
        table.add_row(
            report.target,
            report.result,
            f"{report.runs:,}",
            f"{report.runs_per_s:,.0f}",
            coverage,
            settled,
            f"{report.last_mib:.0f}",
        )
    engines = ", ".join(sorted({report.engine for report in reports if report.engine}))
    table.caption = f"{sum(report.runs for report in reports):,} inputs in all, by {engines or 'no engine'}"
    Console().print(table)


def _replay(name: str, file: Path) -> int:
    code = replay(name, file)
    print(f"fuzz: {name}: {'nothing is wrong with it' if code == 0 else 'as found'}", file=sys.stderr)
    return int(code != 0)


def _list() -> None:
    table = Table("target", "what it parses, and who may have sent it", box=None)
    for name in names():
        table.add_row(name, load(name).about)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
