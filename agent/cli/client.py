"""`pinhole watch`, `fleet …`, `do` and `sms`: what a user of a portal asks of it."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import CodeOption, PasswordOption, PortalOption, UserOption, whom_to_ask
from agent.cli.process import console, log_to_stderr, serve
from agent.model.command import COMMANDS, CommandKind, argument_names
from agent.model.media import StreamName
from agent.model.remote_settings import Changes
from agent.model.sms import VERBS
from agent.model.text import printable

fleet_app = typer.Typer(invoke_without_command=True)


def watch(
    portal: PortalOption = None,
    device: Annotated[
        str | None, typer.Option(metavar="ID", help="Needed where there are several cameras.")
    ] = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
    seconds: Annotated[
        float | None, typer.Option(min=0.1, max=86400, help="Stop after this long from the first frame.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE.mp4", help="Write what is seen to a file.")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE.jpg", help="Write the first picture.")
    ] = None,
    relay_only: Annotated[bool, typer.Option("--relay-only", help="Go through TURN servers only.")] = False,
    stream: Annotated[
        StreamName | None, typer.Option(help="Ask for this one, where the camera has both. Default: main.")
    ] = None,
) -> None:
    """Watch a camera in the terminal: connects like a browser and shows the stream's statistics.

    Exit code 0 where a picture was decoded, else 1.

    Examples: [b]pinhole watch[/]
              [b]pinhole watch --stream preview[/]
              [b]pinhole watch --seconds 10 --json[/]
              [b]pinhole watch --portal https://cams.example.org --user ann --device front-door[/]
    """
    log_to_stderr("error")
    from agent.client.watch import Wish, run_watch

    url, sign_in = whom_to_ask(portal, user, password_file, code)
    wish = Wish(
        portal=url,
        device=device,
        sign_in=sign_in,
        seconds=seconds,
        relay_only=relay_only,
        stream=stream,
        record=record,
        snapshot=snapshot,
    )
    serve(run_watch(wish, json_wanted=as_json))


@fleet_app.callback(invoke_without_command=True)
def fleet(
    context: typer.Context,
    portal: PortalOption = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List every device of a portal: release, health, what its doctor says, what was rolled back and why.

    Examples: [b]pinhole fleet --portal https://cams.example.org --user ann[/]
              [b]pinhole fleet --json[/]
    """
    if context.invoked_subcommand:
        return
    log_to_stderr("error")
    from agent.client.fleet import run_fleet

    url, sign_in = whom_to_ask(portal, user, password_file, code)
    serve(run_fleet(url, sign_in, console(), json_wanted=as_json))


@fleet_app.command()
def look(
    device: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Default: all that you operate.")
    ] = None,
    portal: PortalOption = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
) -> None:
    """Have devices look for a new release now, instead of at their timer's next turn.

    For those that pull (agent_release_url). Each asks within half a minute where its own settings say, takes
    only what is signed, and rolls it back where it does not work. One that is offline looks when it is back.

    Examples: [b]pinhole fleet look front-door --portal https://cams.example.org --user ann[/]
              [b]pinhole fleet look --portal https://cams.example.org --user ann[/]
    """
    log_to_stderr("error")
    from agent.client.fleet import run_look

    url, sign_in = whom_to_ask(portal, user, password_file, code)
    serve(run_look(url, sign_in, device or [], console()))


def list_commands() -> str:
    """What `pinhole do` can ask for, as the end of its help."""
    kinds = [kind for kind in COMMANDS.values() if "broker" in kind.ways]
    # Two lines each: a terminal of 80 columns has no room for both side by side.
    lines = [f"[b]{_usage(kind)}[/] ({kind.permission})\n    {kind.label or kind.about}" for kind in kinds]
    return "\n".join(["Names, with what each takes and the permission that it needs:", *lines])


def _usage(kind: CommandKind) -> str:
    names = ["KEY"] if kind.arguments is Changes else argument_names(kind)
    return " ".join([kind.name, *(f"{name}=…" for name in names)])


def do(
    device: Annotated[
        str, typer.Argument(metavar="DEVICE", help="The camera's id; `pinhole fleet` lists them.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to do; see below.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="As the command takes them.")
    ] = None,
    portal: PortalOption = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
    expires: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=3600,
            help="Seconds that a camera that is away may take to get it; `set` has 180 at least.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you are sure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Have a camera do something, and print what became of it; a picture becomes a file here.

    Exit code 0 where it was done, 1 where it was refused or failed, 3 where the camera did not answer.

    Examples: [b]pinhole do front-door identify seconds=20[/]
              [b]pinhole do front-door restart-stream[/]
              [b]pinhole do front-door reboot --portal https://cams.example.org --user ann[/]
    """
    log_to_stderr("error")
    from agent.client.commands import NOT_KNOWN, Told, do_command, encode, parse_arguments
    from agent.client.stills import file_name, has_picture, save

    kind = COMMANDS.get(name)
    if kind is not None and kind.question and not yes:
        typer.confirm(f"{kind.question} {kind.label} {device}?", abort=True)
    url, sign_in = whom_to_ask(portal, user, password_file, code)
    given = parse_arguments(arguments or [], kind)
    told = Told("")

    async def ask() -> None:
        nonlocal told
        is_confirmed = yes or kind is not None
        told = await do_command(
            url, sign_in, device, name, given, expires_s=expires, is_confirmed=is_confirmed,
            say=lambda words: typer.echo(printable(words), err=True),
        )  # fmt: skip

    serve(ask())
    if has_picture(told) and not as_json:
        typer.echo(printable(save(told, file_name(device, told))))
    else:
        typer.echo(encode(told) if as_json else printable(told.words))
    if not told.ok:
        raise typer.Exit(3 if told.code in NOT_KNOWN else 1)


def snapshot(
    device: Annotated[
        str, typer.Argument(metavar="DEVICE", help="The camera's id; `pinhole fleet` lists them.")
    ],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE.jpg]", help="Default: named by camera and time, here.")
    ] = None,
    portal: PortalOption = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
    full: Annotated[
        bool, typer.Option("--full", help="The full picture: connects as `pinhole watch` does.")
    ] = False,
) -> None:
    """Take a picture: a small one through the portal, of a camera that may rest; or the full one, live.

    Small is at most 640 pixels wide and 40 kB, which is what a message carries. Exit code 0 where there is a
    file, 1 where not, 3 where the camera did not answer.

    Examples: [b]pinhole snapshot front-door[/]
              [b]pinhole snapshot front-door now.jpg --full --portal https://cams.example.org --user ann[/]
    """
    log_to_stderr("error")
    from agent.client.commands import NOT_KNOWN, Told, do_command
    from agent.client.stills import file_name, save
    from agent.client.watch import Wish, run_snapshot

    url, sign_in = whom_to_ask(portal, user, password_file, code)
    if full:
        wanted = file or file_name(device, Told(""))
        serve(run_snapshot(Wish(url, sign_in, device, seconds=0.1, stream="main", snapshot=wanted)))
        typer.echo(str(wanted))
        return
    told = Told("")

    async def ask() -> None:
        nonlocal told
        told = await do_command(
            url, sign_in, device, "snapshot", {}, expires_s=None, is_confirmed=True,
            say=lambda words: typer.echo(printable(words), err=True),
        )  # fmt: skip

    serve(ask())
    if not told.ok:
        typer.echo(printable(told.words), err=True)
        raise typer.Exit(3 if told.code in NOT_KNOWN else 1)
    typer.echo(printable(save(told, file or file_name(device, told))))


def sms(
    device: Annotated[
        str, typer.Argument(metavar="CAMERA", help="The camera's id; `pinhole fleet` lists them.")
    ],
    verb: Annotated[str, typer.Argument(metavar="VERB", help=", ".join(VERBS))],
    argument: Annotated[str, typer.Argument(metavar="[APN]", help="The name, where the verb is apn.")] = "",
    portal: PortalOption = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    code: CodeOption = "",
) -> None:
    """Print an SMS to send to a camera that its portal does not reach: it does what it says, once.

    For cameras with [b]sms.enabled = true[/]. [b]status[/] asks how it is, [b]reboot[/] reboots it,
    [b]apn[/] gives it another access point name, [b]plan[/] says that the data plan was filled up. It counts
    for six hours, for this camera alone, and the camera answers the number that it came from.

    Examples: [b]pinhole sms front-door status --portal https://cams.example.org --user ann[/]
              [b]pinhole sms front-door apn internet.example[/]
    """
    log_to_stderr("error")
    from agent.client.commands import SmsAnswer, make_sms

    url, sign_in = whom_to_ask(portal, user, password_file, code)
    answer = SmsAnswer()

    async def ask() -> None:
        nonlocal answer
        answer = await make_sms(url, sign_in, device, verb, argument)

    serve(ask())
    typer.echo(answer.text)
    if answer.note:
        typer.echo(printable(answer.note), err=True)
