"""From a key to a head that moves, and from its release to one that stands: through TURN, with losses."""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from dashboard import summary
from fakes.ptz_head import PelcoHead
from netlab.internet import internet
from netlab.plan import Plan
from netlab.servers import start_service
from netlab.shape import Shape
from netlab.viewer import play, viewing
from parts.wired_head import WiredHead
from playwright.async_api import expect
from rich.console import Console
from rich.table import Table

PATIENCE_S = 5.0
REST_S = 1.5
HOLD_S = 0.7
KEYS = ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown")
_NOTE = """() => {
  for (const kind of ["keydown", "keyup"]) {
    window.addEventListener(kind, (event) => {
      if (!event.repeat) window[kind] = performance.timeOrigin + event.timeStamp;
    }, true);
  }
}"""


async def main(rounds, delay_ms, loss, json_file):
    times = {"first move": [], "stop": []}
    shape, head = Shape(delay_ms=delay_ms, loss=loss), PelcoHead()
    plan = Plan("symmetric", "symmetric", uplink=shape, downlink=shape)
    with (
        tempfile.TemporaryDirectory() as folder,
        internet(plan) as lab,
    ):
        link = Path(folder) / "head"
        with WiredHead(head, link):
            camera = f'source = "synthetic"\n[ptz]\nport = "{link}"\nprotocol = "pelco-d"'
            service = start_service(lab, ("udp",), camera=camera)
            async with viewing(lab, service) as page:
                await play(page)
                await page.evaluate(_NOTE)
                await expect(page.get_by_role("region", name="Move the camera")).to_be_visible()
                await asyncio.sleep(REST_S)
                for number in range(rounds):
                    for name, took_ms in (await one(page, head, KEYS[number % len(KEYS)])).items():
                        times[name].append(took_ms)
                path = await page.evaluate("() => pinhole.stats().path")
    result = {name: summary(values) for name, values in times.items()} | {"path": path}
    table = Table(f"{path}, {delay_ms:g} ms one way, {loss:.0%} lost; ms", "n", "p50", "p95")
    for name in times:
        table.add_row(name, *(str(result[name][key]) for key in ("n", "p50", "p95")))
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


async def one(page, head, key):
    """One key, pressed and let go: milliseconds by one clock, which page and head share."""
    await page.keyboard.down(key)
    moved_s = await change(head, to=True)
    await asyncio.sleep(HOLD_S)
    await page.keyboard.up(key)
    stopped_s = await change(head, to=False)
    pressed_ms, released_ms = await page.evaluate("() => [window.keydown, window.keyup]")
    await asyncio.sleep(REST_S)
    return {"first move": moved_s * 1000 - pressed_ms, "stop": stopped_s * 1000 - released_ms}


async def change(head, *, to):
    """Unix time at which the head began to move, or stood still."""
    ends_s = time.monotonic() + PATIENCE_S
    while head.is_moving != to:
        assert time.monotonic() < ends_s, "the head does not follow"
        await asyncio.sleep(0.001)
    return time.time()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench stick", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--loss", type=float, default=0.02)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rounds, arguments.delay_ms, arguments.loss, arguments.json))
