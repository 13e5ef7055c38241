"""The command line: parses arguments, sets up logging, and hands over to the program that was asked for.

One module a group of commands. Each command imports its own program, so that `pinhole --help` does not load
the media libraries.
"""

import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from agent import __version__
from agent.cli import (
    audit,
    broker,
    client,
    config,
    devices,
    doctor,
    evidence,
    groups,
    keys,
    programs,
    users,
)
from agent.cli.process import fail
from agent.errors import ConfigError, PinholeError

app = typer.Typer(
    name="pinhole",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
portal_app = typer.Typer(invoke_without_command=True, callback=programs.portal)
portal_app.add_typer(users.user_app, name="user")
portal_app.add_typer(groups.group_app, name="group")
portal_app.add_typer(audit.audit_app, name="audit")
portal_app.add_typer(devices.device_app, name="device")
portal_app.add_typer(keys.keys_app, name="keys")
portal_app.command()(devices.claim)
portal_app.command()(broker.broker_config)
app.add_typer(portal_app, name="portal")
app.add_typer(client.fleet_app, name="fleet")
app.add_typer(config.config_app, name="config")
for _command in (
    devices.enroll,
    programs.run,
    programs.demo,
    client.watch,
    client.snapshot,
    client.sms,
    doctor.doctor,
    evidence.export,
    evidence.verify,
):
    app.command()(_command)
app.command(epilog=client.list_commands())(client.do)


def main() -> None:
    """Run a command: exit code 0 when it did its work, 1 with one message when not, 2 on wrong usage."""
    try:
        app()
    except PinholeError as exc:
        fail([exc])
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as exc:
        if exc.filename is None:
            raise
        fail([ConfigError(f"{os.fsdecode(exc.filename)}: {exc.strerror}")])
    except BaseExceptionGroup as group:
        known, unknown = group.split(PinholeError)
        if unknown or known is None:
            raise
        fail(_leaves(known))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pinhole {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # its callback does the work, before a command is asked for
        bool,
        typer.Option(
            "--version", help="Print the version and leave.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """A camera on a Raspberry Pi, live in a browser in under a second.

    Try it on this machine:   [b]pinhole demo[/]
    On the camera:            [b]pinhole run --config pinhole.toml[/]
    Make it known there:      [b]pinhole enroll --portal https://… --code … --config pinhole.toml[/]
    On the server:            [b]pinhole portal --config pinhole.toml[/]
    In a terminal:            [b]pinhole watch[/]
    Where it does not work:   [b]pinhole doctor --config pinhole.toml[/]
    Tab completes, once:      [b]pinhole --install-completion[/]
    """


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc
