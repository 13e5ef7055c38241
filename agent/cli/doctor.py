"""`pinhole doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import ConfigOption
from agent.cli.process import console, log_to_stderr, serve
from agent.config import read_secret


def doctor(
    config: ConfigOption,
    portal: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Compare clocks with it, and ask it for its ICE servers."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sign in: ICE servers are for who is signed in.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with this user's password.")
    ] = None,
    with_camera: Annotated[
        bool, typer.Option("--camera/--no-camera", help="Whether to run the camera for two seconds.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Say what keeps this device from serving, and what to do about it.

    Looks at settings, clock, names, network, broker, portal, ICE servers, NAT, camera, board, serial ports,
    modem and receiver, in 20 s at most. Exit code 0 where the device can serve, 1 where not; warnings do not
    change it.

    Examples: [b]pinhole doctor --config pinhole.toml[/]
              [b]pinhole doctor -c pinhole.toml --portal https://example.org --user ann --password-file p[/]
    """
    log_to_stderr("error")
    from agent.client.session import SignIn
    from agent.doctor.report import encode
    from agent.doctor.screen import Screen
    from agent.doctor.wiring import Wish, run_doctor

    if (user is None) != (password_file is None) or (user and not portal):
        raise typer.BadParameter("needs --portal, --user and --password-file", param_hint="signing in")
    sign_in = SignIn(user, read_secret(password_file, is_typed=True)) if user and password_file else None
    wish = Wish(portal, sign_in, with_camera=with_camera)
    can_serve = False

    async def visit() -> None:
        nonlocal can_serve
        with Screen(console(stderr=as_json), is_quiet=as_json) as screen:
            report = await run_doctor(config, wish, screen)
            screen.close(report)
        can_serve = report.can_serve
        if as_json:
            typer.echo(encode(report))

    serve(visit())
    raise typer.Exit(0 if can_serve else 1)
