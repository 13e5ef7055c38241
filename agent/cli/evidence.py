"""`pinhole export` and `verify`: recordings as evidence."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import CodeOption, PasswordOption, PortalOption, UserOption, whom_to_ask
from agent.cli.process import console, log_to_stderr, serve
from agent.errors import ConfigError
from agent.model.media import StreamName
from agent.model.text import printable

UNPROVEN = 3
"""Exit code of a file that is whole, and signed by whoever."""


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE.mp4", help="What a camera has exported.")],
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The camera's public key, 43 characters, or a file with it."),
    ] = None,
    portal: PortalOption = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check that an exported recording is, bit for bit, what its camera signed.

    The key that counts is the one that the portal knows the camera by, or that you give; without either it is
    only checked that the file is whole, since anybody can sign with a key of their own.

    Exit code 0 where all is proven, 1 where something was changed, 3 where the file is whole and nobody says
    whose key it is. It proves that who holds the camera's key signed this film with these times; not what
    stood before the lens, nor that the camera's clock was right.

    Examples: [b]pinhole verify door.mp4 --portal https://cams.example.org --user ann[/]
              [b]pinhole verify door.mp4 --key qg4…43 characters…[/]
    """
    log_to_stderr("error")
    from agent.client.evidence import DeviceKey, as_json_text, ask_key, describe, read_key
    from agent.model.evidence import EvidenceError, Manifest, peek
    from agent.model.evidence import verify as check
    from agent.model.keys import encode_public
    from agent.signaling.trust import KeyRing, open_sealed

    known: DeviceKey | None = None
    manifest: Manifest | None = None
    is_trusted = False
    try:
        said = peek(file)
        if key is not None:
            known, is_trusted = DeviceKey(encode_public(read_key(key))), True
        elif wants_portal(portal, user):
            url, sign_in = whom_to_ask(portal, user, password_file, code)

            async def ask() -> None:
                nonlocal known, is_trusted
                known, is_trusted = await ask_key(url, sign_in, said.device), True

            serve(ask())
        ring = KeyRing.of([read_key(known.key if known else said.key)])
        manifest = check(file, lambda topic, sealed: open_sealed(topic, sealed, ring.find))
        words = "not changed since its camera signed it"
        if not is_trusted:
            words = "not changed since it was signed; whose key that is, --portal or --key can tell"
    except EvidenceError as exc:
        words = str(exc)
    if as_json:
        typer.echo(as_json_text(manifest, intact=manifest is not None, trusted=is_trusted, words=words))
    else:
        typer.echo(printable(f"{file}: {words}"))
        if manifest:
            describe(manifest, known, lambda line: typer.echo(printable(line)))
            typer.echo(f"key       {known.key if known else manifest.key}")
    if manifest is None:
        raise typer.Exit(1)
    if not is_trusted:
        raise typer.Exit(UNPROVEN)


def wants_portal(portal: str | None, user: str | None) -> bool:
    """Whether there is a portal to ask: one that was named, or the demo that runs here."""
    from agent.demo.folder import find_running

    return portal is not None or user is not None or find_running() is not None


def export(
    device: Annotated[
        str, typer.Argument(metavar="DEVICE", help="The camera's id; `pinhole fleet` lists them.")
    ],
    since: Annotated[str, typer.Argument(metavar="FROM", help="2026-11-29T10:00, 10:00 (today), 15m (ago).")],
    until: Annotated[str, typer.Argument(metavar="TO", help="The same, or now.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.mp4", help="Where it is written.")],
    portal: PortalOption = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
    stream: Annotated[StreamName, typer.Option(help="The full picture, or the small one.")] = "main",
    relay_only: Annotated[bool, typer.Option("--relay-only", help="Go through TURN servers only.")] = False,
) -> None:
    """Fetch what a camera recorded between two times, as one MP4 that the camera signs.

    Times without a zone are this machine's. It needs the permission recordings, goes straight from the camera
    as a live picture does, and gives way to those who watch.

    Examples: [b]pinhole export front-door 15m now door.mp4[/]
              [b]pinhole export front-door 10:00 10:05 door.mp4 --portal https://… --user ann[/]
    """
    log_to_stderr("error")
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from agent.client.export import ExportWish, parse_time, run_export

    if file.exists():
        raise ConfigError(f"{file}: is there already")
    now = datetime.now().astimezone()
    span = parse_time(since, now), parse_time(until, now)
    url, sign_in = whom_to_ask(portal, user, password_file, code)
    wish = ExportWish(url, sign_in, device, *span, stream, file, relay_only)
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()

    async def fetch() -> None:
        with Progress(*columns, console=console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=None, start=False)

            def show(here: int, size_bytes: int) -> None:
                progress.start_task(task)
                progress.update(task, completed=here, total=size_bytes)

            await run_export(wish, lambda words: progress.console.print(printable(words)), show)

    serve(fetch())
    typer.echo(f"{file}: `pinhole verify {file}` says what it proves")
