"""Claim codes and certificates, on both databases."""

import asyncio
import time
from types import SimpleNamespace

import aiohttp
import pytest
from parts.portal import portal, standing_clock
from sqlalchemy import text

from agent.errors import PortalError
from agent.portal import store as stores
from agent.portal.accounts import attempts
from agent.portal.accounts.audit import Filter, entries
from agent.portal.accounts.desk import Desk
from agent.portal.api import enroll as enroll_api
from agent.portal.authority import Authority
from agent.portal.claims import ClaimError, enroll, make_claim, revoke, revoked_serials
from agent.portal.names import adopt, rename
from agent.portal.registry import Registry, add_device, list_devices
from agent.portal.store import Store
from agent.signaling.trust import SigningKey, make_signing_key

NOW_S = 1_800_000_000.0
NOBODY = "portal.pinhole"
KEY, OTHER = b"\x11" * 32, b"\x22" * 32


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "state")


def claim(store, device=None, lifetime_s=3600):
    return store.run_here(lambda db: make_claim(db, device, by="ann", now=NOW_S, lifetime_s=lifetime_s))


def ask(store, authority, code, device="door", key=KEY, now=NOW_S):
    return store.run_here(lambda db: enroll(db, authority, device, key, code, now))


def test_a_code_works_once_and_what_it_gave_is_given_again(store, authority):
    code = claim(store)
    first = ask(store, authority, code.lower().replace("-", " "))
    assert (first.device, first.is_new, first.by) == ("door", True, "ann")
    again = ask(store, authority, code)
    assert (again.certificate, again.is_new) == (first.certificate, False)
    with pytest.raises(ClaimError, match="used"):
        ask(store, authority, code, "window", OTHER)


@pytest.mark.parametrize("code", [None, "", "WRONG", "A" * 64])
def test_without_a_good_code_nobody_comes_in(store, authority, code):
    with pytest.raises(ClaimError) as caught:
        ask(store, authority, code)
    assert caught.value.code == "bad-code"
    assert store.run_here(list_devices) == []


def test_a_code_that_is_refused_is_not_used_up(store, authority):
    code = claim(store, "door")
    with pytest.raises(ClaimError) as caught:
        ask(store, authority, code, "window")
    assert caught.value.code == "other-device"
    with pytest.raises(ClaimError):
        ask(store, authority, code, now=NOW_S + 3601)
    assert ask(store, authority, code).is_new


def test_a_certificate_is_replaced_when_a_third_of_its_life_is_left(store, authority):
    first = ask(store, authority, claim(store))
    life_s = first.not_after - NOW_S
    assert ask(store, authority, None, now=NOW_S + life_s * 0.6).certificate == first.certificate
    assert ask(store, authority, None, now=NOW_S + life_s * 0.7).certificate != first.certificate


async def test_a_revoked_device_is_noticed_and_comes_back_by_a_code_of_its_own(store, authority):
    registry = Registry(store)
    ask(store, authority, claim(store))
    assert await registry.refresh() == frozenset()
    assert registry.key_of("door") == KEY
    store.run_here(lambda db: revoke(db, "door", NOW_S))
    assert await registry.refresh() == {"door"}
    assert registry.key_of("door") is None
    assert len(store.run_here(lambda db: revoked_serials(db, NOW_S))) == 1
    with pytest.raises(ClaimError):
        ask(store, authority, None)
    with pytest.raises(ClaimError, match="--device door"):
        ask(store, authority, claim(store), key=OTHER)
    with pytest.raises(ClaimError, match="revoked"):
        ask(store, authority, claim(store))
    ask(store, authority, claim(store, "door"), key=OTHER)
    await registry.refresh()
    assert registry.key_of("door") == OTHER


async def test_a_camera_is_called_what_the_portal_says(store, authority):
    registry = Registry(store)
    named = store.run_here(
        lambda db: make_claim(db, None, by="ann", now=NOW_S, lifetime_s=3600, name="Front door")
    )
    ask(store, authority, named)
    ask(store, authority, claim(store), "window", OTHER)
    await registry.refresh()
    assert registry.names == {"door": "Front door", "window": None}
    store.run_here(lambda db: adopt(db, {"door": "Yard", "window": "Window\n of the yard"}))
    store.run_here(lambda db: adopt(db, {"window": "Front door"}))
    await registry.refresh()
    assert registry.names == {"door": "Front door", "window": "Window of the yard"}
    Desk(store).rename_camera("door", "Gate")
    await registry.refresh()
    assert registry.names["door"] == "Gate"
    [entry] = [entry for _, entry in store.run_here(lambda db: entries(db, Filter()))]
    assert (entry.action, entry.device, entry.detail) == ("renamed", "door", "Front door is now Gate")
    with pytest.raises(PortalError, match="no camera ghost"):
        store.run_here(lambda db: rename(db, "ghost", "Gate"))


def test_codes_and_revocations_of_the_command_line_are_in_the_audit_log(store, authority):
    [code, _] = Desk(store).make_claims(["door", None], lifetime_s=3600, name="Front door")
    ask(store, authority, code, now=time.time())
    Desk(store).revoke_camera("door")
    found = [entry for _, entry in store.run_here(lambda db: entries(db, Filter(about="cameras")))]
    assert sorted((entry.actor, entry.action, entry.device, entry.detail) for entry in found) == [
        ("command line", "claim-made", "", "Front door"),
        ("command line", "claim-made", "door", "Front door"),
        ("command line", "revoked", "door", ""),
    ]
    with pytest.raises(PortalError, match="no camera ghost"):
        Desk(store).revoke_camera("ghost")


def test_a_name_of_nobody_cannot_be_revoked(store):
    with pytest.raises(PortalError, match="no camera"):
        store.run_here(lambda db: revoke(db, "ghost", NOW_S))


@pytest.mark.parametrize("name", ["keys", "portal", "Portal-2", "portal.pinhole", "a/b", "x\n"], ids=ascii)
def test_no_new_device_gets_a_name_that_is_another_kind_of_thing(store, name):
    with pytest.raises(PortalError, match="cannot be a camera's id"):
        store.run_here(lambda db: add_device(db, name, KEY, by="ann", now=NOW_S))


def test_who_was_enrolled_under_such_a_name_is_shut_out_by_the_next_release(
    database_url, authority, monkeypatch
):
    made = authority.issue_device(NOBODY, OTHER)
    with monkeypatch.context() as former:
        upgrade = stores.command.upgrade
        former.setattr(stores.command, "upgrade", lambda config, _: upgrade(config, "devices_2"))
        older = Store.open(database_url)

    def as_it_was(db):
        values = {"serial": f"{made.serial:x}", "name": NOBODY, "key": OTHER, "until": made.not_after}
        for statement in (
            "INSERT INTO devices (id, public_key, enrolled_at, enrolled_by) VALUES (:name, :key, 0, 'ann')",
            "INSERT INTO devices (id, public_key, enrolled_at, enrolled_by) VALUES ('door', :key, 0, 'ann')",
            (
                "INSERT INTO device_certificates (serial, device, public_key, pem, issued_at, not_after)"
                " VALUES (:serial, :name, :key, :key, 0, :until)"
            ),
        ):
            db.execute(text(statement), values)

    older.run_here(as_it_was)
    older.close()
    newer = Store.open(database_url)
    known = {one.id: one.revoked_at is None for one in newer.run_here(list_devices)}
    assert known == {"door": True, NOBODY: False}
    assert newer.run_here(lambda db: revoked_serials(db, NOW_S)) == [made.serial]
    newer.close()


async def test_of_many_who_use_one_code_at_once_one_comes_in(store, authority, database_url):
    code = claim(store)
    both = [store, Store.open(database_url)]

    def ask_as(number):
        device, key = f"camera-{number}", bytes([number]) * 32
        return lambda db: enroll(db, authority, device, key, code, NOW_S)

    tries = (both[number % 2].run(ask_as(number)) for number in range(8))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    both[1].close()
    assert [isinstance(answer, ClaimError) for answer in answers].count(False) == 1
    assert len(store.run_here(list_devices)) == 1


async def test_of_two_codes_at_once_for_one_new_name_the_second_is_told_why(store, authority, database_url):
    both = (store, Store.open(database_url))
    codes = [claim(store) for _ in range(8)]

    def ask_as(number):
        return lambda db: enroll(db, authority, "door", bytes([number]) * 32, codes[number], NOW_S)

    tries = (both[number % 2].run(ask_as(number)) for number in range(8))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    both[1].close()
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(refused) == 7
    assert {type(answer) for answer in refused} == {ClaimError}, refused
    assert {answer.code for answer in refused} == {"taken"}
    assert all("choose another device.id" in str(answer) for answer in refused)
    # None of their codes is used up by that.
    spare = next(number for number, answer in enumerate(answers) if isinstance(answer, Exception))
    assert ask(store, authority, codes[spare], "window", OTHER).is_new


async def test_who_comes_second_with_a_new_name_hears_of_a_conflict(store):
    codes = [
        store.run_here(lambda db: make_claim(db, None, by="ann", now=time.time(), lifetime_s=3600))
        for _ in range(2)
    ]
    keys = [SigningKey(make_signing_key()) for _ in codes]
    bodies = [
        {"request": key.make_request("door"), "code": code} for key, code in zip(keys, codes, strict=True)
    ]
    async with portal(store=store) as part, aiohttp.ClientSession(part.url) as http:
        answers = await asyncio.gather(*(http.post("/api/enroll", json=body) for body in bodies))
        assert sorted(answer.status for answer in answers) == [200, 409]
        [refused] = [await answer.json() for answer in answers if answer.status == 409]
    assert refused["code"] == "taken"
    assert "choose another device.id" in refused["message"]


async def test_a_camera_that_tries_a_used_code_locks_nobody_else_out(store):
    keys = attempts.keys_of_device("door", "192.0.2.1")
    for _ in range(2 * attempts.FREE_FAILURES):
        store.run_here(lambda db: attempts.begin(db, keys, NOW_S))
    assert store.run_here(lambda db: attempts.begin(db, keys, NOW_S)) > 0
    sign_in = attempts.keys_of("ann", "192.0.2.1")
    assert store.run_here(lambda db: attempts.begin(db, sign_in, NOW_S)) == 0


async def test_nobodys_guesses_hold_up_a_camera_that_is_known_or_has_a_good_code(store, monkeypatch):
    """Else whoever knows its name keeps it from a new certificate until the old one is over."""
    key, other = (SigningKey(make_signing_key()) for _ in range(2))
    codes = [
        store.run_here(lambda db: make_claim(db, None, by="ann", now=time.time(), lifetime_s=3600))
        for _ in range(2)
    ]
    # Else the last guess may come when the pause after the one before is over.
    monkeypatch.setattr(enroll_api, "time", SimpleNamespace(time=standing_clock()))
    async with portal(store=store) as part, aiohttp.ClientSession(part.url) as http:

        async def ask_as(key, name, code=None):
            body = {"request": key.make_request(name)} | ({"code": code} if code else {})
            answer = await http.post("/api/enroll", json=body)
            return answer.status

        assert await ask_as(key, "door", codes[0]) == 200
        for name in ("door", "window"):
            tries = [await ask_as(other, name, "WRONG") for _ in range(2 * attempts.FREE_FAILURES)]
            assert tries[-1] == 429
        assert await ask_as(key, "door") == 200
        assert await ask_as(other, "window", codes[1]) == 200
