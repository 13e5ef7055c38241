"""What one input or a database in trouble brings about is an error of its own kind, and ends no part."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm.exc import StaleDataError

from agent import server
from agent.errors import ConfigError
from agent.portal import event_intake
from agent.portal import store as store_module
from agent.portal.accounts.audit import Audit
from agent.portal.event_intake import EventIntake
from agent.portal.store import Store, StoreError, ValueRefusedError


@pytest.fixture
def store(tmp_path):
    one = Store.open(f"sqlite:///{tmp_path}/portal.db")
    yield one
    one.close()


@pytest.mark.parametrize("error", [NoConnectionError("pool"), StaleDataError("0 rows were matched")])
def test_no_free_connection_and_a_row_that_went_meanwhile_are_the_stores_errors(store, error):
    def work(_db):
        raise error

    with pytest.raises(StoreError):
        store.run_here(work)


@pytest.mark.parametrize("found_by", ["a look", "a write"])
async def test_a_full_disk_is_told_once_whoever_finds_it(store, monkeypatch, caplog, found_by):
    caplog.set_level(logging.INFO)
    found = [True, True, False, False] if found_by == "a write" else [False, True, True, False]
    is_over = asyncio.Event()

    async def rest(_seconds):
        if not found:
            is_over.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(store, "_see_room", lambda: found.pop(0))
    monkeypatch.setattr(store_module, "next_beat", rest)
    store.disk_is_full = found_by == "a write"
    looking = asyncio.create_task(store.keep_room())
    async with asyncio.timeout(60):
        await is_over.wait()
    looking.cancel()
    assert not store.disk_is_full
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "the database's disk is full",
        "the database's disk has room again",
    ]


@pytest.mark.parametrize("value", [10**30, "\ud800"])
def test_what_the_driver_cannot_say_to_the_database_is_its_senders_fault(store, value):
    with pytest.raises(ValueRefusedError):
        store.run_here(lambda db: db.execute(text("SELECT :value"), {"value": value}))


async def test_no_name_holds_up_the_audit_log(store, tmp_path):
    audit = Audit(store, tmp_path / "audit.jsonl")
    audit.add("ann", "watch", device="a\x00b", address="\ud800")
    [entry] = audit._for_table.next()
    assert (entry.device, entry.address) == ("a\N{REPLACEMENT CHARACTER}b", "\N{REPLACEMENT CHARACTER}")
    audit._file.close()


async def test_a_password_that_cannot_be_read_has_a_revocation_told_later(monkeypatch):
    async def cut_off(*_):
        raise ConfigError("broker.password_file: cannot read it")

    monkeypatch.setattr(server, "cut_off", cut_off)
    part = SimpleNamespace(_settings=None, store=None, authority=None)
    assert not await server.Portal._shut_out(part, frozenset({"front"}), frozenset())


async def test_a_database_that_is_away_when_the_portal_starts_to_watch_revocations_ends_nothing(monkeypatch):
    answers = [StoreError("away"), StoreError("away"), frozenset({"front"})]

    class Away:
        async def run(self, _work):
            if isinstance(answer := answers.pop(0), Exception):
                raise answer
            return answer

    monkeypatch.setattr(server, "RETRY_S", 0.0)
    assert await server.Portal._revoked_of_late(SimpleNamespace(store=Away())) == {"front"}


async def test_whoever_was_revoked_while_no_portal_ran_uploads_no_more():
    revoked = []

    class FarEnoughError(Exception):
        pass

    async def revoked_of_late():
        return frozenset({"front"})

    def tell_keys():
        raise FarEnoughError

    part = SimpleNamespace(
        _revoked_of_late=revoked_of_late,
        uploads=SimpleNamespace(on_revoked=revoked.append),
        signaling=SimpleNamespace(tell_keys=tell_keys),
    )
    with pytest.raises(FarEnoughError):
        await server.Portal._keep_trust(part)
    assert revoked == ["front"]


async def test_a_fault_of_ours_ends_no_intake_of_events(monkeypatch, caplog):
    looks = asyncio.Queue()

    class Broken:
        async def run(self, _work):
            looks.put_nowait(None)
            raise ValueError("a fault of ours")

    monkeypatch.setattr(event_intake, "RETRY_S", 0.0)
    task = asyncio.create_task(EventIntake(Broken(), print, print).run())
    try:
        async with asyncio.timeout(60):
            for _ in range(3):
                await looks.get()
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "by a fault of ours" in caplog.text
