"""`pinhole config …`: settings files."""

from pathlib import Path
from typing import Annotated

import typer

from agent.config import load
from agent.config.document import example
from agent.config.files import file_faults
from agent.errors import ConfigError

config_app = typer.Typer(no_args_is_help=True, help="Check a settings file, or print one to start from.")


@config_app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check a settings file, and the files that it names, and name every fault.

    Run it as the user who runs the service: it must be able to read them all.

    Example: [b]pinhole config check pinhole.toml[/]
    """
    settings = load(file)
    if faults := file_faults(settings):
        raise ConfigError("\n  ".join([f"{file}: every setting is valid, but not every file:", *faults]))
    typer.echo(f"{file}: good")


@config_app.command("example")
def print_example() -> None:
    """Print a settings file with every setting explained.

    Example: [b]pinhole config example > pinhole.toml[/]
    """
    typer.echo(example(), nl=False)
