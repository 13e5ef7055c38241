"""`scripts/netlab recovery`: break the link in every way that we know, and measure."""

import asyncio
import json
import platform
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from netlab.console import open_console
from netlab.recovery import SCENARIOS, Result, Round, Scenario, run_scenario
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Names = StrEnum("Names", {scenario.name: scenario.name for scenario in SCENARIOS})


def recovery(
    scenario: Annotated[list[Names] | None, typer.Argument(help="All but the long ones by default.")] = None,
    long: Annotated[bool, typer.Option("--long", help="The long ones too.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, max=100, help="Of each; else its own number.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    logs: Annotated[Path | None, typer.Option(help="Keep what the programs said in this folder.")] = None,
) -> None:
    """Break the link or a server while a camera plays; exit with 1 where a figure is above its goal.

    scripts/netlab recovery outage-5s turn --rounds 3
    """
    console = open_console()
    wanted = {str(name) for name in scenario or ()}
    chosen = [one for one in SCENARIOS if one.name in wanted or (not wanted and (long or not one.is_long))]
    results = asyncio.run(_run(chosen, rounds, console, logs))
    console.print(_table(results))
    if json_file:
        json_file.write_text(json.dumps(_document(results), indent=1) + "\n")
    raise typer.Exit(int(any(result.faults() for result in results)))


async def _run(
    chosen: Sequence[Scenario], rounds: int | None, console: Console, logs: Path | None
) -> list[Result]:
    jobs = [job for scenario in chosen for job in _labs(scenario, rounds)]
    results = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(count for _, count in jobs))
        for scenario, count in jobs:
            progress.update(task, description=scenario.what)

            def note(one: Round, what: str = scenario.what) -> None:
                progress.advance(task)
                if not console.is_terminal:
                    print(f"{what}: frozen {_seconds(one.frozen_s)}, back {_seconds(one.back_s)}", flush=True)

            result = await run_scenario(scenario, rounds=count, on_round=note)
            _keep(result, logs)
            results.append(result)
    return results


def _labs(scenario: Scenario, rounds: int | None) -> list[tuple[Scenario, int]]:
    """Return the labs to build, each with its number of rounds."""
    wanted = rounds or scenario.rounds
    return [(scenario, 1)] * wanted if scenario.is_once else [(scenario, wanted)]


def _keep(result: Result, folder: Path | None) -> None:
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for name, said in result.logs.items():
            (folder / f"{result.scenario.name}-{name}.log").write_text(said)


def _table(results: Sequence[Result]) -> Table:
    table = Table(
        title="Back after everything",
        caption="frozen: the longest gap between two pictures; back, told: from when the link or server was "
        "back, until the last freeze ended, and until the dashboard reached portal and broker",
    )
    for column in ("what happens", "frozen", "back", "told", "DTLS", "path", ""):
        table.add_column(column, justify="right" if column in ("frozen", "back", "told") else "left")
    for result in results:
        faults = result.faults()
        table.add_row(
            result.scenario.what,
            "\n".join(_seconds(one.frozen_s) for one in result.rounds),
            "\n".join(_seconds(one.back_s) for one in result.rounds),
            "\n".join(_seconds(one.informed_s) for one in result.rounds),
            "\n".join("kept" if one.same_dtls else "new" for one in result.rounds),
            result.path,
            "\n".join(faults) or "ok",
            style="red" if faults else "",
        )
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _document(results: Sequence[Result]) -> dict[str, object]:
    return {
        "python": sys.version.split()[0],
        "kernel": platform.release(),
        "scenarios": [result.to_json() for result in results],
    }
