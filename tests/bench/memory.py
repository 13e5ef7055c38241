"""What the agent's memory does while Chromium watches through TURN for long, on a link that changes.

Each minute the uplink falls, loses packets, is away for two seconds and comes back. At the minute's end, when
all is calm again, the agent's resident set is noted: it must not grow after the third minute.
"""

import argparse
import asyncio
import json
import os
import sys
import time

import psutil
from bench.arguments import add_json, one_or_more
from netlab.internet import internet
from netlab.plan import Plan
from netlab.servers import start_service
from netlab.shape import Shape
from netlab.viewer import play, viewing
from rich.console import Console
from rich.table import Table

MIB = 2**20
WARM_MINUTES = 3
GROWN_MIB = 3.0
"""More than this is a leak."""
CYCLE_S = 60.0
GOOD = {"rate_bps": 4e6, "loss": 0.0, "is_up": True}
STEPS = (
    (5.0, {"rate_bps": 8e5}),
    (15.0, {"rate_bps": 2.5e6, "loss": 0.02}),
    (25.0, {"loss": 0.0, "is_up": False}),
    (27.0, {"is_up": True}),
    (32.0, {"rate_bps": 4e5}),
    (40.0, GOOD),
)
"""Seconds from the start of each minute, and what the uplink is from then on."""
LEAST_SHOWN = 300
"""Of 900 pictures a minute."""
_SHOWN = "() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
CAMERA = 'source = "synthetic"\nwidth_px = 640\nheight_px = 360\nfps = 15\nbitrate_bps = 2_000_000'


async def main(options):
    """A row a minute; whether it grew."""
    sizes = []
    plan = Plan("symmetric", "symmetric", uplink=Shape(delay_ms=30, **GOOD), downlink=Shape(delay_ms=30))
    with internet(plan) as lab:
        service = start_service(lab, ("udp",), camera=CAMERA, ttl_s=options.minutes * 60 + 600)
        agent = psutil.Process(service.agent.popen.pid)
        async with viewing(lab, service) as page:
            await play(page)
            start_s, shown = time.monotonic(), 0
            for minute in range(1, options.minutes + 1):
                lab.link.plan([(at_s, "uplink", change) for at_s, change in STEPS])
                await asyncio.sleep(max(0.0, start_s + minute * CYCLE_S - time.monotonic()))
                sizes.append(agent.memory_info().rss / MIB)
                shown, before = await page.evaluate(_SHOWN), shown
                print(f"minute {minute}: {sizes[-1]:.1f} MiB, {shown - before} pictures", flush=True)
                if shown - before < LEAST_SHOWN:
                    sys.exit("the viewer has not seen enough: what is not sent costs no memory")
        if "relay" not in (said := service.agent.log()):
            sys.exit(f"the viewer did not watch through TURN:\n{said[-2000:]}")
    show(sizes, options)
    return max(sizes[WARM_MINUTES:]) - sizes[WARM_MINUTES - 1] > GROWN_MIB


def show(sizes, options):
    """The table."""
    console, table = Console(), Table("minute", "RSS, MiB", "since minute 3")
    for minute, size in enumerate(sizes, 1):
        since = f"{size - sizes[WARM_MINUTES - 1]:+.1f}" if minute >= WARM_MINUTES else ""
        table.add_row(str(minute), f"{size:.1f}", since)
    console.print(f"load {os.getloadavg()[0]:.1f}", table)
    if options.json:
        options.json.write_text(json.dumps({"rss_mib": sizes}, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench memory", description=__doc__)
    parser.add_argument("--minutes", type=one_or_more, default=30)
    add_json(parser)
    arguments = parser.parse_args()
    if arguments.minutes <= WARM_MINUTES:
        parser.error(f"the first {WARM_MINUTES} minutes do not count")
    sys.exit(asyncio.run(main(arguments)))
