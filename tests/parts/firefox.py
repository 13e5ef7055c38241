"""Debian's Firefox, driven by WebDriver BiDi (W3C), which is one WebSocket.

Playwright drives a Firefox of its own making, and Debian's by a protocol that is younger than the ESR.
"""

import asyncio
import base64
import json
import os
import re
import shutil
import tempfile
from contextlib import asynccontextmanager
from ctypes.util import find_library
from pathlib import Path

import aiohttp
from parts.need import need

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10
_PREFERENCES = {
    "media.autoplay.default": 0,
    "media.navigator.mediadatadecoder_h264_enabled": True,  # Debian's FFmpeg decodes
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.gmp-manager.updateEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
}
_PLUGIN = """Name: fakeopenh264
Description: says that there is H.264, and leaves it to FFmpeg
Version: 1.0
APIs: encode-video[h264], decode-video[h264]
"""
"""Firefox offers H.264 where the OpenH264 plug-in is known, which no registry has."""


class Page:
    """Its one tab."""

    def __init__(self, socket):
        self._socket = socket
        self._count = 0
        self._context = ""

    async def open(self):
        """Begin, in the tab that is there."""
        await self._command("session.new", capabilities={})
        tree = await self._command("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]

    async def goto(self, url):
        """Load a page."""
        await self._command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def call(self, function, *arguments):
        """Run a JavaScript function there, and what it returns, as JSON carries both."""
        given = json.dumps(arguments)
        expression = f"(async () => JSON.stringify(await ({function})(...{given})) ?? null)()"
        done = await self._command(
            "script.evaluate",
            expression=expression,
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if done["type"] == "exception":
            raise AssertionError(done["exceptionDetails"]["text"])
        return json.loads(done["result"].get("value", "null"))

    async def until(self, function, *arguments):
        """Call it until it returns something true, which is the result."""
        while not (found := await self.call(function, *arguments)):
            await asyncio.sleep(0.1)
        return found

    async def screenshot(self, file):
        """Keep what the page shows."""
        file.parent.mkdir(parents=True, exist_ok=True)
        shot = await self._command("browsingContext.captureScreenshot", context=self._context)
        file.write_bytes(base64.b64decode(shot["data"]))

    async def _command(self, method, **params):
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        while True:  # events come in between, unless nobody subscribed
            message = await self._socket.receive_json()
            if message.get("id") == self._count:
                assert message["type"] == "success", f"{method}: {message.get('message')}"
                return message["result"]


@asynccontextmanager
async def firefox():
    """Yield a `Page`. Nothing of it is left at the end."""
    path = shutil.which("firefox-esr")
    need(path, "Firefox is not installed: apt install firefox-esr")
    need(find_library("avcodec"), "Firefox has nothing that decodes H.264: apt install ffmpeg")
    with tempfile.TemporaryDirectory(prefix="pinhole-firefox-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(one)});" for key, one in _PREFERENCES.items()]
        (folder / "user.js").write_text("\n".join(lines))
        plugin = folder / "gmp-fakeopenh264" / "1.0"
        plugin.mkdir(parents=True)
        (plugin / "fakeopenh264.info").write_text(_PLUGIN)
        process = await asyncio.create_subprocess_exec(
            path, "--headless", "--no-remote", "--profile", name, "--remote-debugging-port", "0",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"MOZ_GMP_PATH": str(plugin), "HOME": name},
        )  # fmt: skip
        draining = None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                url = await _listening(process.stderr)
            draining = asyncio.create_task(process.stderr.read())  # a full pipe would stop it
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(f"{url}/session", max_msg_size=0) as ws,
            ):
                page = Page(ws)
                await page.open()
                yield page
        finally:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            if draining is not None:
                await draining


async def _listening(output):
    while line := (await output.readline()).decode():
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
    raise AssertionError("Firefox ended before it listened")
