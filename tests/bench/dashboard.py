"""Chromium on the real dashboard, for the benches: ours and stock aiortc behind the same portal, in turn."""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from parts.chromium import NO_PREVIEWS
from parts.coturn import SECRET
from parts.mosquitto import mosquitto
from parts.portal import PASSWORD, USER
from parts.stack import ROOT, running_stack

# Counts from the click itself; 4 ms is as fine as a page's timers go.
CLICK = """() => new Promise((resolve, reject) => {
  const from = performance.now();
  document.querySelector('a[href="#/camera/cam"]').click();
  const look = () => {
    const now = performance.now();
    if (window.pinhole.state.phase === "playing") resolve(now - from);
    else if (now - from > 30000) reject(new Error("no picture: " + JSON.stringify(window.pinhole.state)));
    else setTimeout(look, 1);
  };
  look();
})"""


@contextmanager
def ours(linger_s=10, turn=None):
    """Our agent and portal; yields the portal's URL. With a running coturn as a user has it."""
    camera = f'source = "synthetic"\nlinger_s = {linger_s}'
    with (
        mosquitto() as broker,
        servers(turn) as portal,
        running_stack(f'url = "{broker.settings().url}"', camera=camera, portal=portal) as stack,
    ):
        yield stack.url


@contextmanager
def servers(turn):
    """Portal settings with STUN and TURN over udp and tcp, for both ends; none without a coturn."""
    if turn is None:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="pinhole-bench-") as folder:
        secret = Path(folder) / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        urls = json.dumps([turn.url("udp"), turn.url("tcp")])
        yield (
            f'[[portal.ice_servers]]\nurls = ["stun:127.0.0.1:{turn.port}"]\n'
            f'[portal.turn]\nurls = {urls}\nsecret_file = "{secret}"\n'
        )


@contextmanager
def stock(turn=None):
    """The same portal, and a device on stock aiortc."""
    with (
        mosquitto() as broker,
        servers(turn) as portal,
        running_stack(f'url = "{broker.settings().url}"', agent=False, portal=portal) as stack,
    ):
        device = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("stock_device.py"), stack.folder / "pinhole.toml"],
            cwd=ROOT, env=stack.env | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )  # fmt: skip
        try:
            yield stack.url
        finally:
            device.terminate()
            device.wait()


@asynccontextmanager
async def signed_in(browser, url):
    """A page that shows the grid with the camera online."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = await context.new_page()
        await page.add_init_script(NO_PREVIEWS)
        await page.request.post(
            f"{url}/api/login", data={"user": USER, "password": PASSWORD}, headers={"Origin": url}
        )
        await page.goto(url)
        await page.wait_for_selector('a[href="#/camera/cam"]', timeout=20_000)
        yield page
    finally:
        await context.close()


async def click(page, settle_s=0.0):
    """Open the camera; milliseconds from the click to the first picture."""
    elapsed_ms = await page.evaluate(CLICK)
    await asyncio.sleep(settle_s)
    return elapsed_ms


async def back(page):
    """To the grid."""
    await page.evaluate("() => { location.hash = '#/' }")
    await page.wait_for_selector('a[href="#/camera/cam"]')


def summary(values):
    """p50 and p95, rounded."""
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
    }
