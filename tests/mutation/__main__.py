"""`scripts/mutation`: faults in the modules that guard the door, and which of them no test sees."""

import argparse
import json
import sys
import time
from pathlib import Path

from mutation.mutants import MIN_SCORE, SAMPLE, SEED, TARGETS, TIMEOUT_S, Score, measure
from rich.console import Console
from rich.table import Table

EXPLAIN = f"""\
Puts faults into a module, one at a time, and runs the tests that concern it. A fault that no test sees is a
test that is missing.

  scripts/mutation                     a sample of each module, as the slow tests take it
  scripts/mutation trust claims        two of them
  scripts/mutation gateway --all       every fault there is; `accounts` takes most of an hour
  scripts/mutation claims --unseen     and what no test saw

Exit code: 0 where {MIN_SCORE:.0%} or more were seen in each module, 1 where not, 2 wrong usage."""


def main() -> int:
    """Parse the command line, and run; the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/mutation", description=EXPLAIN, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="MODULE", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--all", action="store_true", help=f"every fault, not {SAMPLE} of each module")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help="of the sample")
    parser.add_argument("--unseen", action="store_true", help="show each fault that no test saw")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    wanted = parser.parse_args()
    if unknown := [name for name in wanted.targets if name not in TARGETS]:
        parser.error(f"no such module: {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    scores = []
    for name in wanted.targets or TARGETS:
        began_s = time.monotonic()
        print(f"mutation: {name} …", file=sys.stderr)
        scores.append(
            measure(
                TARGETS[name],
                most=None if wanted.all else SAMPLE,
                seed=wanted.seed,
                timeout_s=4 * 3600 if wanted.all else TIMEOUT_S,
                watched=True,
            )
        )
        print(f"mutation: {name} took {time.monotonic() - began_s:.0f} s", file=sys.stderr)
        if wanted.unseen:
            print(*scores[-1].unseen(), sep="\n\n")
    _show(scores)
    if wanted.json:
        wanted.json.write_text(json.dumps([score.as_json() for score in scores], indent=2) + "\n")
    return int(any(score.share < MIN_SCORE for score in scores))


def _show(scores: list[Score]) -> None:
    table = Table("module", "mutants", "run", "killed", "timed out", "unseen", "equivalent", "score")
    for score in scores:
        figures = score.as_json()
        share = figures.pop("score")
        table.add_row(*(str(value) for value in figures.values()), f"{share:.1%}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
