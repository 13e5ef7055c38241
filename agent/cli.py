"""The command line: parses arguments, sets up logging, and hands over to the program that was asked for.

Each command imports its own program, so that `pinhole --help` does not load the media libraries.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from agent import __version__
from agent.cli_devices import broker_config, claim, device_app, enroll, keys_app
from agent.cli_portal import audit_app, group_app, user_app
from agent.config import load, read_secret
from agent.config.document import example
from agent.config.files import file_faults
from agent.errors import ConfigError, PinholeError
from agent.model.media import StreamName
from agent.model.tasks import give_up_later
from agent.model.text import LineFormatter, printable

if TYPE_CHECKING:
    from agent.watch.portal import SignIn

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NOISY = (
    "aioice",
    "aiortc",
    "alembic.runtime.plugins",
    "amqtt",
    "asyncio",
    "libav",
    "transitions",
    "websockets",
)
"""Libraries that tell at `info` what only their authors want to know."""

app = typer.Typer(
    name="pinhole",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
portal_app = typer.Typer(invoke_without_command=True)
portal_app.add_typer(user_app, name="user")
portal_app.add_typer(group_app, name="group")
portal_app.add_typer(audit_app, name="audit")
portal_app.add_typer(device_app, name="device")
portal_app.add_typer(keys_app, name="keys")
portal_app.command()(claim)
portal_app.command("broker-config")(broker_config)
app.add_typer(portal_app, name="portal")
app.command()(enroll)
fleet_app = typer.Typer(invoke_without_command=True)
app.add_typer(fleet_app, name="fleet")
config_app = typer.Typer(no_args_is_help=True, help="Check a settings file, or print one to start from.")
app.add_typer(config_app, name="config")

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="FILE", help="The settings, see [b]pinhole config example[/]."),
]

PortalOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Default: the running demo's, else http://127.0.0.1:8080.")
]
UserOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who signs in. Default: the running demo's user.")
]
PasswordOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with the password. Default: the running demo's, else ask."),
]
CodeOption = Annotated[
    str, typer.Option(metavar="CODE", help="What your authenticator shows, where you have one.")
]


def main() -> None:
    """Run a command: exit code 0 when it did its work, 1 with one message when not, 2 on wrong usage."""
    try:
        app()
    except PinholeError as exc:
        _fail([exc])
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as exc:
        if exc.filename is None:
            raise
        _fail([ConfigError(f"{os.fsdecode(exc.filename)}: {exc.strerror}")])
    except BaseExceptionGroup as group:
        known, unknown = group.split(PinholeError)
        if unknown or known is None:
            raise
        _fail(_leaves(known))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pinhole {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # its callback does the work, before a command is asked for
        bool,
        typer.Option(
            "--version", help="Print the version and leave.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """A camera on a Raspberry Pi, live in a browser in under a second.

    Try it on this machine:   [b]pinhole demo[/]
    On the camera:            [b]pinhole run --config pinhole.toml[/]
    Make it known there:      [b]pinhole enroll --portal https://… --code … --config pinhole.toml[/]
    On the server:            [b]pinhole portal --config pinhole.toml[/]
    In a terminal:            [b]pinhole watch[/]
    Where it does not work:   [b]pinhole doctor --config pinhole.toml[/]
    Tab completes, once:      [b]pinhole --install-completion[/]
    """


@app.command()
def run(config: ConfigOption) -> None:
    """Run the agent: capture, encode once, and send to every viewer.

    Example: [b]pinhole run --config /etc/pinhole/pinhole.toml[/]
    """
    settings = load(config)
    _log_to_stderr(settings.log.level)
    from agent.app import run_agent

    _serve(run_agent(settings))


@portal_app.callback()
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
    _log_to_stderr(settings.log.level)
    from agent.server import run_portal

    log = logging.getLogger("agent.portal")
    _serve(run_portal(settings, lambda url: log.info(f"dashboard at {url}")))


@app.command()
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
    _log_to_stderr("warning")
    from agent.demo.supervisor import run_demo

    _serve(run_demo(camera, port))


@app.command()
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
    _log_to_stderr("error")
    from agent.watch.viewer import Wish, run_watch

    url, sign_in = _whom_to_ask(portal, user, password_file, code)
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
    _serve(run_watch(wish, json_wanted=as_json))


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
    _log_to_stderr("error")
    from agent.watch.fleet import run_fleet

    url, sign_in = _whom_to_ask(portal, user, password_file, code)
    _serve(run_fleet(url, sign_in, Console(highlight=False, emoji=False), json_wanted=as_json))


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
    _log_to_stderr("error")
    from agent.watch.fleet import run_look

    url, sign_in = _whom_to_ask(portal, user, password_file, code)
    _serve(run_look(url, sign_in, device or [], Console(highlight=False, emoji=False)))


@app.command("do")
def do(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The camera's id.")],
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
        typer.Option(min=1, max=3600, help="Seconds that a camera that is away may take to get it."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you are sure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Have a camera do something, and print what became of it.

    Exit code 0 where it was done, 1 where it was refused or failed, 3 where the camera did not answer.

    Examples: [b]pinhole do front-door identify seconds=20[/]
              [b]pinhole do front-door restart-stream[/]
              [b]pinhole do front-door reboot --portal https://cams.example.org --user ann[/]
    """
    _log_to_stderr("error")
    from agent.model.command import COMMANDS
    from agent.watch.commands import NOT_KNOWN, Told, do_command, encode, parse_arguments

    kind = COMMANDS.get(name)
    if kind is not None and kind.question and not yes:
        typer.confirm(f"{kind.question} {kind.label} {device}?", abort=True)
    url, sign_in = _whom_to_ask(portal, user, password_file, code)
    given = parse_arguments(arguments or [])
    told = Told("")

    async def ask() -> None:
        nonlocal told
        is_confirmed = yes or kind is not None
        told = await do_command(
            url, sign_in, device, name, given, expires_s=expires, is_confirmed=is_confirmed
        )

    _serve(ask())
    typer.echo(encode(told) if as_json else printable(told.words))
    if not told.ok:
        raise typer.Exit(3 if told.code in NOT_KNOWN else 1)


def _whom_to_ask(
    portal: str | None, user: str | None, password_file: Path | None, code: str
) -> tuple[str, "SignIn"]:
    """The portal's URL, and who signs in there."""
    from agent.demo.folder import find_running
    from agent.watch.portal import SignIn

    running = find_running() if portal is None or password_file is None else None
    if running and portal in (None, running.url):
        portal, user = running.url, user or running.user
        password_file = password_file or running.password_file
    if user is None:
        raise ConfigError("say who signs in: --user NAME --password-file FILE (and no demo runs here)")
    return portal or "http://127.0.0.1:8080", SignIn(user, _password(password_file), code)


@app.command()
def doctor(
    config: ConfigOption,
    portal: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Compare clocks with it, and ask it for its ICE servers."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sign in: ICE servers are for who is signed in.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with this user's password.")
    ] = None,
    with_camera: Annotated[
        bool, typer.Option("--camera/--no-camera", help="Whether to run the camera for two seconds.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Say what keeps this device from serving, and what to do about it.

    Looks at settings, clock, names, network, broker, portal, ICE servers, NAT, camera and board, in 20 s at
    most. Exit code 0 where the device can serve, 1 where not; warnings do not change it.

    Examples: [b]pinhole doctor --config pinhole.toml[/]
              [b]pinhole doctor -c pinhole.toml --portal https://example.org --user ann --password-file p[/]
    """
    _log_to_stderr("error")
    from agent.doctor.report import encode
    from agent.doctor.screen import Screen
    from agent.doctor.wiring import Wish, run_doctor
    from agent.watch.portal import SignIn

    if (user is None) != (password_file is None) or (user and not portal):
        raise typer.BadParameter("needs --portal, --user and --password-file", param_hint="signing in")
    sign_in = SignIn(user, read_secret(password_file)) if user and password_file else None
    wish = Wish(portal, sign_in, with_camera=with_camera)
    can_serve = False

    async def visit() -> None:
        nonlocal can_serve
        with Screen(Console(stderr=as_json, highlight=False, emoji=False), is_quiet=as_json) as screen:
            report = await run_doctor(config, wish, screen)
            screen.close(report)
        can_serve = report.can_serve
        if as_json:
            typer.echo(encode(report))

    _serve(visit())
    raise typer.Exit(0 if can_serve else 1)


@config_app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check a settings file, and the files that it names, and name every fault.

    Run it as the user who runs the service: it must be able to read them all.

    Example: [b]pinhole config check pinhole.toml[/]
    """
    settings = load(file)
    if faults := file_faults(settings):
        raise ConfigError("\n  ".join([f"{file}: every setting is valid, but not every file:", *faults]))
    typer.echo(f"{file}: good")


@config_app.command("example")
def print_example() -> None:
    """Print a settings file with every setting explained.

    Example: [b]pinhole config example > pinhole.toml[/]
    """
    typer.echo(example(), nl=False)


def _password(file: Path | None) -> str:
    """A user's password: from its file, or typed in; never an argument, which others can read."""
    if file:
        return read_secret(file)
    if not sys.stdin.isatty():
        raise ConfigError("the password is needed: --password-file FILE (and no demo runs here)")
    return str(typer.prompt("Portal password", hide_input=True))


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(LOG_FORMAT, "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in NOISY if level != "debug" else ():
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def _serve(program: Coroutine[Any, Any, None]) -> None:
    """Run until it ends, or INT, TERM or HUP cancels it; a second signal ends the process at once."""
    asyncio.run(_until_signal(program))


async def _until_signal(program: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(program, name="program")
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) asks to outlive the terminal
        signals.append(signal.SIGHUP)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        for number in signals:
            loop.remove_signal_handler(number)
        task.cancel()
        give_up_later()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc


def _fail(errors: Iterable[BaseException]) -> None:
    console = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    for error in errors:
        console.print("[bold red]pinhole:[/]", end=" ")
        console.print(printable(str(error)), markup=False)
    sys.exit(1)
