"""What another program changed in the store: a portal shuts out who was revoked, whatever else fails."""

import time

import pytest
from fakes.bus import state

from agent import server
from agent.config import load
from agent.portal.registry import add_device, revoke_device
from agent.portal.store import StoreError, open_store


@pytest.fixture
def portal(tmp_path):
    config = tmp_path / "pinhole.toml"
    config.write_text('[portal]\nstate_dir = "state"\ndatabase_url = "sqlite:///portal.db"\n')
    settings = load(config)
    portal = server.Portal(settings, open_store(settings.portal))
    yield portal
    portal.accounts.passwords.close()
    portal.store.close()


async def test_it_asks_the_database_only_for_what_changed(portal, monkeypatch):
    asked = []
    run = portal.store.run

    async def count(work):
        asked.append(work)
        return await run(work)

    monkeypatch.setattr(portal.store, "run", count)
    for _ in range(3):
        await portal._hear_of_devices()
    assert len(asked) == 1
    portal.store.run_here(
        lambda db: add_device(db, "new", b"new".ljust(32), by="ann", now=time.time(), name="New")
    )
    await portal._hear_of_devices()
    assert portal.registry.key_of("new")
    assert len(asked) == 2


def test_a_broker_that_has_begun_anew_is_told_the_keys_again(portal, monkeypatch):
    """It may have forgotten them, and a camera that was away while they changed knows the old ones alone."""
    told, folder = [], portal.signing
    monkeypatch.setattr(
        portal.signaling, "_publish", lambda topic, payload, **_: told.append((topic, payload))
    )
    first, second = folder.current, folder.rotate()
    topics = [f"pinhole/v1/keys/{key.kid}" for key in (first, second)]

    def say():
        told.clear()
        portal.signaling.tell_keys()
        kept, ended = ([topic for topic, payload in told if bool(payload) == has] for has in (True, False))
        return kept, ended

    assert say() == (topics, [])
    assert say() == ([], []), "once"
    portal._on_connection(False, "lost")
    assert say() == ([], [])
    portal._on_connection(True, "")
    assert say() == (topics, [])
    folder.retire(first.kid)
    portal._on_connection(True, "")
    assert say() == (topics[1:], topics[:1]), "and keeps none of a key that counts no more"


async def test_a_change_that_could_not_be_read_is_read_later(portal, monkeypatch):
    await portal._hear_of_devices()
    portal.store.run_here(
        lambda db: add_device(db, "new", b"new".ljust(32), by="ann", now=time.time(), name="New")
    )

    async def away(_):
        raise StoreError("the disk is hot")

    with monkeypatch.context() as patch:
        patch.setattr(portal.store, "run", away)
        await portal._hear_of_devices()
    assert portal.registry.key_of("new") is None
    await portal._hear_of_devices()
    assert portal.registry.key_of("new")


async def test_a_name_that_cannot_be_written_keeps_no_revoked_camera_in(portal, monkeypatch):
    def enrol(db):
        for device in ("stolen", "nameless"):
            add_device(db, device, device.encode().ljust(32), by="ann", now=time.time())

    portal.store.run_here(enrol)
    await portal._hear_of_devices()
    for device in ("stolen", "nameless"):
        portal.gateway.on_state(device, state())

    def full(*_):
        raise StoreError("the disk is full")

    monkeypatch.setattr(server, "adopt", full)
    portal.store.run_here(lambda db: revoke_device(db, "stolen", time.time()))
    assert await portal._hear_of_devices() == {"stolen"}
    assert portal.registry.key_of("stolen") is None, "nothing that it says is heard"
    assert not portal.gateway.directory.is_online("stolen")
    assert portal.gateway.directory.is_online("nameless")
