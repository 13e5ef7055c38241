"""CPU time from `pinhole run` to its broker, and the time that importing it takes."""

import argparse
import json
import statistics
import subprocess

from bench.programs import ENVIRON, add_arguments, name_builds, trees, usage
from parts.fleet_broker import fleet
from rich.console import Console
from rich.table import Table

IMPORT = "import time; a = time.process_time(); import agent.app; print(time.process_time() - a)"


def import_s(tree):
    """CPU seconds of importing the agent alone."""
    done = subprocess.run(
        [tree.root / ".venv/bin/python", "-c", IMPORT],
        cwd=tree.root,
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def start_s(tree, one):
    """CPU seconds until it is connected."""
    with tree.running("run", one.camera("still")) as agent:
        return usage(agent.pid).cpu_s


def main(arguments):
    """Each tree in turn, after one round that fills the caches."""
    found, console = {}, Console()
    name_builds(console, trees(arguments.base))
    with fleet() as one:
        one.enroll("still", one.claim())
        for number in range(arguments.rounds + 1):
            for tree in trees(arguments.base):
                row = import_s(tree), start_s(tree, one)
                if number:
                    found.setdefault(tree.name, []).append(row)
    result = {}
    table = Table("CPU seconds, median", "import", "start")
    for name, rows in found.items():
        imports, starts = (round(statistics.median(each), 3) for each in zip(*rows, strict=True))
        result[name] = {"import": imports, "start": starts}
        table.add_row(name, str(imports), str(starts))
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=__doc__)
    add_arguments(parser)
    main(parser.parse_args())
