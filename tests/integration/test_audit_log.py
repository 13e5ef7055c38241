"""The audit log on a real store: a chain that several portals write, and what a look at it finds."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict

import aiohttp
import pytest
from alembic import command
from alembic.config import Config
from fakes.bus import state
from parts.portal import PASSWORD, portal
from sqlalchemy import create_engine, delete, insert, select, text, update

from agent.config import load
from agent.portal.accounts import ledger
from agent.portal.accounts.audit import Audit
from agent.portal.accounts.chain import GENESIS, Entry, hash_of
from agent.portal.accounts.desk import Desk
from agent.portal.store import MIGRATIONS, Store, _postgresql, make_url
from agent.portal.tables import AuditChain, AuditEntry
from agent.signaling.trust import SigningKey, make_signing_key


def look(world):
    return world.desk.verify_audit(world.folder / "audit.jsonl")


async def written(world, *names):
    for name in names:
        world.audit.add(name, "watch", device="front", address="192.0.2.1", detail="ä \U0001f4f7 'x'")
    await world.audit.flush()


async def test_what_several_portals_and_the_command_line_write_at_once_is_one_chain(world, database_url):
    stores = [Store.open(database_url) for _ in range(2)]
    audits = [Audit(store, world.folder / f"audit-{n}.jsonl") for n, store in enumerate(stores)]
    for number in range(60):
        for audit in (world.audit, *audits):
            audit.add(f"user-{number}", "watch")
    desk = Desk(stores[0])
    flushes = (audit.flush() for audit in (world.audit, *audits))
    groups = (asyncio.to_thread(desk.put_group, f"g{number}", []) for number in range(5))
    await asyncio.gather(*flushes, *groups)
    assert [look(world).faults, look(world).entries] == [[], 3 * 60 + 5 + 1]
    for number, store in enumerate(stores):
        assert world.desk.verify_audit(world.folder / f"audit-{number}.jsonl").lines == 60
        store.close()


BARE = {"at": 1.0, "actor": "eve", "action": "watch", "device": "", "address": "", "detail": ""}
TAMPERING = {
    "changed": (
        lambda db, ids: db.execute(update(AuditEntry).where(AuditEntry.id == ids[3]).values(actor="eve")),
        lambda ids: f"entry {ids[3]} was changed",
    ),
    "removed": (
        lambda db, ids: db.execute(delete(AuditEntry).where(AuditEntry.id == ids[3])),
        lambda ids: f"between entry {ids[2]} and entry {ids[4]}: entries were removed or changed",
    ),
    "newest removed": (
        lambda db, ids: db.execute(delete(AuditEntry).where(AuditEntry.id == ids[-1])),
        lambda ids: f"after entry {ids[-2]}: entries were removed or changed",
    ),
    "oldest removed": (
        lambda db, ids: db.execute(delete(AuditEntry).where(AuditEntry.id == ids[0])),
        lambda ids: f"before entry {ids[1]}: entries were removed or changed",
    ),
    "inserted": (
        lambda db, ids: db.execute(insert(AuditEntry).values(BARE | {"id": ids[-1] + 1})),
        lambda ids: f"after entry {ids[-1]}, up to entry {ids[-1] + 1}: inserted",
    ),
    "chain removed": (
        lambda db, _: db.execute(delete(AuditChain)),
        lambda _: "the row of the chain's beginning and end was removed: restore a copy of the store",
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
async def test_what_somebody_does_to_the_table_is_named(world, kind):
    await written(world, "a", "b", "c", "d", "e", "f")
    assert look(world).faults == []
    ids = world.store.run_here(lambda db: list(db.scalars(select(AuditEntry.id).order_by(AuditEntry.id))))
    tamper, words = TAMPERING[kind]
    world.store.run_here(lambda db: tamper(db, ids))
    assert words(ids) in look(world).faults


async def test_what_somebody_does_to_the_file_is_named(world):
    await written(world, "a", "b", "c", "d")
    file = world.folder / "audit.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines).replace('"b"', '"eve"'))
    assert look(world).faults == ["audit.jsonl line 2 was changed"]
    file.write_text("".join(lines[:1] + lines[2:]))
    assert look(world).faults == [
        "between audit.jsonl line 1 and audit.jsonl line 2: entries were removed or changed"
    ]


async def test_what_is_taken_from_the_table_with_all_its_hashes_is_still_in_the_file(world):
    """Whoever may write to a PostgreSQL elsewhere can make a whole new chain, but not the portal's file."""
    world.now = time.time() + 1
    world.audit._clock = lambda: world.now
    await written(world, "a", "b", "c")

    def anew(db):
        rows = list(db.scalars(select(AuditEntry).order_by(AuditEntry.id)))
        kept = [ledger.entry_of(row) for row in rows if row.actor != "b"]
        db.execute(delete(AuditEntry))
        ledger._chain(db).head = ledger._chain(db).anchor
        ledger.append(db, kept)

    world.store.run_here(anew)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "LATE_S", -60.0)
        assert look(world).faults == ["audit.jsonl line 2 is not in the table: b watch"]


@pytest.mark.parametrize("rows", ["stay", "go"])
async def test_who_moves_the_beginning_of_the_chain_hides_nothing(world, rows):
    """As if all of it had been forgotten by age: whoever writes the table alone is told by the file."""
    world.now = time.time() - 3600
    world.audit._clock = lambda: world.now
    await written(world, "a", "b")

    def move(db):
        chain = ledger._chain(db)
        chain.anchor, chain.since = chain.head, 1e12
        chain.anchor_id = max(db.scalars(select(AuditEntry.id)))
        act = update(AuditEntry).values(actor="eve") if rows == "stay" else delete(AuditEntry)
        db.execute(act)

    world.store.run_here(move)
    found = look(world).faults
    assert "audit.jsonl line 2 is not in the table: b watch" in found
    moved = "3 entries stand before the beginning of the chain, which was moved"
    assert (moved in found) == (rows == "stay")


@pytest.mark.parametrize(
    "line",
    [
        '{"at": "x", "actor": "eve", "action": "watch", "previous": "1", "hash": "2"}',
        '{"at": 1, "actor": ["eve"], "action": "watch", "previous": "1", "hash": "2"}',
        "[" * 20_000,
    ],
    ids=["time", "actor", "depth"],
)
async def test_no_line_that_somebody_puts_into_the_file_ends_the_look(world, line):
    await written(world, "a", "b")
    file = world.folder / "audit.jsonl"
    first, second = file.read_text().splitlines()
    file.write_text(f"{first}\n{line}\n")
    assert look(world).lines == 1
    file.write_text(f"{line}\n{second}\n")
    assert look(world).lines == 1


async def test_what_is_forgotten_by_age_leaves_a_chain_that_holds(world):
    world.audit._clock = lambda: world.now
    began = world.now
    for day in range(6):
        world.now = began + day * 86400
        await written(world, f"day-{day}")
    world.store.run_here(lambda db: ledger.prune(db, began + 3 * 86400, world.now))
    report = look(world)
    assert (report.faults, report.entries) == ([], 3)
    await written(world, "later")
    world.store.run_here(lambda db: db.execute(update(AuditEntry).values(actor="eve")))
    world.store.run_here(lambda db: ledger.prune(db, began + 5 * 86400, world.now))
    notes = await world.notes()
    [broken] = [note.detail for note in notes if note.action == "audit-broken"]
    assert "was changed" in broken, "what was found before it was forgotten is said for good"


def test_entries_from_before_the_chain_stay_as_they_are(database_url):
    """As a portal finds them that is new."""
    sqlite = database_url.startswith("sqlite")
    engine = create_engine(database_url) if sqlite else _postgresql(make_url(database_url), None)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "accounts_3")
        columns = "(at, actor, action, device, address, detail)"
        for _ in range(2):
            connection.execute(text(f"INSERT INTO audit {columns} VALUES (1, 'old', 'watch', '', '', '')"))
    engine.dispose()
    store = Store.open(database_url)
    store.run_here(lambda db: ledger.append(db, [Entry(2.0, "new", "watch")]))
    assert store.run_here(ledger.verify) == (1, [])
    actors = store.run_here(lambda db: list(db.scalars(select(AuditEntry.actor).order_by(AuditEntry.id))))
    assert actors == ["old", "old", "new"]
    store.close()


async def test_refusals_and_failed_enrolments_are_noted_and_bounded(store):
    async with (
        portal(store=store) as part,
        aiohttp.ClientSession(part.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        part.gateway.on_state("front", state())
        part.desk.add_user("bob", None, password=PASSWORD)
        await http.post("/api/login", json={"user": "bob", "password": PASSWORD})
        body = {"request": SigningKey(make_signing_key()).make_request("front"), "code": "no-such-code"}
        assert (await http.post("/api/enroll", json=body)).status == 403
        for _ in range(50):
            assert (await http.get("/api/users")).status == 403
        async with asyncio.timeout(30):
            while not (noted := await said(part, "refused")):
                await asyncio.sleep(0.05)
        assert await said(part, "enrol-refused") == [("enrolment", "front", "bad-code")]
        assert 1 <= len(noted) <= 20, "a stranger does not fill the log"
        assert set(noted) == {("bob", "", "GET /api/users")}


async def said(part, action):
    rows = await part.accounts.store.run(lambda db: list(db.query(AuditEntry)))
    return [(row.actor, row.device, row.detail) for row in rows if row.action == action]


def test_the_command_says_whether_all_holds_together(tmp_path):
    config = tmp_path / "pinhole.toml"
    config.write_text("[portal]\n")
    with Desk.open(load(config).portal) as desk:
        desk.put_group("Yard", [])
    (tmp_path / "portal-audit.jsonl").write_text("")
    run = [sys.executable, "-m", "agent", "portal", "audit", "verify", "-c", str(config)]
    good = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (good.returncode, "hold together" in good.stdout) == (0, True), good.stderr
    store = Store.open(f"sqlite:///{tmp_path}/portal.db")
    store.run_here(lambda db: db.execute(update(AuditEntry).values(detail="Garden")))
    store.close()
    bad = subprocess.run(run, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "entry 1 was changed" in bad.stdout
    assert "Traceback" not in bad.stderr
    entry = Entry(time.time() - 3600, "eve\x1b[2J\nthey hold together", "watch")
    said = asdict(entry) | {"previous": GENESIS, "hash": hash_of(GENESIS, entry)}
    (tmp_path / "portal-audit.jsonl").write_text(json.dumps(said))
    forged = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "line 1 is not in the table: eve\\x1b[2J\\nthey hold together watch" in forged.stdout
    assert "\x1b" not in forged.stdout
