"""The command line of scripts/flash."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.config.written import decode, parse_toml
from agent.errors import ConfigError
from flash import job, target
from flash.bootfiles import Site, Wifi
from flash.claims import Claim, make_claim, read_claims
from flash.console import progress, screen
from flash.errors import FlashError
from flash.source import expected_hash

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def main(
    image: Annotated[
        Path, typer.Argument(help="An official Raspberry Pi OS, or our own: .img, .img.xz, .img.zst.")
    ],
    to: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET", help="A card such as /dev/sda, an image file, or a folder for many."
        ),
    ],
    portal: Annotated[str, typer.Option(metavar="URL", help="Where the devices enrol themselves.")],
    claims: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Devices and claim codes, from [b]pinhole portal claim[/]."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this one of the CSV; or one with --code. Repeatable."),
    ] = None,
    code: Annotated[
        str | None, typer.Option(metavar="CODE", help="The claim code of a single device, instead of a CSV.")
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The image file's hash. Default: IMAGE.sha256 beside it."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A pinhole.toml for the devices.", dir_okay=False)
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Authorities (PEM) of the portal's certificate, if not the system's."
        ),
    ] = None,
    ssh_key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.pub", help="Who may log in; nobody without. Repeatable."),
    ] = None,
    user: Annotated[str, typer.Option(help="The name to log in with.")] = "pi",
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="Such as Europe/Berlin.")] = "Etc/UTC",
    wifi: Annotated[
        str | None,
        typer.Option(
            metavar="SSID", help="A Wi-Fi to join; its password is taken from $WIFI_PASSWORD, or asked for."
        ),
    ] = None,
    country: Annotated[str, typer.Option(metavar="XX", help="Whose radio rules hold for the Wi-Fi.")] = "GB",
    boot_line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LINE", help="More for config.txt, such as dtoverlay=imx462. Repeatable, in order."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a card is overwritten.")] = False,
) -> None:
    """Write an image to cards or files, and tell each device who it is and where it belongs.

    Checks the image's hash, refuses a disk that is in use, writes, reads everything back, and puts the boot
    files and one claim code on the boot partition. Needs no root for an image file.

    Examples: [b]scripts/flash pios.img.xz /dev/sda --portal https://cams.example.org --claims claims.csv[/]
              [b]scripts/flash pinhole.img.zst cards/ --portal https://cams.example.org --claims claims.csv[/]
              [b]scripts/flash pios.img.xz x.img --portal https://cams.example.org --device door --code C[/]
    """
    devices = _devices(claims, device or [], code)
    site = Site(
        portal=portal,
        user=user,
        timezone=timezone,
        ssh_keys=tuple(line for file in ssh_key or () for line in _read(file).splitlines() if line.strip()),
        wifi=Wifi(wifi, _wifi_password(), country) if wifi else None,
        settings=_read_settings(settings) if settings else None,
        ca=_read(ca_file) if ca_file else None,
        boot_lines=tuple(boot_line or ()),
    )
    if not image.is_file():
        raise FlashError(f"{image} is not there")
    places = [(claim, _place(to, claim, many=len(devices) > 1)) for claim in devices]
    job.check(image, expected_hash(image, sha256), progress)
    for number, (claim, place) in enumerate(places, 1):
        _one(image, place, site, claim, f"{number} of {len(places)}", ask=not yes)


def _one(image: Path, place: Path, site: Site, claim: Claim, count: str, *, ask: bool) -> None:
    if ask and place.is_block_device():
        typer.confirm(
            f"{claim.device} ({count}): is its card in {place}?", default=True, abort=True, err=True
        )
    chosen = target.choose(place)
    screen.print(f"[b]{claim.device}[/] ({count}): {chosen.words}")
    if ask and chosen.is_card:
        typer.confirm("Everything on it is lost. Go on?", abort=True, err=True)
    job.flash(image, chosen, progress)
    names = job.inject(place, site, claim)
    screen.print(f"[green]done[/]: {len(names)} boot files, read back; {claim.device} may start")


def _devices(file: Path | None, wanted: list[str], code: str | None) -> list[Claim]:
    if code is not None:
        if file or len(wanted) != 1:
            raise FlashError("--code goes with one --device and no --claims")
        return [make_claim(wanted[0], code)]
    if file is None:
        raise FlashError("who is it? --claims FILE.csv, or --device ID with --code CODE")
    claims = read_claims(file)
    if missing := set(wanted) - {claim.device for claim in claims}:
        raise FlashError(f"{file} has no {', '.join(sorted(missing))}")
    return [claim for claim in claims if not wanted or claim.device in wanted]


def _place(to: Path, claim: Claim, *, many: bool) -> Path:
    if to.is_dir():
        return to / f"{claim.device}.img"
    if many and not to.is_block_device():
        raise FlashError(f"{to}: several devices need a folder, or a card reader")
    return to


def _wifi_password() -> str:
    return os.environ.get("WIFI_PASSWORD") or str(typer.prompt("Wi-Fi password", hide_input=True, err=True))


def _read(file: Path) -> str:
    try:
        return decode(file.read_bytes(), str(file))
    except OSError as exc:
        raise FlashError(f"{file} cannot be read: {exc.strerror}") from exc
    except ConfigError as exc:
        raise FlashError(str(exc)) from exc


def _read_settings(file: Path) -> str:
    text = _read(file)
    try:
        parse_toml(text.encode(), str(file))
    except ConfigError as exc:
        raise FlashError(str(exc)) from exc
    return text


if __name__ == "__main__":
    try:
        app(prog_name="scripts/flash")
    except FlashError as exc:
        screen.print(f"[bold red]flash:[/] {exc}", soft_wrap=True)
        sys.exit(1)
