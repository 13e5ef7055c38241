"""The second factor on a real store: recovery codes, and who must have an authenticator."""

import asyncio

import aiohttp
import pytest
from parts.accounts import HERE
from parts.portal import PASSWORD, USER, portal

from agent.portal.accounts import recovery, users
from agent.portal.accounts.codes import code_at, new_secret
from agent.portal.accounts.service import Accounts, SignInError
from agent.portal.store import Store
from agent.portal.tables import RecoveryCode

NEW = "lamp-orchid-seventeen"


def with_codes(world):
    """Give ann an authenticator; returns her recovery codes."""

    def work(db):
        user = users.find(db, USER)
        user.totp_secret = new_secret()
        return recovery.renew(db, user)

    return world.store.run_here(work)


async def test_each_recovery_code_works_once_and_the_log_counts_them(world):
    first, second, third, *_ = with_codes(world)
    await world.sign_in(code=first)
    with pytest.raises(SignInError) as refused:
        await world.sign_in(code=first)
    assert refused.value.code == "wrong-code"
    await world.sign_in(code=second.lower().replace("-", " "))
    await world.accounts.welcome(world.desk.reset_link(USER, without_code=False), NEW, third, HERE)
    used = [(note.actor, note.detail) for note in await world.notes() if note.action == "recovery-used"]
    assert used == [(USER, "9 left"), (USER, "8 left"), (USER, "7 left")]


async def test_of_many_who_use_one_recovery_code_at_once_one_comes_in(world, database_url):
    code, *_ = with_codes(world)
    stores = [Store.open(database_url) for _ in range(2)]
    others = [Accounts(store, world.audit, world.passwords, clock=lambda: world.now) for store in stores]
    each = [accounts for accounts in (world.accounts, *others) for _ in range(2)][:4]
    tries = (accounts.sign_in(USER, PASSWORD, code, HERE) for accounts in each)
    answers = await asyncio.gather(*tries, return_exceptions=True)
    for store in stores:
        store.close()
    assert [isinstance(answer, tuple) for answer in answers].count(True) == 1
    assert world.count(RecoveryCode) == recovery.COUNT - 1


async def test_recovery_codes_are_nobody_elses_and_end_with_the_authenticator(world):
    code, *_ = with_codes(world)
    world.desk.add_user("bob", "viewer", password=PASSWORD)
    world.store.run_here(lambda db: setattr(users.find(db, "bob"), "totp_secret", new_secret()))
    with pytest.raises(SignInError):
        await world.sign_in("bob", code=code)
    stored = world.store.run_here(lambda db: [vars(row) for row in db.query(RecoveryCode)])
    assert code not in str(stored)
    assert code.replace("-", "") not in str(stored)
    world.desk.reset_link(USER, without_code=True)
    assert world.count(RecoveryCode) == 0


async def test_setting_an_authenticator_gives_ten_codes_and_the_password_new_ones(store):
    async with portal(store=store) as part, aiohttp.ClientSession(part.url, cookie_jar=jar()) as http:

        async def post(path, **body):
            answer = await http.post(path, json=body)
            return answer.status, await answer.json()

        await post("/api/login", user=USER, password=PASSWORD)
        status, said = await post("/api/account/code/recovery", password=PASSWORD)
        assert (status, said["code"]) == (400, "refused"), "codes for no authenticator"
        _, new = await post("/api/account/code/new")
        status, said = await post(
            "/api/account/code", password=PASSWORD, secret=new["secret"], code=code_at(new["secret"])
        )
        first = said["recovery_codes"]
        assert (status, len(set(first))) == (200, 10)
        assert (await (await http.get("/api/account")).json())["recovery_codes"] == 10
        assert (await post("/api/account/code/recovery", password="wrong"))[0] == 401
        _, said = await post("/api/account/code/recovery", password=PASSWORD)
        second = said["recovery_codes"]
        assert not set(first) & set(second)
        assert (await post("/api/login", user=USER, password=PASSWORD, code=first[0]))[0] == 401
        assert (await post("/api/login", user=USER, password=PASSWORD, code=second[0]))[0] == 200


def jar():
    return aiohttp.CookieJar(unsafe=True)
