"""The agent of a former release, in an environment of its own, under this portal: portals come first.

It was enrolled, and is started, by its own program; broker, portal and viewers are of this tree.
"""

import asyncio
import contextlib
import os
import subprocess

import aiohttp
import pytest
from parts.fleet_broker import fleet
from parts.house import Viewer
from parts.older_agent import older_python
from parts.portal import PASSWORD, USER
from parts.stack import await_log

PATIENCE_S = 30.0
SETTINGS = """
[device]
id = "cam"
name = "Old camera"
state_dir = "state-cam"
[camera]
source = "synthetic"
width_px = 320
height_px = 240
fps = 10
[camera.preview]
enabled = false
[data_plan]
monthly_cap_mb = 5
warn_percent = 1
"""


class Camera:
    """The older agent, as `cam` of a fleet."""

    def __init__(self, one):
        self.fleet = one
        self.python = older_python()
        self.config = one.folder / "cam.toml"
        self.config.write_text(SETTINGS)

    def command(self, *arguments):
        return [str(self.python), "-I", "-m", "agent", *map(str, arguments)]

    def enroll(self):
        arguments = ("--portal", self.fleet.url, "--code", self.fleet.claim(), "-c", self.config)
        done = subprocess.run(
            self.command("enroll", *arguments), cwd=self.fleet.folder, text=True, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout

    def start(self):
        with (self.fleet.folder / "cam.log").open("wb") as log:
            agent = subprocess.Popen(
                self.command("run", "-c", self.config), cwd=self.fleet.folder, env=os.environ,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.fleet.agents["cam"] = agent
        await_log(self.fleet.folder / "cam.log", r"connected to (\S+)", agent)

    def stop(self):
        self.fleet.stop_agent("cam")


class Dashboard:
    """A signed-in browser's WebSocket: the newest of the camera, and what happened."""

    def __init__(self):
        self.device = {}
        self.events = []

    async def listen(self, socket):
        async for frame in socket:
            message = frame.json()
            if message["type"] == "hello":
                self.device = next(iter(message["devices"]), {})
            elif message["type"] == "device":
                self.device = message["device"]
            elif message["type"] == "event":
                self.events.append(message)

    async def until(self, condition, what):
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition(self):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{what}: {self.device} {self.events}")


@contextlib.asynccontextmanager
async def dashboard(url):
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        login = {"user": USER, "password": PASSWORD, "code": ""}
        assert (await http.post(f"{url}/api/login", json=login)).status == 200
        async with http.ws_connect(f"{url}/api/ws") as socket:
            seen = Dashboard()
            listening = asyncio.create_task(seen.listen(socket))
            try:
                yield seen
            finally:
                listening.cancel()


class KeyframeViewer(Viewer):
    """Counts the pictures that need none before them."""

    keyframes = 0

    async def _look(self):
        async for frame in self.peer.frames():
            self.keyframes += frame.key_frame

    @property
    def may_ask(self):
        """Its channel opens after the first picture, or before it."""
        return self.peer._channel.readyState == "open"

    async def ask_for_keyframe(self):
        self.peer._channel.send('{"type": "keyframe"}')

    async def say_bye(self):
        await self.socket.send_json({"type": "bye", "session": self.session})


@contextlib.asynccontextmanager
async def watching(one):
    viewer = KeyframeViewer(one, is_hostile=False)
    try:
        login = {"user": USER, "password": PASSWORD, "code": ""}
        await viewer.watch("/api/login", login, "/api/ws", "pinhole")
        assert await viewer.sees(), one.log("cam")
        yield viewer
    finally:
        await viewer.close()


async def test_an_older_agent_serves_under_this_portal():
    with fleet() as one:
        camera = Camera(one)
        await asyncio.to_thread(camera.enroll)
        async with dashboard(one.url) as seen:
            await asyncio.to_thread(camera.start)
            await seen.until(lambda it: it.device.get("online"), "it is there")
            assert seen.device["id"] == "cam"
            await seen.until(lambda it: it.device["name"] == "Old camera", "it is called as it says")
            assert seen.device["version"] == "0.1.0"
            assert seen.device["viewers"] == 0

            async with watching(one) as viewer:
                await seen.until(lambda it: it.device["viewers"] == 1, "it says that somebody watches")
                await seen.until(lambda it: it.device["camera"] == "live", "and that its camera runs")
                await seen.until(lambda it: it.device["streams"], "and what it sends")
                assert [stream["width_px"] for stream in seen.device["streams"]] == [320]
                await seen.until(lambda _: viewer.may_ask, "its channel is open")
                before = viewer.keyframes
                await viewer.ask_for_keyframe()
                await seen.until(lambda _: viewer.keyframes > before, "a keyframe comes when it is asked for")
                await seen.until(lambda it: it.events, "an event is shown")
                assert (seen.events[0]["kind"], seen.events[0]["device"]) == ("data-cap-near", "cam")
                await viewer.say_bye()
                await seen.until(lambda it: it.device["viewers"] == 0, "a bye ends the session there, too")

            async with watching(one) as viewer:
                await asyncio.to_thread(camera.stop)
                await seen.until(lambda it: not it.device["online"], "it is away")
                await seen.until(lambda _: "bye" in viewer.told, "and said so to who watched")

            await asyncio.to_thread(camera.start)
            await seen.until(lambda it: it.device["online"], "it is back")
            async with watching(one) as viewer:
                await asyncio.to_thread(one.pinhole, "portal", "device", "revoke", "cam", "-c", one.config)
                assert await viewer.sees_nothing_within(PATIENCE_S), one.log("cam")
                await seen.until(lambda it: "revoked" in it.device["problem"], "the dashboard says why")
