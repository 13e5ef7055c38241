"""`pinhole portal keys …`: the keys with which the portal signs."""

from typing import Annotated

import typer

from agent.cli.devices import day
from agent.cli.options import PortalConfig
from agent.config import load

keys_app = typer.Typer(
    no_args_is_help=True, help="The keys with which the portal signs: make one, retire one."
)


@keys_app.command("list")
def list_keys(config: PortalConfig) -> None:
    """Show the keys that count, oldest first.

    Example: [b]pinhole portal keys list -c pinhole.toml[/]
    """
    from agent.signaling.signing import SigningFolder

    folder = SigningFolder(load(config).portal.state_dir)
    for dated in folder.keys:
        note = "  signs" if dated.key is folder.current else ""
        typer.echo(f"{dated.key.kid}  made {day(dated.made_at)}{note}")


@keys_app.command("rotate")
def rotate(config: PortalConfig) -> None:
    """Make a new signing key. Cameras hear of it at once, and a minute later it signs.

    The old one still counts, until it is retired: do that when every camera was online once.

    Example: [b]pinhole portal keys rotate -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk
    from agent.signaling.signing import SigningFolder

    settings = load(config).portal
    with Desk.open(settings) as desk:
        typer.echo(desk.rotate_key(SigningFolder(settings.state_dir)))


@keys_app.command("retire")
def retire(kid: Annotated[str, typer.Argument(metavar="KEY")], config: PortalConfig) -> None:
    """Let a signing key count no more. A camera that knows no other has to enrol again.

    Example: [b]pinhole portal keys retire XVRf2UQDTggTwE_NMSOdqskPNJH7RA7HzuRW90dfB7o -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk
    from agent.signaling.signing import SigningFolder

    settings = load(config).portal
    with Desk.open(settings) as desk:
        desk.retire_key(SigningFolder(settings.state_dir), kid)
