"""`pinhole portal user …`: who may come in, and what each may do."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import PortalConfig
from agent.cli.process import console
from agent.config import PortalSettings, load, read_secret
from agent.errors import ConfigError

user_app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
Role = Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator or admin.")]
RoleOrNone = Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator, admin or none.")]
Camera = Annotated[str | None, typer.Option("--camera", metavar="ID", help="For this camera.")]
OfGroup = Annotated[
    str | None, typer.Option("--group", metavar="GROUP", help="For each camera of this group.")
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="Read the password from here.")
]


@user_app.callback()
def _users() -> None:
    """Add people, and say what each may do.

    A viewer watches, an operator also controls and shares, an admin also manages accounts. A role is for
    every camera, a grant for one camera or group. A change takes effect at once, on every portal.

    Run these as the portal's own user, as in [b]sudo -u pinhole pinhole portal user list …[/].
    """


@user_app.command()
def add(
    name: Name,
    config: PortalConfig,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="For every camera: viewer, operator or admin.")
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Let them watch this camera; may be repeated.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(metavar="GROUP", help="Let them watch this group; may be repeated.")
    ] = None,
    password_file: PasswordFile = None,
    company: Annotated[
        bool, typer.Option("--company", help="They sign in with their company account of this name.")
    ] = False,
) -> None:
    """Add a user, and print the one-time link with which they choose a password.

    Examples: [b]pinhole portal user add ann --role viewer -c pinhole.toml[/]
              [b]pinhole portal user add bob --camera front-door --group Yard -c pinhole.toml[/]
              [b]pinhole portal user add cy@firm.example --company --role admin -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    settings = load(config).portal
    password = read_secret(password_file, is_typed=True) if password_file else None
    with Desk.open(settings) as desk:
        desk.check_cameras(camera or ())
        link = desk.add_user(
            name, role, cameras=camera or (), groups=group or (), password=password, company=company
        )
    typer.echo(f"added {name}")
    if link:
        _print_link(settings, link)


@user_app.command("list")
def list_users(
    config: PortalConfig,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """List every user with role and grants.

    Example: [b]pinhole portal user list -c pinhole.toml[/]
    """
    from rich.table import Table

    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        found = desk.users()
    if as_json:
        typer.echo(json.dumps([asdict(user) for user in found], indent=2))
        return
    table = Table("user", "role", "granted", "signs in with", box=None)
    for user in found:
        grants = [f"{grant.role} of {grant.camera or f'group {grant.group}'}" for grant in user.grants]
        ways = {
            "password": user.has_password,
            "code": user.has_code,
            "passkey" if user.passkeys == 1 else f"{user.passkeys} passkeys": user.passkeys,
            "company account": user.is_company,
            "DISABLED": user.disabled,
        }
        signs_in = ", ".join(word for word, has in ways.items() if has) or "nothing yet"
        table.add_row(user.name, user.role or "", ", ".join(grants), signs_in)
    console(markup=False).print(table)


@user_app.command()
def passwd(name: Name, config: PortalConfig, password_file: PasswordFile = None) -> None:
    """Set a user's password and sign them out everywhere. Asks for it where there is no file.

    Example: [b]pinhole portal user passwd ann -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    if password_file:
        password = read_secret(password_file, is_typed=True)
    elif sys.stdin.isatty():
        password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    else:
        raise ConfigError("a password is needed: --password-file FILE")
    with Desk.open(load(config).portal) as desk:
        desk.set_password(name, password)
    typer.echo(f"{name} has a new password")


@user_app.command("role")
def set_role(name: Name, role: RoleOrNone, config: PortalConfig) -> None:
    """Say what a user may do with every camera; none leaves what is granted.

    Example: [b]pinhole portal user role ann operator -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.set_role(name, role)
    typer.echo(f"{name}: {role}")


@user_app.command()
def grant(name: Name, role: Role, config: PortalConfig, camera: Camera = None, group: OfGroup = None) -> None:
    """Say what a user may do with one camera, or with each camera of a group.

    Example: [b]pinhole portal user grant bob operator --camera front-door -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.check_cameras([camera] if camera else ())
        desk.grant(name, role, camera=camera, group=group)
    typer.echo(f"{name}: {role} of {camera or group}")


@user_app.command()
def revoke(name: Name, config: PortalConfig, camera: Camera = None, group: OfGroup = None) -> None:
    """Take a grant away; streams that it allowed end at once.

    Example: [b]pinhole portal user revoke bob --camera front-door -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.revoke(name, camera=camera, group=group)
    typer.echo(f"{name}: no grant for {camera or group}")


@user_app.command()
def disable(name: Name, config: PortalConfig) -> None:
    """Shut a user out: what they have open ends at once.

    Example: [b]pinhole portal user disable bob -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.set_disabled(name, disabled=True)
    typer.echo(f"{name} is shut out")


@user_app.command()
def enable(name: Name, config: PortalConfig) -> None:
    """Let a user in again who was disabled.

    Example: [b]pinhole portal user enable bob -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.set_disabled(name, disabled=False)
    typer.echo(f"{name} may come in again")


@user_app.command()
def remove(name: Name, config: PortalConfig) -> None:
    """Forget a user; the audit log keeps what they did.

    Example: [b]pinhole portal user remove bob -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.remove(name)
    typer.echo(f"removed {name}")


@user_app.command("reset-link")
def reset_link(
    name: Name,
    config: PortalConfig,
    without_code: Annotated[
        bool, typer.Option("--without-code", help="Forget their authenticator too: it is lost.")
    ] = False,
) -> None:
    """Print a one-time link with which a user chooses a new password.

    Example: [b]pinhole portal user reset-link ann -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    settings = load(config).portal
    with Desk.open(settings) as desk:
        link = desk.reset_link(name, without_code=without_code)
    _print_link(settings, link)


@user_app.command("passkeys")
def user_passkeys(
    name: Name,
    config: PortalConfig,
    remove: Annotated[
        int | None, typer.Option("--remove", metavar="NUMBER", help="Forget this one: it is lost.")
    ] = None,
    remove_all: Annotated[bool, typer.Option("--remove-all", help="Forget them all.")] = False,
) -> None:
    """List a user's passkeys, or forget those that are lost; who had one is then signed out everywhere.

    A new password leaves passkeys as they are: where a phone is in other hands, remove its passkey, too.

    Examples: [b]pinhole portal user passkeys ann -c pinhole.toml[/]
              [b]pinhole portal user passkeys ann --remove 2 -c pinhole.toml[/]
              [b]pinhole portal user passkeys ann --remove-all -c pinhole.toml[/]
    """
    from rich.table import Table

    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        if remove_all:
            typer.echo(f"{name}: {desk.remove_passkeys(name)} removed")
            return
        if remove is not None:
            typer.echo(f"{name}: removed {desk.remove_passkey(name, remove)}")
            return
        found = desk.passkeys(name)
    if not found:
        typer.echo(f"{name} has no passkey")
        return
    table = Table("number", "name", "made", "last used", box=None)
    for one in found:
        used = _day(one.used_at) if one.used_at else "never"
        table.add_row(str(one.id), one.name, _day(one.created_at), used)
    console(markup=False).print(table)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d")


def _print_link(settings: PortalSettings, token: str) -> None:
    scheme = "https" if settings.cert_file else "http"
    base = settings.public_url or f"{scheme}://{settings.host}:{settings.port}"
    typer.echo(f"They choose a password here, once, within a day:\n{base}/#/welcome/{token}")
