"""Where the lab's commands print."""

import sys

import typer
from netlab.namespaces import missing
from rich.console import Console

_WIDTH = 160  # where the output is a file


def open_console() -> Console:
    """Return the terminal, or a wide page; ends the command with 2 where this machine can build no lab."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    if reason := missing():
        console.print(f"netlab: {reason}", style="red")
        raise typer.Exit(2)
    return console
