"""When the notifier looks into the database, and when it lets it be."""

import asyncio
import contextlib

import pytest
from fakes.clock import LoopClock

from agent.portal.notify import notifier as notifier_module
from agent.portal.notify.notifier import Notifier

POLL_S, SAFETY_POLL_S = 1.0, 20.0


@pytest.fixture(autouse=True)
def rests_for_shorter(monkeypatch):
    monkeypatch.setattr(notifier_module, "POLL_S", POLL_S)
    monkeypatch.setattr(notifier_module, "SAFETY_POLL_S", SAFETY_POLL_S)


class Database:
    """Has nothing to tell, until something is due."""

    def __init__(self, *, hears, version=None):
        self.hears, self.is_at = hears, version
        self.due_at = None
        self.looked = []

    def version(self, *, sure):
        assert sure, "no hearsay"
        return self.is_at

    async def run(self, work):
        if "judge" in "".join(work.__code__.co_names):
            return 0
        self.looked.append(asyncio.get_running_loop().time())
        return [], self.due_at, 0


@contextlib.asynccontextmanager
async def resting(database):
    """The notifier after its first look."""
    clock = LoopClock()
    notifier = Notifier(database, None, dict, clock=asyncio.get_running_loop().time)
    task = asyncio.create_task(notifier.run())
    try:
        await clock.after(0.1)
        assert len(database.looked) == 1
        yield notifier, clock
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_where_the_database_tells_of_events_it_is_asked_once_in_minutes():
    database = Database(hears=True)
    async with resting(database) as (notifier, clock):
        await clock.after(SAFETY_POLL_S - 1)
        assert len(database.looked) == 1
        await clock.after(2)
        assert len(database.looked) == 2
        notifier.wake()
        await clock.after(0.1)
        assert len(database.looked) == 3


async def test_where_nothing_tells_it_is_asked_now_and_then():
    database = Database(hears=False)
    async with resting(database) as (notifier, clock):
        await clock.after(3 * POLL_S)
        assert {round(at_s / POLL_S) for at_s in database.looked} == {1000, 1001, 1002, 1003}
        database.hears = True
        notifier.wake()
        await clock.after(0.1)
        before = len(database.looked)
        await clock.after(3 * POLL_S)
        assert len(database.looked) == before


async def test_a_file_that_nobody_has_changed_is_not_asked():
    database = Database(hears=False, version=7)
    async with resting(database) as (_, clock):
        await clock.after(SAFETY_POLL_S / 2)
        assert len(database.looked) == 1
        database.is_at = 8
        await clock.after(POLL_S)
        assert len(database.looked) == 2


@pytest.mark.parametrize("hears", [True, False])
async def test_what_is_due_later_is_looked_for_then(hears):
    database = Database(hears=hears, version=7)
    async with resting(database) as (notifier, clock):
        database.due_at = asyncio.get_running_loop().time() + 4.5 * POLL_S
        notifier.wake()
        await clock.after(4.4 * POLL_S)
        assert len(database.looked) == 2
        await clock.after(0.2 * POLL_S)
        assert database.looked[2] == pytest.approx(database.due_at, abs=POLL_S / 10)
