"""Stamp in the picture to frame callback in Chromium at 720p30: ours and stock aiortc in turn."""

import argparse
import asyncio
import json
from contextlib import ExitStack

from bench.arguments import above_zero, add_json, one_or_more
from dashboard import back, click, ours, signed_in, stock, summary
from parts.chromium import chromium
from rich.console import Console
from rich.table import Table

SETTLE_S = 3.0


async def measure(page, seconds):
    """Latencies in ms and decoded frames a second, after the stream has settled."""
    await click(page, settle_s=SETTLE_S)
    before = await page.evaluate("() => ({n: window.pinhole.latencies.length, s: window.pinhole.stats()})")
    await asyncio.sleep(seconds)
    after = await page.evaluate("() => ({all: window.pinhole.latencies, s: window.pinhole.stats()})")
    frames = after["s"]["framesDecoded"] - before["s"]["framesDecoded"]
    await back(page)
    return after["all"][before["n"] :], frames / seconds, after["s"]["freezes"]


async def main(seconds, rounds, json_file):
    console = Console()
    seen = {"ours": [], "stock aiortc": []}
    rates = {"ours": [], "stock aiortc": []}
    freezes = {"ours": 0, "stock aiortc": 0}
    with ExitStack() as stack:
        places = {"ours": stack.enter_context(ours()), "stock aiortc": stack.enter_context(stock())}
        async with chromium() as browser:
            for number in range(rounds):
                for name, place in places.items():
                    async with signed_in(browser, place) as page:
                        latencies, fps, frozen = await measure(page, seconds)
                    seen[name] += latencies
                    rates[name].append(fps)
                    freezes[name] += frozen
                    console.print(
                        f"round {number + 1} of {rounds}, {name}: {summary(latencies)}, {fps:.1f} fps"
                    )
    result = {
        name: summary(seen[name]) | {"fps": round(sum(rates[name]) / rounds, 2), "freezes": freezes[name]}
        for name in seen
    }
    table = Table("stamp to frame callback, ms", "frames", "p50", "p95", "fps", "freezes")
    for name, row in result.items():
        table.add_row(name, *(str(row[key]) for key in ("n", "p50", "p95", "fps", "freezes")))
    console.print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench latency", description=__doc__)
    parser.add_argument("--seconds", type=above_zero, default=15, help="of each round and sender")
    parser.add_argument("--rounds", type=one_or_more, default=3)
    add_json(parser)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.seconds, arguments.rounds, arguments.json))
