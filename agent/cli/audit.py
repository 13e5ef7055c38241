"""`pinhole portal audit …`."""

import typer

from agent.cli.options import PortalConfig
from agent.config import load
from agent.model.text import one_line

audit_app = typer.Typer(no_args_is_help=True, help="Look after the audit log.")


@audit_app.callback()
def _audit() -> None:
    """Look after the audit log."""


@audit_app.command()
def verify(config: PortalConfig) -> None:
    """Say whether the audit log was changed: names each entry that was changed, removed or inserted.

    Every entry holds the hash of the one before, in the table and in portal.audit_file; and what is in the
    file must be in the table.

    Example: [b]pinhole portal audit verify -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    settings = load(config).portal
    with Desk.open(settings) as desk:
        report = desk.verify_audit(settings.audit_file)
    for fault in report.faults:
        typer.echo(one_line(fault))  # it quotes what somebody may have put there
    typer.echo(f"{report.entries} entries in the table, {report.lines} lines in {settings.audit_file}")
    if report.faults:
        raise typer.Exit(1)
    typer.echo("they hold together")
