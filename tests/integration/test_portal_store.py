"""The portal's database, on both kinds of server."""

import asyncio
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text, update

from agent.model.event import Event
from agent.portal import events
from agent.portal.accounts import users
from agent.portal.claims import revoked_serials
from agent.portal.registry import list_devices
from agent.portal.store import Store, StoreError, Table
from agent.portal.tables import Attempt, Revision, User

LAST_YEAR = (
    (
        "INSERT INTO users (id, name, role, password_hash, totp_step, disabled, created_at) VALUES"
        " (1, 'ann', 'admin', 'x', 0, false, 1), (2, 'bob', NULL, NULL, 0, false, 1),"
        " (3, 'cy', 'viewer', NULL, 0, false, 1)"
    ),
    "INSERT INTO one_time_links (key, user_id, expires_at) VALUES ('k', 2, 9)",
    "INSERT INTO grants (user_id, role, device) VALUES (2, 'operator', 'front')",
    (
        "INSERT INTO devices (id, public_key, enrolled_at, enrolled_by) VALUES"
        " ('front', 'k1', 1, 'ann'), ('../x', 'k2', 1, 'ann')"
    ),
    (
        "INSERT INTO device_certificates (serial, device, public_key, pem, issued_at, not_after) VALUES"
        " ('a', 'front', 'k1', 'p', 1, 9), ('b', '../x', 'k2', 'p', 1, 9)"
    ),
)


def bump(db):
    db.execute(update(Revision).values(number=Revision.number + 1))


def number(db):
    return db.scalars(select(Revision.number)).one()


def test_a_change_by_whatever_program_is_seen_without_a_question(database_url):
    """PostgreSQL tells who listens (`test_portal_changes.py`), and where it must be sure one has to ask."""
    store, other = Store.open(database_url), Store.open(database_url)
    try:
        before = store.version(sure=True)
        if database_url.startswith("postgresql"):
            assert before is None
            assert store.version() is None, "nobody listens yet"
            return
        other.run_here(number)
        assert store.version() == before, "nothing was written"
        for writer in (other, store):
            writer.run_here(bump)
            now = store.version()
            assert None not in (before, now)
            assert now != before
            before = now
        with other.engine.connect() as connection, connection.begin():
            connection.execute(update(Revision).values(number=Revision.number + 1))
            assert store.version() == before, "neither waits for who writes, nor sees what may be undone"
        assert store.version() != before
        other.wipe_deleted()
        assert store.version() is not None, "its files were written anew"
    finally:
        store.close()
        other.close()


def test_the_migrations_make_what_the_code_expects(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"render_as_batch": True})
        assert compare_metadata(context, Table.metadata) == []


def test_a_database_from_before_is_brought_up_to_date(database_url, monkeypatch):
    """One that a portal of last year filled: everybody and every camera is still there."""
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "devices_2"))
        old = Store.open(database_url)
    for line in LAST_YEAR:
        old.run_here(lambda db, line=line: db.execute(text(line)))
    old.close()
    store = Store.open(database_url)
    found = {user.name: user for user in store.run_here(users.views)}
    assert found["ann"].role == "admin"
    assert found["bob"].grants == (users.GrantView("operator", "front"),)
    awaiting = select(User.name).where(User.awaits_company)
    assert store.run_here(lambda db: db.scalars(awaiting).all()) == ["cy"], "bob has a link of his own"
    cameras = {camera.id: camera.revoked_at for camera in store.run_here(list_devices)}
    assert cameras["front"] is None
    assert cameras["../x"] is not None, "no name of a camera: whoever took it is shut out"
    assert store.run_here(lambda db: revoked_serials(db, 2.0)) == [0xB]
    store.close()


def test_several_portals_may_start_at_once_on_an_empty_database(database_url):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(Store.open, [database_url] * 4))
    assert [store.run_here(number) for store in stores] == [0] * 4
    for store in stores:
        store.close()


def test_what_one_portal_writes_another_reads_and_a_restart_keeps_it(store, database_url):
    other = Store.open(database_url)
    store.run_here(bump)
    assert other.run_here(number) == 1
    other.close()
    again = Store.open(database_url)
    assert again.run_here(number) == 1
    again.close()


async def test_concurrent_writers_wait_for_each_other(store, database_url):
    other = Store.open(database_url)
    await asyncio.gather(*(each.run(bump) for each in (store, other) for _ in range(20)))
    assert await store.run(number) == 40
    other.close()


def test_work_that_raises_leaves_nothing_behind(store):
    def fail(db):
        db.add(Attempt(key="x", failures=1, last_at=0))
        db.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.run_here(fail)
    assert store.run_here(lambda db: db.scalar(select(func.count()).select_from(Attempt))) == 0


def test_a_fault_of_the_database_is_told_in_words(store):
    twice = [Attempt(key="x", failures=1, last_at=0), Attempt(key="x", failures=2, last_at=0)]
    with pytest.raises(StoreError, match="the database failed: "):
        store.run_here(lambda db: (db.add(twice[0]), db.flush(), db.expunge_all(), db.add(twice[1])))


def test_the_sqlite_file_is_its_owners_alone(tmp_path):
    former = os.umask(0o022)
    try:
        store = Store.open(f"sqlite:///{tmp_path}/portal.db")
        store.run_here(bump)
    finally:
        os.umask(former)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    store.close()


def test_what_is_confirmed_outlives_a_power_cut(store):
    """SQLite would keep it in the system's memory for a while otherwise, and PostgreSQL too."""
    with store.engine.connect() as connection:
        if store.engine.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_database_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "file").write_text("not a database, but long enough to look like one" * 50)
    for url in (
        f"sqlite:///{tmp_path}/file",
        f"sqlite:///{tmp_path}/file/portal.db",
        "postgresql:///x?host=/nowhere",
    ):
        with pytest.raises(StoreError, match=r"portal\.database_url"):
            Store.open(url)


async def test_a_database_server_that_restarts_costs_no_request(postgres):
    store = Store.open(postgres.new_database())
    await store.run(bump)
    postgres.stop()
    try:
        with pytest.raises(StoreError):
            await store.run(bump)
    finally:
        postgres.start()
    assert await store.run(number) == 1
    store.close()


def test_events_that_several_portals_hear_at_once_are_kept_once_and_in_order(store):
    def told(device):
        happened = [Event(f"b-{n}", "camera-failed", "error", "camera", n, "", "running") for n in range(32)]
        return [events.kept_of(device, event, 100.0, 100.0) for event in happened]

    def hear(_):
        return store.run_here(lambda db: events.add(db, [*told("back"), *told("front")]))

    def leave(_):
        store.run_here(
            lambda db: events.add_presence(db, "front", is_online=False, is_first=False, now=200.0)
        )

    with ThreadPoolExecutor(4) as pool:
        new = [one for found in pool.map(hear, range(8)) for one in found]
        list(pool.map(leave, range(8)))
    assert sorted(new) == sorted({(device, f"b-{n}") for device in ("back", "front") for n in range(32)})
    wanted = events.Filter(devices=["front"], limit=99)
    kept = [row for _, row in store.run_here(lambda db: events.find(db, wanted))][::-1]
    assert [row.event_id for row in kept] == [*(f"b-{n}" for n in range(32)), "portal:1"]
    store.run_here(lambda db: events.prune(db, ["front"], 100.0 + events.KEPT_S + 1))
    assert [row.kind for _, row in store.run_here(lambda db: events.find(db, events.Filter()))] == ["offline"]
