"""Events on their way from a camera to who may see them: kills, and a broker that is away."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp
from parts.fleet_broker import fleet
from parts.mosquitto import PROGRAM
from parts.portal import PASSWORD, USER, portal
from parts.stack import ROOT

from agent.config import load
from agent.model.event import Event
from agent.portal import events
from agent.portal.events import Filter, kept_of
from agent.portal.store import open_store

COUNT = 1000
PATIENCE_S = 120.0
EVENTFUL = Path(__file__).parents[1] / "parts" / "eventful_agent.py"


@contextmanager
def eventful_agent(one, name, count=COUNT):
    """An agent to which a thousand things happen; at the end it is killed, whatever it does."""
    command = [sys.executable, EVENTFUL, one.camera(name), str(count)]
    with (one.folder / f"{name}.log").open("ab") as log:
        agent = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
            stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        yield agent
    finally:
        agent.kill()
        agent.wait()
        agent.stdout.close()


def happens(agent, number):
    """Wait until the event of this number has."""
    assert any(int(line) >= number for line in agent.stdout)


def stored(store, **wanted):
    """The oldest first."""
    return [row for _, row in store.run_here(lambda db: events.find(db, Filter(**wanted, limit=9999)))][::-1]


def size_bytes(journal):
    """Of its files, of which one may go while we look."""
    total = 0
    for file in journal.iterdir():
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def until(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_a_thousand_events_arrive_once_and_in_order_after_an_outage_and_three_kills():
    with fleet() as one:
        one.enroll("door", one.claim())
        one.broker.kill()
        one.broker.wait()
        with eventful_agent(one, "door") as agent:
            happens(agent, 300)
        with eventful_agent(one, "door") as agent:
            happens(agent, 700)
        one.broker = subprocess.Popen(
            [PROGRAM, "-c", one.folder / "broker" / "mosquitto.conf"], stderr=subprocess.DEVNULL
        )
        store = open_store(load(one.config).portal)
        journal = one.state("door") / "events"
        with eventful_agent(one, "door") as agent:
            happens(agent, COUNT - 1)
            assert size_bytes(journal) < 1024 * 1024
            until(lambda: len(stored(store, kind="camera-failed")) > 100)
        with eventful_agent(one, "door", 0):  # after one more kill, in the middle of the telling
            until(lambda: len(stored(store, kind="camera-failed")) >= COUNT)
            until(lambda: not list(journal.iterdir()))
        assert [row.details["number"] for row in stored(store, kind="camera-failed")] == list(range(COUNT))
        assert all(row.is_time_known for row in stored(store))

        one.start_agent("door")
        one.stop_agent("door")
        until(lambda: [row.kind for row in stored(store, kind="offline")] == ["offline"])
        store.close()


async def test_who_may_not_watch_a_camera_sees_none_of_its_events():
    now = time.time()
    async with portal() as part:
        part.desk.add_user("bob", None, cameras=["front"], password=PASSWORD)
        part.desk.add_user("cy", None, password=PASSWORD)
        happened = [
            kept_of(device, Event(f"b-{n}", kind, "error", "camera", now - n, "", "running"), now, now)
            for n, (device, kind) in enumerate([("front", "camera-failed"), ("back", "offline")] * 3)
        ]
        await part.accounts.store.run(lambda db: events.add(db, happened))

        async def ask(user, query=""):
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
                if user:
                    await http.post(f"{part.url}/api/login", json={"user": user, "password": PASSWORD})
                answer = await http.get(f"{part.url}/api/events{query}")
                return answer.status, await answer.json()

        async def seen(user, query=""):
            status, body = await ask(user, query)
            assert status == 200, body
            return [event["event_id"] for event in body["events"]]

        assert await seen(USER) == ["b-0", "b-1", "b-2", "b-3", "b-4", "b-5"]
        assert await seen("bob") == ["b-0", "b-2", "b-4"]
        assert await seen("bob", "?device=back") == await seen("cy") == []
        assert await seen(USER, f"?kind=offline&since={now - 4}&until={now - 0.5}") == ["b-1", "b-3"]
        _, page = await ask("bob", "?limit=2")
        assert await seen("bob", f"?limit=2&before={page['next']}") == ["b-4"]
        assert page["kinds"]["camera-failed"] == "Camera failed"
        for wrong in ("?before=1", "?limit=x", "?since=-1", "?nobody=1", "?device=%00"):
            assert (await ask(USER, wrong))[0] == 400, wrong
        assert (await ask(None))[0] == 401
