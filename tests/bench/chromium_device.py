"""A device that is headless Chromium: libwebrtc's own congestion control and encoder, behind our signaling.

`python chromium_device.py FOOTAGE TARGETS SETTINGS` runs until ended, in the namespace it is started in. The
file TARGETS gets a line of JSON four times a second: [Unix ms, the encoder's target in bits/s, pictures].
"""

import asyncio
import json
import logging
import re
import shutil
import sys
import tomllib
from pathlib import Path

from aiohttp import web
from bench.stock_device import serve
from parts.chromium import ARGS
from playwright.async_api import async_playwright

log = logging.getLogger("chromium_device")
_ARGS = [
    *ARGS,
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
]


class ChromiumSessions:
    """Hands each offer to the page, and what it says back."""

    def __init__(self, page):
        self.signal = None
        self._page = page
        self._tasks = set()

    def on_offer(self, session, offer):
        servers = [
            {"urls": list(one.urls), "username": one.username, "credential": one.credential}
            for one in offer.ice_servers
        ]
        self._spawn(self._answer(session, offer, servers))

    def on_candidate(self, session, candidate):
        if candidate and ".local" not in candidate:
            self._spawn(self._page.evaluate("([id, line]) => addCandidate(id, line)", [session, candidate]))

    def on_portal_keys(self, keys):
        pass

    def on_bye(self, session, _reason):
        self._spawn(self._page.evaluate("(id) => end(id)", session))

    def send_candidate(self, session, line):
        """The page has found one more."""
        self.signal.send_candidate(session, line)

    async def _answer(self, session, offer, servers):
        answer = await self._page.evaluate(
            "([id, sdp, servers]) => answer(id, sdp, servers)", [session, offer.sdp, servers]
        )
        # The dashboard knows by this which of its offers is answered.
        ufrag = re.search(r"a=ice-ufrag:(\S+)", offer.sdp).group(1)
        head, rest = answer.split("m=", 1)
        self.signal.send_answer(session, offer.nonce, f"{head}a=x-answers:{ufrag}\r\nm={rest}")

    def _spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def main(footage, targets, settings, max_bps):
    page_file = Path(__file__).with_name("chromium_device.html")
    app = web.Application()
    app.router.add_get("/", lambda _: web.FileResponse(page_file))
    app.router.add_get("/footage", lambda _: web.FileResponse(footage))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    def note(unix_ms, bps, pictures):
        with targets.open("a") as file:
            file.write(json.dumps([unix_ms, bps, pictures]) + "\n")

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGS)
        page = await browser.new_page()
        page.on("console", lambda message: log.info("page: %s", message.text))
        page.on("pageerror", lambda error: log.error("page: %s", error))
        await page.expose_function("note", note)
        await page.goto(f"http://127.0.0.1:{port}/")
        await page.wait_for_function("() => window.isReady", timeout=60_000)
        await page.evaluate("(bps) => { maxBps = bps; }", max_bps)
        sessions = ChromiumSessions(page)
        await page.expose_function("trickle", sessions.send_candidate)
        await serve(Path(settings), sessions, "Chromium", has_stamp=False)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    wanted_bps = tomllib.loads(Path(sys.argv[3]).read_text())["camera"]["bitrate_bps"]
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], wanted_bps))
