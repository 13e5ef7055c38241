"""Click to first picture in Chromium: ours, with a resting and a running camera, and stock aiortc in turn."""

import argparse
import asyncio
import json
from contextlib import ExitStack

from bench.arguments import add_json, one_or_more
from dashboard import back, click, ours, signed_in, stock, summary
from parts.chromium import chromium
from parts.coturn import coturn
from rich.console import Console
from rich.table import Table

PAUSE_S = 0.7  # between two clicks: longer than closing takes


async def main(rounds, with_servers, json_file):
    console = Console()
    times = {"camera resting": [], "camera running": [], "stock aiortc": []}
    with ExitStack() as stack:
        turn = stack.enter_context(coturn()) if with_servers else None
        places = {
            "camera resting": stack.enter_context(ours(linger_s=0, turn=turn)),
            "camera running": stack.enter_context(ours(linger_s=60, turn=turn)),
            "stock aiortc": stack.enter_context(stock(turn)),
        }
        async with chromium() as browser:
            for number in range(rounds + 1):
                for name, place in places.items():
                    async with signed_in(browser, place) as page:
                        elapsed_ms = await click(page, settle_s=PAUSE_S)
                        await back(page)
                        await asyncio.sleep(PAUSE_S)
                    if number:  # the first round warms everything up
                        times[name].append(elapsed_ms)
                console.print(f"round {number} of {rounds}" + ("" if number else " (not counted)"))
    result = {name: summary(values) for name, values in times.items()}
    ratios = [a / b for a, b in zip(times["camera resting"], times["stock aiortc"], strict=True)]
    result["resting / stock"] = summary(ratios) | {"p50": round(sorted(ratios)[len(ratios) // 2], 3)}
    table = Table("click to first picture, ms", "n", "p50", "p95")
    for name, row in result.items():
        table.add_row(name, str(row["n"]), str(row["p50"]), str(row["p95"]))
    console.print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench first-frame", description=__doc__)
    parser.add_argument("--rounds", type=one_or_more, default=10)
    parser.add_argument(
        "--no-servers",
        action="store_true",
        help="without STUN and TURN servers, which no camera beyond a LAN can do without",
    )
    add_json(parser)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rounds, not arguments.no_servers, arguments.json))
