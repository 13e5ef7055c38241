"""How long somebody still sees the camera after the right to it was taken on the server; all on loopback."""

import argparse
import asyncio
import json
import time

from bench.arguments import add_json, one_or_more
from dashboard import summary
from parts.house import EVERYBODY, Viewer, house
from parts.portal import PASSWORD, USER
from rich.console import Console
from rich.table import Table

REACH_S = 15.0
"""A right that still shows pictures after this is a failure, not a figure."""


async def time_to_dark(viewer, take):
    """Milliseconds from the act's begin to the last picture, of viewers who do not leave by themselves."""
    assert await viewer.sees(), "no picture to take away"
    began_s = time.monotonic()
    await take()
    assert await viewer.sees_nothing_within(REACH_S), "the pictures go on"
    return max(0.0, viewer.seen_at_s - began_s) * 1000


async def main(rounds, json_file):
    times = {right: [] for right in (*EVERYBODY, "camera")}
    for _ in range(rounds):
        async with house(is_hostile=True) as (one, _):
            for right, viewer in one.viewers.items():
                times[right].append(
                    await time_to_dark(viewer, lambda right=right: asyncio.to_thread(one.take, right))
                )
            other = Viewer(one.stack, is_hostile=True)
            await other.watch(
                "/api/login", {"user": USER, "password": PASSWORD, "code": ""}, "/api/ws", "pinhole"
            )
            times["camera"].append(await time_to_dark(other, one.revoke_camera))
            await other.close()
    result = {right: summary(values) for right, values in times.items()}
    table = Table("taken away; last picture after, ms", "n", "p50", "p95")
    for right, row in result.items():
        table.add_row(right, str(row["n"]), str(row["p50"]), str(row["p95"]))
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench revocation", description=__doc__)
    parser.add_argument("--rounds", type=one_or_more, default=5)
    add_json(parser)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rounds, arguments.json))
