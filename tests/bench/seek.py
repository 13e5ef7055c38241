"""Looking back through TURN: from a click on the timeline to the first picture of that time.

And over a link that carries less than was recorded: how soon the small stream is shown, and for how long the
picture then stands. Each picture tells by its stamp when it was taken. Ends with 1 where a seek takes longer
than it may, or the thin link's picture stands for more than a second once it has the small stream.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from contextlib import asynccontextmanager

from bench.arguments import above_zero, add_json, not_negative, one_or_more, share
from dashboard import summary
from netlab.internet import internet
from netlab.plan import Plan
from netlab.servers import start_service
from netlab.shape import Shape
from netlab.viewer import play, viewing
from playwright.async_api import expect
from rich.console import Console
from rich.table import Table

CAMERA = 'source = "synthetic"\n[record]\nmode = "continuous"\nkeyframe_s = {keyframe_s}\nmin_free_mb = 0\n'
RECORDED_S, THIN_BPS, THIN_S = 45.0, 400_000, 20.0
MOST_MS = {"direct": 800, "relay": 1500}
MIN_JUMP_S = 8.0
NEAR_S = 6.0
"""A keyframe's picture may be that much before what was asked for."""
PATIENCE_MS = 20_000

_WATCH = """async () => {
  const { src } = document.querySelector("script[type=module]");
  const { StampReader, ageMs } = await import(new URL("stamp.js", src));
  const reader = new StampReader(), video = document.querySelector("video");
  window.shown = [];
  const look = () => {
    const stamp = reader.read(video);
    const now = Date.now();
    if (stamp !== null) window.shown.push([performance.now(), (now - ageMs(stamp, now)) / 1000]);
    if (window.shown.length > 5000) window.shown.shift();
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const line = document.querySelector(".timeline");
  line.addEventListener("pointerup", () => { window.clicked = performance.now(); }, true);
}"""
_FIRST = """([at, near]) => {
  const isThere = ([when, taken]) => when > window.clicked && Math.abs(taken - at) < near;
  return window.shown.find(isThere)?.[0] - window.clicked;
}"""


async def main(rounds, delay_ms, loss, keyframe_s, json_file):
    camera = CAMERA.format(keyframe_s=keyframe_s)
    good = Shape(delay_ms=delay_ms, loss=loss)
    result = {}
    for name, nat in (("direct", "port-restricted"), ("relay", "symmetric")):
        plan = Plan(nat, nat, uplink=good, downlink=good)
        async with looking_back(plan, camera) as (page, first_s, last_s):
            times = [await seek(page, at) for at in places(rounds, first_s, last_s)]
            path = await page.evaluate("() => pinhole.stats().path")
            result[name] = summary(times) | {"path": path}
    thin = Shape(delay_ms=delay_ms, rate_bps=THIN_BPS, queue_bytes=60_000)
    async with looking_back(Plan("symmetric", "symmetric", uplink=thin), camera) as (page, first_s, _):
        result["thin"] = await over_a_thin_link(page, first_s)
    show(result, f"{delay_ms:g} ms one way, {loss:.0%} lost, a keyframe each {keyframe_s:g} s")
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    is_slow = any(result[name]["p50"] > most_ms for name, most_ms in MOST_MS.items())
    is_wrong = result["relay"]["path"] != "relay" or result["direct"]["path"] == "relay"
    return int(
        is_slow or is_wrong or result["thin"]["longest_freeze_s"] > 1.0 or not result["thin"]["small_s"]
    )


def places(rounds, first_s, last_s):
    """As many times as that, none near the one before."""
    rng, at, chosen = random.Random(1), last_s, []
    while len(chosen) < rounds:
        other = rng.uniform(first_s + 2, last_s - 5)
        if abs(other - at) >= MIN_JUMP_S:
            chosen.append(at := other)
    return chosen


@asynccontextmanager
async def looking_back(plan, camera):
    """A page that looks back at what was recorded before anybody watched, from when to when."""
    with internet(plan) as lab:
        service = start_service(lab, ("udp",), camera=camera)
        await asyncio.sleep(RECORDED_S)
        last_s = time.time()
        async with viewing(lab, service) as page:
            await play(page)
            await page.get_by_role("button", name="Look back").click()
            await page.get_by_label("Shown", exact=True).select_option("600")
            await expect(page.locator(".timeline-span").first).to_be_visible(timeout=PATIENCE_MS)
            await page.evaluate(_WATCH)
            yield page, last_s - RECORDED_S + 5, last_s


async def click(page, at):
    """On that time of the timeline."""
    slider = page.get_by_role("slider", name="Recorded time")
    box = await slider.bounding_box()
    least, most = [float(await slider.get_attribute(f"aria-value{end}")) for end in ("min", "max")]
    await page.mouse.click(box["x"] + box["width"] * (at - least) / (most - least), box["y"] + 20)


async def seek(page, at):
    """Milliseconds from the click to a picture of that time."""
    await click(page, at)
    await page.wait_for_function(f"(of) => ({_FIRST})(of) > 0", arg=[at, NEAR_S], timeout=PATIENCE_MS)
    took_ms = await page.evaluate(_FIRST, [at, NEAR_S])
    await asyncio.sleep(1.5)
    return took_ms


async def over_a_thin_link(page, at):
    """How soon the small stream is shown, in seconds, and for how long the picture stands then at most."""
    await click(page, at)
    began_s, small_s = time.monotonic(), None
    while time.monotonic() < began_s + THIN_S:
        told = await page.evaluate("() => pinhole.stats().device?.playback?.stream")
        if told == "preview" and small_s is None:
            small_s = round(time.monotonic() - began_s, 1)
            await page.evaluate("() => { window.smallAt = performance.now() + 1000; }")
        await asyncio.sleep(0.25)
    gaps = await page.evaluate(
        "() => window.shown.map(([when]) => when).filter((when) => when > (window.smallAt ?? Infinity))"
        ".map((when, i, all) => (i ? when - all[i - 1] : 0) / 1000)"
    )
    taken = await page.evaluate("() => window.shown.at(-1)[1]")
    return {
        "small_s": small_s,
        "longest_freeze_s": round(max(gaps, default=THIN_S), 2),
        "pictures": len(gaps),
        "played_s": round(taken - at, 1),
    }


def show(result, title):
    """What was measured, for people."""
    table = Table("ms to the first picture", "n", "p50", "p95", "path", title=title)
    for name in ("direct", "relay"):
        table.add_row(name, *(str(result[name][key]) for key in ("n", "p50", "p95", "path")))
    Console().print(table)
    thin = result["thin"]
    table = Table("small stream after", "longest freeze then", "pictures", "played", title="0.4 Mb/s")
    table.add_row(
        f"{thin['small_s']} s",
        f"{thin['longest_freeze_s']} s",
        str(thin["pictures"]),
        f"{thin['played_s']} of {THIN_S:g} s",
    )
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench seek", description=__doc__)
    parser.add_argument("--rounds", type=one_or_more, default=15, help="seeks over each path")
    parser.add_argument("--delay-ms", type=not_negative, default=50.0)
    parser.add_argument("--loss", type=share, default=0.0)
    parser.add_argument("--keyframe-s", type=above_zero, default=4.0, help="record.keyframe_s")
    add_json(parser)
    arguments = parser.parse_args()
    how = arguments.rounds, arguments.delay_ms, arguments.loss, arguments.keyframe_s, arguments.json
    sys.exit(asyncio.run(main(*how)))
