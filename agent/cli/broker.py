"""`pinhole portal broker-config`."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.options import PortalConfig
from agent.config import load


def broker_config(
    config: PortalConfig,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for Mosquitto's files, as the broker sees it.")
    ],
    host: Annotated[
        list[str], typer.Option(metavar="NAME", help="Name or address of the broker; may be repeated.")
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where cameras connect.")] = 8883,
    portal_port: Annotated[int, typer.Option(min=1, max=65535, help="Where portals connect.")] = 8884,
    portal_address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where Mosquitto listens for portals.")
    ] = "127.0.0.1",
    mosquitto: Annotated[
        Literal["2.0", "2.1"] | None,
        typer.Option(
            show_default="what is installed here, or 2.0",
            help="Which Mosquitto it is for; 2.1 takes what is for 2.0 as well.",
        ),
    ] = None,
    plugins: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default="where they are here, or Debian has them",
            help="Folder of its plugins, as the broker sees it; for 2.1.",
        ),
    ] = None,
) -> None:
    """Write Mosquitto's configuration: certificates for everybody, and each camera on its own topics alone.

    Prints what belongs into the portal's settings. Repeat it before the broker's certificate ends, in a year.

    Example: [b]pinhole portal broker-config --out /etc/mosquitto/pinhole --host mqtt.example.org -c p.toml[/]
    """
    from agent.portal.authority import open_authority
    from agent.portal.claims import has_certificates, revoked_serials
    from agent.portal.mosquitto import BrokerPlan, portal_settings, write_broker_files
    from agent.portal.mosquitto_program import installed_version, plugin_folder
    from agent.portal.store import open_store

    if port == portal_port:
        raise typer.BadParameter("the portal has a port of its own: --port of the cameras is another")
    settings = load(config)
    plan = BrokerPlan(
        out.absolute(),
        tuple(host),
        port,
        portal_port,
        portal_address,
        settings.broker.topic_prefix,
        mosquitto or installed_version(),
        plugins or plugin_folder(),
    )
    store = open_store(settings.portal)
    try:
        revoked = store.run_here(lambda db: revoked_serials(db, time.time()))
        authority = open_authority(settings.portal.state_dir, is_known=store.run_here(has_certificates))
    finally:
        store.close()
    write_broker_files(plan, authority, revoked)
    typer.echo(portal_settings(plan), nl=False)
    typer.echo(f"# The files are in {out}: add `include_dir {out}` to Mosquitto's own settings.", err=True)
