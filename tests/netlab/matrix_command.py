"""`scripts/netlab matrix`: every pair of NATs with a real browser, broker, TURN server, portal and agent."""

import asyncio
import json
import platform
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from netlab.console import open_console
from netlab.matrix import Cell, Result, cells, run_cell
from netlab.nat import NATS
from netlab.plan import FAMILIES
from netlab.servers import TRANSPORTS
from netlab.shape import Shape, ShapeError, read_trace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ANY = "any"
_COLUMNS = ("viewer", "device", "TURN", "IP", "device sends by", "viewer gets by", "pair", "first frame", "")
Nats = StrEnum("Nats", {name: name for name in NATS})
Families = StrEnum("Families", {name: name for name in FAMILIES})
Transports = StrEnum("Transports", {name: name for name in (ANY, *TRANSPORTS)})


def matrix(
    viewer: Annotated[list[Nats] | None, typer.Option(help="NAT of the viewer; all by default.")] = None,
    device: Annotated[list[Nats] | None, typer.Option(help="NAT of the device's carrier.")] = None,
    transport: Annotated[
        list[Transports] | None, typer.Option(help="How TURN is offered to both ends; any: all ways at once.")
    ] = None,
    family: Annotated[list[Families] | None, typer.Option(help="IPv4 by default.")] = None,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Clicks on the camera in each cell.")] = 3,
    delay_ms: Annotated[float, typer.Option(help="One way, on the device's link.")] = 0,
    jitter_ms: Annotated[float, typer.Option(help="Twice the standard deviation.")] = 0,
    rate_bps: Annotated[float | None, typer.Option(help="The device's uplink.")] = None,
    queue_bytes: Annotated[int, typer.Option(help="The device's uplink.")] = 1_000_000,
    loss: Annotated[float, typer.Option(min=0, max=1, help="Both ways, each packet by itself.")] = 0,
    trace: Annotated[Path | None, typer.Option(help="Uplink, in mahimahi's format.", exists=True)] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
) -> None:
    """Connect a viewer and a camera through each pair of NATs; exit with 1 where one is not as expected.

    scripts/netlab matrix --viewer symmetric --device none --repeats 10
    """
    console = open_console()
    try:
        links = _links(delay_ms, jitter_ms, loss, rate_bps, queue_bytes, trace)
    except (ShapeError, OSError) as exc:
        console.print(f"netlab: {exc}", style="red")
        raise typer.Exit(2) from exc
    chosen = list(
        cells(
            [str(one) for one in viewer or Nats],
            [str(one) for one in device or Nats],
            [None if one == ANY else str(one) for one in transport or [ANY]],
            [str(one) for one in family or ["ipv4"]],
        )
    )
    if not chosen:
        console.print("netlab: no such cell: TURN matters only where there is no direct path", style="red")
        raise typer.Exit(2)
    results = asyncio.run(_run(chosen, repeats, links, console))
    console.print(_table(results))
    if json_file:
        json_file.write_text(json.dumps(_document(results, links), indent=1) + "\n")
    raise typer.Exit(int(any(result.faults() for result in results)))


def _links(
    delay_ms: float,
    jitter_ms: float,
    loss: float,
    rate_bps: float | None,
    queue_bytes: int,
    trace: Path | None,
) -> tuple[Shape, Shape] | None:
    """Return the shapes up and down, None for a plain wire. Raises ShapeError, OSError."""
    down = Shape(delay_ms=delay_ms, jitter_ms=jitter_ms, loss=loss)
    recorded = read_trace(trace) if trace else None
    up = down.changed(rate_bps=rate_bps, queue_bytes=queue_bytes, trace=recorded)
    return None if up == Shape() else (up, down)


async def _run(
    chosen: Sequence[Cell], repeats: int, links: tuple[Shape, Shape] | None, console: Console
) -> list[Result]:
    results = []
    uplink, downlink = links or (None, None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        for cell in chosen:
            progress.update(task, description=str(cell))
            results.append(await run_cell(cell, repeats=repeats, uplink=uplink, downlink=downlink))
            if not console.is_terminal:
                print(_line(results[-1]), flush=True)
            progress.advance(task)
    return results


def _line(result: Result) -> str:
    median = "-" if result.first_frame_ms is None else f"{result.first_frame_ms:.0f} ms"
    return f"{result.cell}: {median}; {'; '.join(result.faults()) or 'as expected'}"


def _table(results: Sequence[Result]) -> Table:
    table = Table(
        title="Through every NAT",
        caption="pair: as the device and the browser say; first frame: median, from the click",
    )
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column == "first frame" else "left")
    for result in results:
        cell, median, faults = result.cell, result.first_frame_ms, result.faults()
        table.add_row(
            cell.viewer,
            cell.device,
            cell.transport or ANY,
            cell.family,
            *result.flows,
            f"{result.device_path.split(' ')[0]} to {result.viewer_path}",
            "-" if median is None else f"{median:.0f} ms",
            "\n".join(faults) or "ok",
            style="red" if faults else "",
        )
    return table


def _document(results: Sequence[Result], links: tuple[Shape, Shape] | None) -> dict[str, Any]:
    shapes = [repr(shape) for shape in links] if links else None
    return {
        "link": shapes,
        "python": sys.version.split()[0],
        "kernel": platform.release(),
        "cells": [result.to_json() for result in results],
    }
