"""From an event in the portal's store to a push that its service has taken; on loopback, one by one."""

import argparse
import asyncio
import json
import time

from bench.arguments import add_json, one_or_more
from dashboard import summary
from parts.notified import Told, receiver
from parts.portal import USER, portal
from parts.push_service import Browser
from rich.console import Console
from rich.table import Table

from agent.portal.notify import rulebook


async def main(rounds, json_file):
    times = []
    async with portal(notify={"private_addresses": True}) as part, receiver() as service:
        told = Told(part.accounts.store, part.accounts.seal)
        config = {"endpoint": f"{service.url}/push", **Browser().keys}
        user, seal = told.user(USER), part.accounts.seal
        channel = part.accounts.store.run_here(
            lambda db: rulebook.put_channel(db, seal, user, "push", "b", "b", config, "b", 0.0)
        )
        told.rule(channel, cooldown_s=0)
        for number in range(rounds + 1):
            told.happen(time.time())
            began_s = time.monotonic()
            part.notifier.wake()
            await service.until(number + 1)
            times.append((time.monotonic() - began_s) * 1000)
            await asyncio.sleep(0.1)
    result = {"event stored to push taken, ms": summary(times[1:])}  # the first makes the key
    table = Table("", "n", "p50", "p95")
    for name, row in result.items():
        table.add_row(name, str(row["n"]), str(row["p50"]), str(row["p95"]))
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench telling", description=__doc__)
    parser.add_argument("--rounds", type=one_or_more, default=50)
    add_json(parser)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rounds, arguments.json))
