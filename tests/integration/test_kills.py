"""Enrolment, keys, the store and the audit log are killed before each of their steps, and then used again.

A step is a system call with which something changes: a write, a rename, a message to PostgreSQL. What was
confirmed before the kill is there afterwards, the same work can be done again, and no temporary file is left.
"""

import asyncio
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from argon2 import PasswordHasher
from parts import kill
from parts.notified import Told

from agent.config import Settings
from agent.errors import ConfigError
from agent.model.enrolment import Enrolment
from agent.model.keys import KeySet, encode_public
from agent.portal.accounts import ledger, users
from agent.portal.accounts.audit_file import AuditFile, read_links
from agent.portal.accounts.chain import GENESIS, Entry, faults
from agent.portal.accounts.desk import Desk
from agent.portal.accounts.seal import Seal
from agent.portal.authority import Authority, read_request
from agent.portal.claims import ClaimError, enroll, make_claim, revoke, revoked_serials
from agent.portal.mosquitto import BrokerPlan, write_broker_files
from agent.portal.notify import deliveries
from agent.portal.registry import list_devices
from agent.portal.store import Store
from agent.signaling import enrolment
from agent.signaling.identity import load_identity, load_key
from agent.signaling.signing import SigningFolder

SAMPLE = 3
"""About so many kills of each story in a usual run."""
NOW_S = 1_800_000_000.0
KEY, OTHER = b"\x11" * 32, b"\x22" * 32
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@dataclass
class Place:
    """Where a story is told: a folder of its own, and where there is one, a database."""

    folder: Path
    url: str = ""
    code: str = ""

    def names(self):
        return sorted(file.name for file in self.folder.rglob("*") if file.is_file())


class Story:
    """Something that somebody does, and does again where it was cut short."""

    stays = ()
    """Hidden files that are there for good, as a lock is."""

    def begin(self, place):
        """Make what is there before."""

    def tell(self, place, confirm):
        """Do it. Told again it must do no harm."""

    def after_kill(self, place, said):
        """What was confirmed is there, before anything is done again."""

    def check(self, place, said):
        """After a kill and a second telling: what was confirmed before the kill counts."""


class DeviceEnrols(Story):
    """`pinhole enroll`, with a portal that is played."""

    def begin(self, place):
        Authority(place.folder / "portal")
        SigningFolder(place.folder / "portal")
        (place.folder / "authorities.pem").write_bytes((place.folder / "portal/ca.pem").read_bytes())

    def tell(self, place, confirm):
        portal = place.folder / "portal"

        async def ask(_url, wish, _ca_file):
            device, key = read_request(wish.request.encode())
            confirm(f"key {key.hex()}")
            made = Authority(portal).issue_device(device, key)
            keys = KeySet(1, 1.0, (encode_public(KEY),))
            authority = (portal / "ca.pem").read_text()
            return Enrolment(
                device, made.pem.decode(), made.not_after, keys, "mqtts://b", broker_ca=authority
            )

        settings = Settings.model_validate({"device": {"id": "door", "state_dir": place.folder / "device"}})
        with mock.patch.object(enrolment, "_ask", ask):
            authorities = place.folder / "authorities.pem"
            asyncio.run(enrolment.enroll(settings, "https://portal", "code", lambda _: None, authorities))
        confirm("enrolled")

    def check(self, place, said):
        folder = place.folder / "device"
        key = load_key(folder).public.hex()
        assert all(words in (f"key {key}", "enrolled") for words in said), "the portal knows another key"
        assert load_identity(folder).portal_keys.version == 1
        assert enrolment.load_enrolment(folder)[1].device == "door"


class PortalEnrols(Story):
    """A camera's request at the portal."""

    def begin(self, place):
        Authority(place.folder / "portal")
        with store(place) as db:
            place.code = db(lambda s: make_claim(s, None, by="ann", now=NOW_S, lifetime_s=60))

    def tell(self, place, confirm):
        authority = Authority(place.folder / "portal")

        def work(db):
            got = enroll(db, authority, "door", KEY, place.code, NOW_S)
            if got.is_new:
                ledger.append(db, [Entry(NOW_S, got.by, "enrolled", "door")])
            return got.certificate.hex()

        with store(place) as db:
            confirm(db(work))

    def check(self, place, said):
        with store(place) as db:
            authority = Authority(place.folder / "portal")
            again = db(lambda s: enroll(s, authority, "door", KEY, None, NOW_S)).certificate.hex()
            assert set(said) <= {again}, "a certificate was given that nobody knows of"
            with pytest.raises(ClaimError):
                db(lambda s: enroll(s, authority, "window", OTHER, place.code, NOW_S))
            assert [one.id for one in db(list_devices)] == ["door"]
            assert db(ledger.verify) == (1, [])


class FirstKeys(Story):
    """A portal's first start."""

    def tell(self, place, confirm):
        folder = place.folder / "portal"
        confirm(f"signing {SigningFolder(folder).current.kid}")
        confirm(f"authority {Authority(folder).pem.hex()}")

    def check(self, place, said):
        signing = SigningFolder(place.folder / "portal")
        assert signing.version >= signing.keys[-1].made_at
        assert len(signing.keys) == 1
        authority = Authority(place.folder / "portal").pem.hex()
        assert set(said) <= {f"signing {signing.current.kid}", f"authority {authority}"}


class NewKeys(Story):
    """A new signing key, and the old one retired."""

    def begin(self, place):
        SigningFolder(place.folder)

    def tell(self, place, confirm):
        folder = SigningFolder(place.folder, clock=lambda: time.time() + 100)
        if len(folder.keys) == 1 and folder.keys[0].made_at < time.time() + 50:
            folder.rotate()
        confirm(f"{folder.version} {len(folder.keys)}")
        if len(folder.keys) == 2:
            folder.retire(folder.keys[0].key.kid)
        confirm(f"{folder.version} {len(folder.keys)}")

    def check(self, place, said):
        folder = SigningFolder(place.folder)
        assert len(folder.keys) == 1
        told = [tuple(map(int, words.split())) for words in said]
        assert all(folder.version > version for version, keys in told if keys == 2), (
            "cameras keep the old key"
        )


class BrokerFiles(Story):
    """`pinhole portal broker-config`."""

    def begin(self, place):
        Authority(place.folder / "portal")

    def tell(self, place, confirm):
        plan = BrokerPlan(place.folder / "mosquitto", ("broker.test",))
        write_broker_files(plan, Authority(place.folder / "portal"), [7])
        confirm("portal " + (plan.folder / "portal.pem").read_bytes().hex())

    def check(self, place, said):
        assert set(said) <= {"portal " + (place.folder / "mosquitto/portal.pem").read_bytes().hex()}


class FirstStart(Story):
    """The tables are made."""

    def tell(self, place, confirm):
        with store(place):
            confirm("open")


class Accounts(Story):
    """A user is added, changed, given a grant; each is in the audit log."""

    def begin(self, place):
        with store(place):
            pass

    def tell(self, place, confirm):
        opened = Store.open(place.url)
        desk = Desk(opened, QUICK)
        if not desk.users():
            desk.add_user("ann", "viewer", password="Quiet-harbour-38-lamps")
            confirm("added")
        desk.grant("ann", "operator", camera="door", group=None)
        confirm("granted")
        desk.set_disabled("ann", disabled=True)
        confirm("disabled")
        opened.close()

    def after_kill(self, place, said):
        with store(place) as db:
            count, _ = db(ledger.verify)
            assert len(said) <= count <= len(said) + 1, (
                "an act is not in the log, or one that was not done is"
            )
            known = {user.name: user for user in db(users.views)}
            assert "added" not in said or "ann" in known
            assert "granted" not in said or known["ann"].grants
            assert "disabled" not in said or known["ann"].disabled

    def check(self, place, _said):
        with store(place) as db:
            [user] = db(users.views)
            assert (user.name, user.disabled, len(user.grants)) == ("ann", True, 1)


class Revocations(Story):
    """Claim codes are made, and a camera is shut out."""

    def begin(self, place):
        PortalEnrols().begin(place)
        PortalEnrols().tell(place, lambda _: None)

    def tell(self, place, confirm):
        def work(db):
            revoke(db, "door", NOW_S)
            ledger.append(db, [Entry(NOW_S, "ann", "revoked", "door")])

        with store(place) as db:
            code = db(lambda s: make_claim(s, "gate", by="ann", now=NOW_S, lifetime_s=60))
            confirm(f"code {code}")
            db(work)
            confirm("revoked")
            Authority(place.folder / "portal").write_revocations(
                place.folder / "crl.pem", db(lambda s: revoked_serials(s, NOW_S))
            )

    def after_kill(self, place, said):
        with store(place) as db:
            if "revoked" in said:
                assert db(list_devices)[0].revoked_at, "a confirmed revocation is forgotten"
            authority = Authority(place.folder / "portal")
            for code in (words.split()[1] for words in said if words.startswith("code")):
                assert db(lambda s, code=code: enroll(s, authority, "gate", OTHER, code, NOW_S)).is_new

    def check(self, place, _said):
        with store(place) as db:
            assert next(one for one in db(list_devices) if one.id == "door").revoked_at
            assert len(db(lambda s: revoked_serials(s, NOW_S))) == 1


class Telling(Story):
    """An event is judged, taken and told: what was confirmed is a message that somebody got."""

    def begin(self, place):
        with store(place) as db:
            seal = Seal(bytes(32))
            told = Told(opened(place), seal)
            db(lambda s: users.add(s, "ann", "admin", NOW_S))
            told.rule(told.channel())
            told.happen(NOW_S)
            told.store.close()

    def tell(self, place, confirm, now=NOW_S):
        told = Told(opened(place), Seal(bytes(32)))
        told.judge(now)
        for taken in told.take(now):
            confirm(f"told {taken.id}")
            told.finish(taken, now)
        told.store.close()

    def check(self, place, said):
        got = list(said)
        self.tell(place, got.append, NOW_S + deliveries.LEASE_S)
        told = Told(opened(place), Seal(bytes(32)))
        assert told.rows() == [("sent", "")], "it is lost, or judged twice"
        told.store.close()


class AuditLines(Story):
    """The audit log's file."""

    stays = (".audit.jsonl.lock",)

    def tell(self, place, confirm):
        file = AuditFile(place.folder / "audit.jsonl")
        for number in range(4):
            file.write(Entry(NOW_S, "ann", "watch", f"cam-{number}"))
            confirm(f"cam-{number}")
        file.close()

    def after_kill(self, place, said):
        held = [link.entry.device for link in self.links(place)]
        assert held[: len(said)] == list(said), "a confirmed line is gone"

    def check(self, place, said):
        assert len(self.links(place)) >= 4 + len(said)

    def links(self, place):
        file = place.folder / "audit.jsonl"
        links = list(read_links(file)) if file.exists() else []
        assert list(faults(links, GENESIS)) == [], "the chain is broken"
        return links


def opened(place):
    return Store.open(place.url)


class store:  # noqa: N801  reads as a word in `with`
    """The database of a place, and its chain, which must hold after each kill."""

    def __init__(self, place):
        self.place = place

    def __enter__(self):
        self.opened = Store.open(self.place.url)
        return self.opened.run_here

    def __exit__(self, *_):
        self.opened.close()


ON_FILES = {
    "device": DeviceEnrols,
    "first-keys": FirstKeys,
    "new-keys": NewKeys,
    "broker-files": BrokerFiles,
    "audit-file": AuditLines,
}
ON_STORES = {
    "portal": PortalEnrols,
    "first-start": FirstStart,
    "accounts": Accounts,
    "revocations": Revocations,
    "telling": Telling,
}


def tell_and_kill(story, place, at):
    """One kill, and what comes after; how many steps there were where `at` was not reached."""
    story.begin(place)
    ended = kill.run(lambda confirm: story.tell(place, confirm), at)
    if not ended.was_killed:
        return ended.steps
    story.after_kill(place, ended.said)
    if place.url:
        with store(place) as db:
            assert db(ledger.verify)[1] == [], "the audit log's chain is broken"
    story.tell(place, lambda _: None)
    story.check(place, ended.said)
    story.tell(place, lambda _: None)
    left = [name for name in place.names() if name.startswith(".") and name not in story.stays]
    assert left == [], "something is left"
    return None


def kill_all(story, places, every):
    """Kills before every step, or before some; how many."""
    steps = tell_and_kill(story, next(places), None)
    chosen = range(1, steps + 1) if every else range(1 + steps // SAMPLE // 2, steps, max(1, steps // SAMPLE))
    for at in chosen:
        try:
            tell_and_kill(story, next(places), at)
        except (AssertionError, ConfigError) as exc:
            raise AssertionError(f"killed before step {at} of {steps}: {exc}") from exc
    return len(chosen)


def fresh(tmp_path, new_url):
    number = 0
    while True:
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        yield Place(folder, new_url(folder))
        number += 1


@pytest.fixture
def places(tmp_path):
    return fresh(tmp_path, lambda _: "")


@pytest.fixture(params=["sqlite", "postgresql"])
def store_places(request, tmp_path):
    if request.param == "sqlite":
        made = tmp_path / "made.db"
        Store.open(f"sqlite:///{made}").close()

        def new_url(folder):
            if request.node.callspec.params["name"] != "first-start":  # tables take their time
                shutil.copy(made, folder / "portal.db")
            return f"sqlite:///{folder}/portal.db"

        return fresh(tmp_path, new_url)
    server = request.getfixturevalue("postgres")
    return fresh(tmp_path, lambda _: server.new_database())


@pytest.mark.parametrize("name", ON_FILES)
def test_a_kill_now_and_then_spoils_no_file(places, name):
    assert kill_all(ON_FILES[name](), places, every=False)


@pytest.mark.parametrize("name", ON_STORES)
def test_a_kill_now_and_then_spoils_no_store(store_places, name):
    assert kill_all(ON_STORES[name](), store_places, every=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ON_FILES)
def test_a_kill_before_each_step_spoils_no_file(places, name):
    print(f"\n{name}: {kill_all(ON_FILES[name](), places, every=True)} kills")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ON_STORES)
def test_a_kill_before_each_step_spoils_no_store(store_places, name):
    print(f"\n{name}: {kill_all(ON_STORES[name](), store_places, every=True)} kills")
