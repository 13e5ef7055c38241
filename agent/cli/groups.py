"""`pinhole portal group …`: cameras that are granted together."""

from typing import Annotated

import typer

from agent.cli.options import PortalConfig
from agent.config import load

group_app = typer.Typer(no_args_is_help=True, help="Put cameras together that are granted together.")
GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]


@group_app.command("set")
def set_group(
    name: GroupName,
    config: PortalConfig,
    cameras: Annotated[list[str] | None, typer.Argument(metavar="CAMERA…", help="Their ids.")] = None,
) -> None:
    """Make a group, or say anew which cameras are in it.

    Example: [b]pinhole portal group set Yard gate-1 gate-2 -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.check_cameras(cameras or ())
        desk.put_group(name, cameras or ())
    typer.echo(f"{name}: {', '.join(cameras or ()) or 'no camera'}")


@group_app.command("list")
def list_groups(config: PortalConfig) -> None:
    """List every group with its cameras.

    Example: [b]pinhole portal group list -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        for name, cameras in desk.groups().items():
            typer.echo(f"{name}: {', '.join(cameras) or 'no camera'}")


@group_app.command("remove")
def remove_group(name: GroupName, config: PortalConfig) -> None:
    """Forget a group, and with it what it granted.

    Example: [b]pinhole portal group remove Yard -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        desk.remove_group(name)
    typer.echo(f"removed {name}")
