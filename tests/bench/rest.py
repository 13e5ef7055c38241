"""What agent and portal cost while nobody watches: CPU time, wake-ups and memory."""

import argparse
import contextlib
import json
import statistics
import time

from bench.arguments import above_zero, not_negative
from bench.programs import add_arguments, name_builds, pss_mib, trees, usage
from parts.database import postgresql
from parts.fleet_broker import fleet
from parts.stack import stop_program
from rich.console import Console
from rich.table import Table

FIGURES = ("CPU ms/s", "wake-ups/s", "PSS MiB")


def measure(process, settle_s, seconds):
    """The figures of one process after it came to rest."""
    time.sleep(settle_s)
    before = usage(process.pid)
    time.sleep(seconds)
    after = usage(process.pid)
    assert process.poll() is None, "it lives"
    lasted_s = after.at_s - before.at_s
    return (
        1000 * (after.cpu_s - before.cpu_s) / lasted_s,
        (after.wakeups - before.wakeups) / lasted_s,
        pss_mib(process.pid),
    )


def main(arguments):
    """Both programs of each tree in turn."""
    found, console = {}, Console()
    name_builds(console, trees(arguments.base))
    with contextlib.ExitStack() as parts:
        keys = ""
        if arguments.postgresql:
            url = parts.enter_context(postgresql()).new_database()
            keys = f'database_url = "{url}"'
        one = parts.enter_context(fleet(portal=keys))
        one.enroll("still", one.claim())
        stop_program(one.portal)
        for _ in range(arguments.rounds):
            for tree in trees(arguments.base):
                with (
                    tree.running("portal", one.config) as portal,
                    tree.running("run", one.camera("still")) as agent,
                ):
                    rows = (
                        found.setdefault(f"{tree.name} agent", []),
                        found.setdefault(f"{tree.name} portal", []),
                    )
                    rows[0].append(measure(agent, arguments.settle, arguments.seconds))
                    rows[1].append(measure(portal, 0, arguments.seconds))
    result = {
        name: dict(
            zip(FIGURES, (round(statistics.median(each), 2) for each in zip(*rows, strict=True)), strict=True)
        )
        for name, rows in found.items()
    }
    store = "PostgreSQL" if arguments.postgresql else "SQLite"
    table = Table(f"at rest on {store}, median of {arguments.rounds}", *FIGURES)
    for name, row in sorted(result.items()):
        table.add_row(name, *map(str, row.values()))
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench rest", description=__doc__)
    parser.add_argument("--seconds", type=above_zero, default=30.0)
    parser.add_argument(
        "--settle", type=not_negative, default=20.0, help="seconds after the start that do not count"
    )
    parser.add_argument("--postgresql", action="store_true", help="the portal's store; else SQLite")
    add_arguments(parser)
    main(parser.parse_args())
