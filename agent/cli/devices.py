"""`pinhole enroll` on a device, and on the portal `claim` and `device …`."""

import asyncio
import csv
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import PortalConfig
from agent.cli.process import console
from agent.config import load, read_secret, read_sheet
from agent.errors import ConfigError
from agent.model.ids import is_id

MAX_ROWS = 10_000
_UNITS_S = {"m": 60, "h": 3600, "d": 86400}

device_app = typer.Typer(
    no_args_is_help=True, help="Cameras that were enrolled: list, rename, or shut one out."
)

Expires = Annotated[
    str,
    typer.Option(metavar="TIME", help="How long a code works: minutes, hours or days, as in 30m, 12h, 7d."),
]


def enroll(
    portal: Annotated[str, typer.Option(metavar="URL", help="The portal's address: https://…")],
    config: Annotated[
        Path, typer.Option("--config", "-c", metavar="FILE", help="This camera's settings.")
    ] = Path("/etc/pinhole/pinhole.toml"),
    code: Annotated[
        str | None, typer.Option(metavar="CODE", help="The claim code that the portal made.")
    ] = None,
    code_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the code from here: arguments are seen by all.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Authorities (PEM) that prove the portal's certificate."),
    ] = None,
) -> None:
    """Make this camera known to a portal: it makes its own key, and gets its certificate for the broker.

    The code comes from [b]pinhole portal claim[/] on the portal and works once; running this again with it is
    safe. What is got stands in [b]device.state_dir[/] and is renewed by itself.

    Example: [b]pinhole enroll --portal https://cams.example.org --code ABCDE-FGHJK-MNPQR-STUVW[/]
    """
    from agent.signaling.enrolment import enroll as ask

    if (code is None) == (code_file is None):
        raise typer.BadParameter("give the claim code, or the file that holds it", param_hint="--code")
    settings = load(config)
    code = code or read_secret(code_file or Path(), is_typed=True)
    asyncio.run(ask(settings, portal, code, typer.echo, ca_file))
    typer.echo("done         start the agent, or restart it: sudo systemctl restart pinhole")


def claim(
    config: PortalConfig,
    device: Annotated[
        str | None,
        typer.Option(metavar="ID", help="For this camera alone; also where its card or key is a new one."),
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="One code for each name in its column [b]device[/]."),
    ] = None,
    expires: Expires = "1d",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the camera will be called, for people.")
    ] = None,
) -> None:
    """Make a claim code, with which a camera enrols once; or many.

    Without [b]--device[/] it lets any camera in whose id is not taken. With [b]--csv[/] it prints a table
    with the columns device, code and expires. Without [b]--name[/] a new camera is called as it first calls
    itself; [b]pinhole portal device rename[/] changes that.

    Examples: [b]pinhole portal claim -c pinhole.toml[/]
              [b]pinhole portal claim --device front-door --name "Front door" --expires 2h -c pinhole.toml[/]
              [b]pinhole portal claim --csv cameras.csv --expires 7d -c pinhole.toml > codes.csv[/]
    """
    from agent.portal.accounts.desk import Desk
    from agent.portal.names import check_name

    if device and csv_file:
        raise typer.BadParameter("not together with --csv", param_hint="--device")
    if name and csv_file:
        raise typer.BadParameter("not together with --csv", param_hint="--name")
    called = check_name(name) if name else None
    now, lifetime_s = time.time(), _seconds(expires)
    devices = _read_devices(csv_file) if csv_file else [_checked(device) if device else None]
    with Desk.open(load(config).portal) as desk:
        codes = desk.make_claims(devices, lifetime_s=lifetime_s, name=called)
    until = datetime.fromtimestamp(now + lifetime_s, UTC).isoformat(timespec="minutes")
    if csv_file:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("device", "code", "expires"))
        writer.writerows((one, code, until) for one, code in zip(devices, codes, strict=True))
    else:
        typer.echo(codes[0])
        typer.echo(f"works once, until {until}", err=True)


@device_app.command("list")
def list_devices(config: PortalConfig) -> None:
    """Show every camera that was ever enrolled.

    Example: [b]pinhole portal device list -c pinhole.toml[/]
    """
    from rich.table import Table

    from agent.portal.registry import list_devices as read_all
    from agent.portal.store import open_store

    store = open_store(load(config).portal)
    try:
        found = store.run_here(read_all)
    finally:
        store.close()
    table = Table("camera", "name", "enrolled", "by", "revoked")
    for one in found:
        table.add_row(one.id, one.name or "", day(one.enrolled_at), one.enrolled_by, day(one.revoked_at))
    console(markup=False).print(table)


@device_app.command("rename")
def rename(
    device: Annotated[str, typer.Argument(metavar="ID", help="The camera.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will call it.")],
    config: PortalConfig,
) -> None:
    """Say what a camera is called: on every dashboard at once, whatever it calls itself.

    Example: [b]pinhole portal device rename front-door "Front door" -c pinhole.toml[/]
    """
    from agent.portal.accounts.desk import Desk

    with Desk.open(load(config).portal) as desk:
        kept = desk.rename_camera(device, name)
    typer.echo(f"{device} is called {kept}")


@device_app.command("revoke")
def revoke(
    device: Annotated[str, typer.Argument(metavar="ID", help="The camera.")], config: PortalConfig
) -> None:
    """Shut a camera out, at once: its certificate, its key and its connection count no more.

    For a stolen one, or its card. It comes back with a claim code of its own:
    [b]pinhole portal claim --device ID[/].

    Example: [b]pinhole portal device revoke front-door -c pinhole.toml[/]
    """
    from agent.server import revoke_device

    asyncio.run(revoke_device(load(config), device))
    typer.echo(f"{device} is shut out")


def _read_devices(file: Path) -> list[str | None]:
    try:
        data = file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{file}: cannot read it: {exc.strerror}") from exc
    rows = read_sheet(data, str(file), ["device"])
    if len(rows) > MAX_ROWS:
        raise ConfigError(f"{file}: more than {MAX_ROWS} cameras")
    faults: list[str] = []
    names: dict[str, int] = {}
    for number, row in rows:
        name = row.get("device", "")
        if not is_id(name):
            faults.append(f"line {number}: {ascii(name)[:80]}: letters, digits, - and _{_or_type(name)}")
        elif name in names:
            faults.append(f"line {number}: {name} is in line {names[name]} already")
        names.setdefault(name, number)
    if faults:
        raise ConfigError("\n  ".join([f"{file}:", *faults[:20]]))
    return list(names)


def _or_type(name: str) -> str:
    """An id that is near to what somebody wrote."""
    near = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:64]
    return f": type {near}" if near else ""


def _checked(device: str) -> str:
    if not is_id(device):
        raise ConfigError(f"--device {device}: letters, digits, - and _, 64 at most")
    return device


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if not found or not 0 < int(found[1]) * _UNITS_S[found[2]] <= 366 * 86400:
        raise ConfigError(f"--expires {text}: as in 30m, 12h or 7d, a year at most")
    return float(int(found[1]) * _UNITS_S[found[2]])


def day(unix_s: float | None) -> str:
    """In UTC, to the minute; empty for never."""
    return "" if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat(" ", "minutes")[:16]
