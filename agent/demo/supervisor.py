"""Starts the demo's parts in order, says how to use them, and ends them in order."""

import asyncio
import contextlib
import functools
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
from rich.console import Console

from agent.config import Settings, load, parse_source
from agent.demo.broker import USERNAME, DemoBroker, demo_broker
from agent.demo.child import Child
from agent.demo.enrolment import enroll_here
from agent.demo.folder import USER, demo_folder
from agent.errors import MessageError, PinholeError
from agent.model.program import command
from agent.model.signal import State
from agent.model.tasks import EssentialTasks
from agent.model.topics import Topic, encode_topic
from agent.portal.accounts.desk import Desk
from agent.signaling.identity import load_key
from agent.signaling.messages import parse_state
from agent.signaling.trust import VerifyKey, open_sealed

READY_TIMEOUT_S = 60.0
"""A Zero 2 W takes half a minute to load the media libraries from its card."""
AGENT_STOP_S, PORTAL_STOP_S = 3.5, 1.0
"""What each may take after SIGINT. With the harder signals and the broker, 7.5 s at worst."""
OPEN_TIMEOUT_S = 2.0
PORT_TRIES = 50
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without 0 o 1 l i, which people mix up: four groups of four are 79 bits."""
ATTENTIVE = """\
[motion]
enabled = true
min_size_percent = 0.6
[record]
mode = "event"
max_mb = 100
min_free_mb = 20
"""
"""Where the camera may run all the time. What flickers as the test picture's stamp does is smaller; and the
demo's folder may be in memory, where a Zero 2 W has 40 MB for it."""

Say = Callable[..., None]
"""rich's `Console.print`."""


async def run_demo(camera: str, port: int) -> None:
    """Run until cancelled. `port` 0 takes any; a busy one, the next that is free.

    Raises PinholeError when a part does not come up or ends, with its last lines.
    """
    say = Console(highlight=False, emoji=False, soft_wrap=True).print
    camera = _absolute(camera)
    with demo_folder() as folder:
        password = secrets.token_urlsafe(24)
        _write_private(folder / "broker-password", password)
        async with demo_broker(password) as broker:
            say(f"broker   mqtt://127.0.0.1:{broker.port}")
            free = _free_port(port)
            if free != port and port:
                say(f"         port {port} is taken: the dashboard takes {free}")
            is_attentive = await _shows_nobody(camera, folder)
            settings = _write_settings(folder, broker.port, free, camera, is_attentive=is_attentive)
            _add_user(settings, folder)
            enroll_here(settings.device, settings.portal)
            await _supervise(settings, folder, broker, say)


async def _supervise(settings: Settings, folder: Path, broker: DemoBroker, say: Say) -> None:
    async with contextlib.AsyncExitStack() as stack, EssentialTasks() as group:
        # Stopped in the opposite order: the agent says good-bye to its viewers through the portal.
        for name, command, grace_s in (("portal", "portal", PORTAL_STOP_S), ("agent", "run", AGENT_STOP_S)):
            child = await Child.start(name, command, folder / "pinhole.toml")
            stack.push_async_callback(child.stop, grace_s)
            group.start(child.follow(functools.partial(say, markup=False)), name=f"demo: follow {name}")
        await _announce(settings, folder, broker, say)
        await group.until_one_ends()


async def _announce(settings: Settings, folder: Path, broker: DemoBroker, say: Say) -> None:
    """Wait until all parts work together, and tell how to use them."""
    url = f"http://127.0.0.1:{settings.portal.port}"
    topic = encode_topic(settings.broker.topic_prefix, Topic(settings.device.id, "state"))
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await _healthy(url)
            say(f"portal   {url}")
            state = await _online(broker, topic, load_key(settings.device.state_dir).verify_key)
    except TimeoutError as exc:
        raise PinholeError(f"the demo was not ready within {READY_TIMEOUT_S:g} s") from exc
    say(f"camera   id {settings.device.id}: {_describe(settings.camera.source, state)}")
    if settings.motion.enabled:
        say("         looked at for motion, which is recorded until the demo ends")
    password = (folder / "portal-password").read_text().strip()
    (folder / "url").write_text(url + "\n")
    link, browsers_own = _entry_links(settings, url)
    opened = await _open_browser(browsers_own)
    said = "Your browser shows it. Elsewhere, open this" if opened else "Open this"
    say(f"\n  {said}: it signs you in, once.")
    say(f"  [bold][link={link}]{link}[/link][/]\n")
    say(f"  Later     {url}\n  User      {USER}\n  Password  ", end="")
    say(password, markup=False)
    if "SSH_CONNECTION" in os.environ:
        own = f"{settings.portal.port}:127.0.0.1:{settings.portal.port}"
        say(f"  From your own machine, first: ssh -L {own} {socket.gethostname()}")
    say(f"  In a terminal: [bold]{command()} watch[/]. Ctrl-C ends the demo.\n")


def _entry_links(settings: Settings, url: str) -> tuple[str, str]:
    """Two, since each works once: for the person, and for the browser that we open."""
    with Desk.open(settings.portal) as desk:
        return f"{url}/#/enter/{desk.entry_link(USER)}", f"{url}/#/enter/{desk.entry_link(USER)}"


async def _open_browser(link: str) -> bool:
    """Show it where a person sits at a desktop. Its browser outlives the demo, as it should.

    Other users of this machine may see the link among the processes: it is used up a moment later.
    """
    is_desktop = sys.stdout.isatty() and ("DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ)
    opener = shutil.which("xdg-open")
    if not is_desktop or "SSH_CONNECTION" in os.environ or opener is None:
        return False
    try:
        process = await asyncio.create_subprocess_exec(
            opener, link,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            return await process.wait() == 0
    except TimeoutError:
        return True  # some openers stay as long as the browser
    except OSError:
        return False


async def _healthy(url: str) -> None:
    """Until the portal answers and has its broker."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
                async with http.get(f"{url}/healthz") as answer:
                    if (await answer.json()).get("broker") is True:
                        return
            await asyncio.sleep(0.1)


async def _online(broker: DemoBroker, topic: str, key: VerifyKey) -> State:
    """The agent's retained state, once it says that it is online."""
    while True:
        with contextlib.suppress(MessageError):
            state = parse_state(open_sealed(topic, broker.retained(topic), lambda _kid: key))
            if state.online:
                return state
        await asyncio.sleep(0.05)


def _describe(source: str, state: State) -> str:
    if state.problem:
        return f"{state.camera_kind or source}: {state.problem}"
    if not state.camera_kind:
        return "started when somebody watches"
    size = "".join(f" {one.width_px}x{one.height_px} at {one.fps:g} fps" for one in state.streams[:1])
    if source == "demo" and state.camera_kind == "synthetic":
        return f"test picture{size}: neither a Pi camera nor a USB camera was found"
    return state.camera_kind + size


def _absolute(camera: str) -> str:
    """A replayed file is relative to where the person stands, not to the demo's folder."""
    try:
        kind, name = parse_source(camera)
    except ValueError as exc:
        raise PinholeError(f"--camera {camera}: {exc}") from exc
    if kind != "replay":
        return camera
    file = Path(name).expanduser().absolute()
    if file.is_dir():
        raise PinholeError(f"--camera: a folder and not a file: {file}")
    if not file.is_file():
        raise PinholeError(f"--camera: no such file: {file}")
    return f"replay:{file}"


def _write_settings(
    folder: Path, broker_port: int, port: int, camera: str, *, is_attentive: bool
) -> Settings:
    file = folder / "pinhole.toml"
    file.write_text(
        f"""\
[device]
name = "Demo camera"
state_dir = "camera"
[broker]
url = "mqtt://127.0.0.1:{broker_port}"
version = "3.1.1"
username = "{USERNAME}"
password_file = "broker-password"
[camera]
source = {json.dumps("demo" if camera == "auto" else camera)}
[portal]
port = {port}
{ATTENTIVE if is_attentive else ""}"""
    )
    return load(file)


async def _shows_nobody(camera: str, folder: Path) -> bool:
    """Whether it is a test picture or a film: a camera of one's own runs only while somebody watches.

    The cameras are looked for as by the agent, in a process that ends: libcamera would stay in memory.
    """
    kind = camera.partition(":")[0]
    if kind != "auto":
        return kind in ("synthetic", "replay")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.camera.select"),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await process.wait() != 0
    finally:
        if process.returncode is None:
            process.kill()


def _add_user(settings: Settings, folder: Path) -> None:
    password = "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))
    _write_private(folder / "portal-password", password + "\n")
    with Desk.open(settings.portal) as desk:
        desk.add_user(USER, "admin", password=password)


def _free_port(wanted: int) -> int:
    """`wanted` or the next one that is free on loopback; for 0, any."""
    for port in range(wanted, min(wanted + PORT_TRIES, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise PinholeError(f"no free port from {wanted} on: choose another with --port")


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
