"""Load to sign-in page, and sign-in to cameras, over a link of 1.6 Mb/s and 150 ms."""

import argparse
import asyncio
import json

from bench.arguments import add_json, one_or_more
from dashboard import summary
from fakes.bus import state
from parts.chromium import chromium
from parts.paced import paced
from parts.portal import PASSWORD, USER, portal
from rich.console import Console
from rich.table import Table

SHOWN = """async (selector) => {
  while (!document.querySelector(selector)) await new Promise((resolve) => setTimeout(resolve, 4));
  return performance.now();
}"""
ENTER = """async ([user, password]) => {
  document.querySelector('input[name=username]').value = user;
  document.querySelector('input[name=password]').value = password;
  const from = performance.now();
  document.querySelector('button[type=submit]').click();
  const isIn = () => document.querySelector('a[href="#/camera/front"]');
  while (!isIn()) await new Promise((resolve) => setTimeout(resolve, 4));
  return performance.now() - from;
}"""
FORM, CARD = "input[name=username]", 'a[href="#/camera/front"]'


async def main(rounds, json_file):
    times = {"sign-in page, cold": [], "sign-in page, warm": [], "sign in": [], "cameras, warm": []}
    async with portal() as part, paced(part.port) as port, chromium() as browser:
        part.gateway.on_state("front", state())
        url = f"http://127.0.0.1:{port}/"
        for _ in range(rounds):
            context = await browser.new_context(viewport={"width": 390, "height": 844})
            page = await context.new_page()

            async def load(name, selector, page=page):
                await page.goto("about:blank")
                await page.goto(url, wait_until="commit")
                times[name].append(await page.evaluate(SHOWN, selector))

            await load("sign-in page, cold", FORM)
            await load("sign-in page, warm", FORM)
            times["sign in"].append(await page.evaluate(ENTER, [USER, PASSWORD]))
            await load("cameras, warm", CARD)
            await context.close()
    result = {name: summary(values) for name, values in times.items()}
    table = Table("1.6 Mb/s, 150 ms; in ms", "n", "p50", "p95")
    for name, row in result.items():
        table.add_row(name, str(row["n"]), str(row["p50"]), str(row["p95"]))
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench sign-in", description=__doc__)
    parser.add_argument("--rounds", type=one_or_more, default=10)
    add_json(parser)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rounds, arguments.json))
