"""`pinhole run`, `pinhole portal` and `pinhole demo`: what runs until it is stopped."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import ConfigOption
from agent.cli.process import loading, log_to_stderr, serve
from agent.config import load


def run(config: ConfigOption) -> None:
    """Run the agent: capture, encode once, and send to every viewer.

    Example: [b]pinhole run --config /etc/pinhole/pinhole.toml[/]
    """
    settings = load(config)
    log_to_stderr(settings.log.level)
    with loading():
        from agent.app import run_agent

    serve(run_agent(settings))


def portal(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="The settings, see [b]pinhole config example[/]."
        ),
    ] = None,
) -> None:
    """Run the portal, or manage who may come in.

    The portal is dashboard, sign-in, and signaling between browsers and the broker. At its first start it
    prints a one-time link with which the administrator chooses a password.

    Examples: [b]pinhole portal --config /etc/pinhole/pinhole.toml[/]
              [b]pinhole portal user add ann --role viewer -c /etc/pinhole/pinhole.toml[/]
    """
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("is needed to run the portal", param_hint="--config")
    settings = load(config)
    log_to_stderr(settings.log.level)
    with loading():
        from agent.server import run_portal

    log = logging.getLogger("agent.portal")
    serve(run_portal(settings, lambda url: log.info(f"dashboard at {url}")))


def demo(
    camera: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="auto, picamera, picamera:N, v4l2:/dev/video0, replay:FILE or synthetic. "
            "auto takes a Pi camera, else a USB camera, else a moving test picture.",
        ),
    ] = "auto",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The dashboard's port; the next free one where it is taken.")
    ] = 8080,
) -> None:
    """Run broker, portal and agent together on this machine, with no set-up.

    Prints a link that signs you in, once, and a user and password for later; Ctrl-C ends all of
    it and leaves nothing behind.

    Examples: [b]pinhole demo[/]
              [b]pinhole demo --camera replay:garden.mp4 --port 9000[/]
    """
    log_to_stderr("warning")
    from agent.demo.supervisor import run_demo

    serve(run_demo(camera, port))
