"""A head by a key, and by a click in the picture: through TURN, with losses.

From a key to a head that moves, and from its release to one that stands; and how far the head turns beyond
what was clicked, as its camera sees it. Ends with 1 where half of the keys take longer than 200 ms to move
it, or a click leads beyond its place by more than 5 % of the picture.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from bench.arguments import add_json, not_negative, one_or_more, share
from clicks import KINDS, MAX_OVERSHOOT, by_clicks, calibrate
from dashboard import summary
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
MAX_FIRST_MOVE_MS = 200.0
"""Of half the keys."""
KEYS = ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown")
_NOTE = """() => {
  for (const kind of ["keydown", "keyup"]) {
    window.addEventListener(kind, (event) => {
      if (!event.repeat) window[kind] = performance.timeOrigin + event.timeStamp;
    }, true);
  }
}"""


async def main(rounds, clicks, delay_ms, loss, json_file):
    shape = Shape(delay_ms=delay_ms, loss=loss)
    plan = Plan("symmetric", "symmetric", uplink=shape, downlink=shape)
    result = {}
    for kind in KINDS:
        head = kind.make()
        async with watching(plan, head, kind.settings) as page:
            if kind.calibrates:
                result |= await by_keys(page, head, rounds)
                await calibrate(page, head)
            result[f"click, {kind.name}"] = await by_clicks(page, head, clicks)
            result["path"] = await page.evaluate("() => pinhole.stats().path")
    show(result, f"{result['path']}, {delay_ms:g} ms one way, {loss:.0%} lost")
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    found = faults(result)
    for fault in found:
        print(fault, file=sys.stderr)
    return int(bool(found))


def faults(result):
    """What is worse than it may be."""
    overshoot = max(of["overshoot"]["max"] for name, of in result.items() if name.startswith("click"))
    found = []
    if (moves_ms := result["first move"]["p50"]) > MAX_FIRST_MOVE_MS:
        found.append(f"half of the keys take {moves_ms:g} ms or more, and may take {MAX_FIRST_MOVE_MS:g} ms")
    if overshoot > MAX_OVERSHOOT:
        found.append(f"a click leads {overshoot:.1%} beyond its place, and may {MAX_OVERSHOOT:.0%}")
    return found


@asynccontextmanager
async def watching(plan, head, settings):
    """The page of a camera with this head, once its picture plays."""
    with tempfile.TemporaryDirectory() as folder, internet(plan) as lab:
        link = Path(folder) / "head"
        with WiredHead(head, link):
            camera = f'source = "synthetic"\n[ptz]\nport = "{link}"\n{settings}'
            service = start_service(lab, ("udp",), camera=camera)
            async with viewing(lab, service) as page:
                await play(page)
                await expect(page.get_by_role("region", name="Move the camera")).to_be_visible()
                await asyncio.sleep(REST_S)
                yield page


async def by_keys(page, head, rounds):
    """Milliseconds from a key to a head that moves, and from its release to one that stands."""
    times = {"first move": [], "stop": []}
    await page.evaluate(_NOTE)
    for number in range(rounds):
        for name, took_ms in (await one(page, head, KEYS[number % len(KEYS)])).items():
            times[name].append(took_ms)
    return {name: summary(values) for name, values in times.items()}


def show(result, title):
    """What was measured, for people."""
    table = Table("ms", "n", "p50", "p95", title=title)
    for name in ("first move", "stop"):
        table.add_row(name, *(str(result[name][key]) for key in ("n", "p50", "p95")))
    Console().print(table)
    table = Table("share of the picture's width", "n", "overshoot p50", "max", "missed by p50", "max")
    for name, of in result.items():
        if name.startswith("click"):
            shares = (of[what][key] for what in ("overshoot", "missed") for key in ("p50", "max"))
            table.add_row(name, str(of["n"]), *(f"{share:.1%}" for share in shares))
    Console().print(table)


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
    parser.add_argument("--rounds", type=one_or_more, default=20, help="keys")
    parser.add_argument("--clicks", type=one_or_more, default=10, help="of each kind of head")
    parser.add_argument("--delay-ms", type=not_negative, default=50.0)
    parser.add_argument("--loss", type=share, default=0.02)
    add_json(parser)
    arguments = parser.parse_args()
    how = arguments.rounds, arguments.clicks, arguments.delay_ms, arguments.loss, arguments.json
    sys.exit(asyncio.run(main(*how)))
