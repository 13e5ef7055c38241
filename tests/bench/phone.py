"""From the first picture of somebody who walks by to a push that its service has taken, over a mobile link.

A real agent looks at a yard, and tells by a real broker and portal; walks are at three contrasts in turn.
Says where the time goes. Ends with 1 where one in twenty takes longer than 3 s, or is told of not at all.
"""

import argparse
import base64
import json
import re
import sys
import time
from itertools import pairwise
from pathlib import Path

from bench.arguments import above_zero, add_json, not_negative, one_or_more, share
from dashboard import summary
from netlab.internet import internet
from netlab.plan import Plan
from netlab.servers import start_service
from netlab.shape import Shape
from parts.notified import Told
from parts.portal import USER
from parts.push_service import Browser
from parts.walked_by import CALM_S, CONTRASTS, EACH_S
from rich.console import Console
from rich.table import Table

from agent.config import load
from agent.portal.accounts.seal import open_seal
from agent.portal.notify import rulebook
from agent.portal.store import Store

MOST_S = 3.0
PUSH_PORT = 9099
TESTS = Path(__file__).parents[1]
PROGRAM = (str(TESTS / "parts/walked_by.py"),)
CAMERA = 'source = "synthetic"\nfps = 10\n[motion]\nenabled = true\nquiet_s = 2\nmerge_gap_s = 0\n'
NOTIFY = '[portal.notify]\nprivate_addresses = true\ncontact = "mailto:cams@example.org"\n'
STEPS = {
    "found": "the walk is found",
    "told": "the event goes to the broker",
    "arrived": "it arrives at the portal",
    "written": "it is in the store",
    "taken": "somebody is to be told",
    "push": "the push is accepted",
}
"""What the programs say, and what that is."""


def main(rounds, delay_ms, rate_bps, loss, json_file):
    shape = Shape(delay_ms=delay_ms, rate_bps=rate_bps, queue_bytes=60_000, loss=loss)
    with internet(Plan(uplink=shape, downlink=shape)) as lab:
        server = [sys.executable, str(TESTS / "parts/push_server.py"), str(PUSH_PORT)]
        push = lab.spaces.start("server", "push", server)
        service = start_service(
            lab, ("udp",), camera=CAMERA, program=(*PROGRAM, "run", "--config"), portal=NOTIFY,
            portal_program=PROGRAM,
        )  # fmt: skip
        browser = Browser()
        want_pushes(lab.spaces.folder / "portal.toml", browser)
        time.sleep(EACH_S * rounds)
        logs = service.agent.log(), service.portal.log(), push.log()
    walks = list(walks_of(marks_of(*logs, browser)))[:rounds]
    result = show(walks, f"{delay_ms:g} ms one way, {rate_bps / 1e6:g} Mb/s, {loss:.0%} lost")
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    return int(result["late"] > rounds / 20)


def want_pushes(config, browser):
    """Have the user told of motion by this browser."""
    settings = load(config).portal
    store = Store.open(settings.database_url)
    try:
        told = Told(store, open_seal(store, settings.state_dir))
        to = {"endpoint": f"http://127.0.0.1:{PUSH_PORT}/push", **browser.keys}
        user = told.user(USER)
        channel = store.run_here(
            lambda db: rulebook.put_channel(db, told.seal, user, "push", "b", "b", to, "b", 0.0)
        )
        told.rule(channel, kinds=("motion",), cooldown_s=0)
    finally:
        store.close()


def marks_of(agent, portal, push, browser):
    """What happened, and when."""
    said = re.findall(r"^mark (\w+) ([\d.]+)$", agent + portal, re.MULTILINE)
    marks = [(float(at), what) for what, at in said]
    for at, body in re.findall(r"^push ([\d.]+) (\S+)$", push, re.MULTILINE):
        assert b"Motion" in browser.read(base64.b64decode(body))
        marks.append((float(at), "push"))
    return sorted(marks)


def walks_of(marks):
    """Of each walk the seconds of each step that came, and of all of it; None where it was not told of."""
    for since in [at for at, what in marks if what == "walk"]:
        first = {}
        for at, what in marks:
            if since <= at < since + EACH_S - CALM_S:
                first.setdefault(what, at)
        times = [since, *(first[step] for step in STEPS if step in first)]
        is_told = len(times) > len(STEPS)
        yield [b - a for a, b in pairwise(times)], times[-1] - since if is_told else None


def show(walks, title):
    """What was measured, for people; and the same for machines."""
    told = [(steps, whole) for steps, whole in walks if whole is not None]
    columns = {name: [steps[at] for steps, _ in told] for at, name in enumerate(STEPS.values())}
    columns["all of it"] = [whole for _, whole in told]
    result = {
        name: summary([1000 * value for value in values]) | {"worst": round(1000 * max(values), 1)}
        for name, values in columns.items()
    }
    table = Table("until, ms", "n", "p50", "p95", "worst", title=title)
    for name, row in result.items():
        table.add_row(name, *(f"{row[key]:g}" for key in ("n", "p50", "p95", "worst")))
    Console().print(table)
    missed, late = len(walks) - len(told), sum(whole is None or whole > MOST_S for _, whole in walks)
    by_contrast = {
        contrast: [whole for _, whole in walks[at :: len(CONTRASTS)] if whole is not None]
        for at, contrast in enumerate(CONTRASTS)
    }
    for contrast, values in by_contrast.items():
        print(f"contrast {contrast}: worst {max(values, default=0.0):.2f} s of {len(values)}")
    for at, (steps, whole) in enumerate(walks):
        if whole is None:
            print(f"walk {at} was not told of: {len(steps)} of {len(STEPS)} steps were seen")
    print(f"{missed} of {len(walks)} were not told of, {late} took longer than {MOST_S:g} s, or that")
    return result | {"walks": len(walks), "missed": missed, "late": late}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench phone", description=__doc__)
    parser.add_argument("--rounds", type=one_or_more, default=21, help="walks")
    parser.add_argument("--delay-ms", type=not_negative, default=50.0)
    parser.add_argument("--rate-bps", type=above_zero, default=1.5e6)
    parser.add_argument("--loss", type=share, default=0.02)
    add_json(parser)
    arguments = parser.parse_args()
    how = arguments.rounds, arguments.delay_ms, arguments.rate_bps, arguments.loss, arguments.json
    sys.exit(main(*how))
