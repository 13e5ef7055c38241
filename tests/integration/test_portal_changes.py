"""What one portal changes about cameras another one learns, on both databases, whatever is lost."""

import asyncio
import contextlib
import os
import time

import pytest
from sqlalchemy import text

from agent.portal import changes
from agent.portal.registry import Registry, add_device, device_revision, revoke_device
from agent.portal.store import Store

LONGEST_S = 30.0


@pytest.fixture(autouse=True)
def listens_again_at_once(monkeypatch):
    monkeypatch.setattr(changes, "RETRY_S", 0.1)


async def until(condition):
    async with asyncio.timeout(LONGEST_S):
        while not condition():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def portal_at_rest(url):
    """Its store, and the cameras as it knows them."""
    store = Store.open(url)
    registry = Registry(store)
    await registry.refresh()
    listening = asyncio.create_task(store.listen(device_revision()))
    try:
        await until(lambda: store.version() is not None)
        await registry.refresh(sure=False)
        yield store, registry
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        store.close()


def enroll(store, device):
    key = os.urandom(32)
    store.run_here(lambda db: add_device(db, device, key, by="ann", now=time.time()))
    return key


async def learns(registry, condition):
    """As the portal looks each second; returns whom it shut out until then."""
    gone = set()
    async with asyncio.timeout(LONGEST_S):
        while not condition():
            gone |= await registry.refresh(sure=False)
            await asyncio.sleep(0.02)
    return gone


async def test_a_portal_at_rest_knows_who_another_one_lets_in_and_shuts_out(store, database_url):
    async with portal_at_rest(database_url) as (_, registry):
        key = enroll(store, "front")
        await learns(registry, lambda: registry.key_of("front") == key)
        store.run_here(lambda db: revoke_device(db, "front", time.time()))
        assert await learns(registry, lambda: registry.key_of("front") is None) == {"front"}


async def test_at_rest_it_does_not_ask(database_url, monkeypatch):
    async with portal_at_rest(database_url) as (own, registry):
        asked = []
        monkeypatch.setattr(own, "run", asked.append)
        for _ in range(20):
            await registry.refresh(sure=False)
        assert not asked


def kill_listeners(store):
    """Break every connection that listens, as a restart of the server does. SQLite tells through its file."""
    if store.engine.dialect.name == "postgresql":
        kill = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        assert len(store.run_here(lambda db: db.execute(text(kill)).all())) == 1


async def test_who_is_shut_out_while_the_notification_is_lost_is_shut_out_all_the_same(store, database_url):
    async with portal_at_rest(database_url) as (own, registry):
        enroll(store, "front")
        await learns(registry, lambda: registry.key_of("front"))
        kill_listeners(store)
        store.run_here(lambda db: revoke_device(db, "front", time.time()))
        assert await learns(registry, lambda: registry.key_of("front") is None) == {"front"}
        await until(lambda: own.version() is not None)
        enroll(store, "back")
        await learns(registry, lambda: registry.key_of("back"))


async def test_while_somebody_watches_no_lost_notification_hides_a_change(store, database_url):
    """Not even one that nobody sees is lost, as where the trigger is gone."""
    async with portal_at_rest(database_url) as (_, registry):
        enroll(store, "front")
        await learns(registry, lambda: registry.key_of("front"))
        if database_url.startswith("postgresql"):
            drop = "DROP TRIGGER pinhole_tell_change ON device_revision"
            store.run_here(lambda db: db.execute(text(drop)))
        store.run_here(lambda db: revoke_device(db, "front", time.time()))
        assert await registry.refresh(sure=True) == {"front"}


async def test_another_ones_change_that_is_undone_is_none(store, database_url, monkeypatch):
    """The next one, of which is told behind it, is one step."""
    monkeypatch.setattr(changes, "PROOF_S", 1e9)  # a proof counts what it finds changed, too
    change = text("UPDATE device_revision SET number = number + 1")
    async with portal_at_rest(database_url) as (own, _):
        before = own.version()
        with store.engine.connect() as connection, connection.begin() as begun:
            connection.execute(change)
            begun.rollback()
        assert own.version() == before
        store.run_here(lambda db: db.execute(change))
        await until(lambda: own.version() != before)
        assert own.version() == before + 1
