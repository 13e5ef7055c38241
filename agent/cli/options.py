"""Options that several commands have, and what they mean."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.config import read_secret
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.client.session import SignIn

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="FILE", help="The settings, see [b]pinhole config example[/]."),
]
PortalOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Default: the running demo's, else http://127.0.0.1:8080.")
]
UserOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who signs in. Default: the running demo's user.")
]
PasswordOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with the password. Default: the running demo's, else ask."),
]
CodeOption = Annotated[
    str, typer.Option(metavar="CODE", help="What your authenticator shows, where you have one.")
]
PortalConfig = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The portal's settings.")]


def whom_to_ask(
    portal: str | None, user: str | None, password_file: Path | None, code: str
) -> tuple[str, "SignIn"]:
    """The portal's URL, and who signs in there."""
    from agent.client.session import SignIn
    from agent.demo.folder import find_running

    running = find_running() if portal is None or password_file is None else None
    if running and portal in (None, running.url):
        portal, user = running.url, user or running.user
        password_file = password_file or running.password_file
    if user is None:
        raise ConfigError("say who signs in: --user NAME --password-file FILE (and no demo runs here)")
    return portal or "http://127.0.0.1:8080", SignIn(user, _password(password_file), code)


def _password(file: Path | None) -> str:
    """A user's password: from its file, or typed in; never an argument, which others can read."""
    if file:
        return read_secret(file, is_typed=True)
    if not sys.stdin.isatty():
        raise ConfigError("the password is needed: --password-file FILE (and no demo runs here)")
    return str(typer.prompt("Portal password", hide_input=True))
