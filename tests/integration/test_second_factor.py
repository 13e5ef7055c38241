"""The second factor on a real store: recovery codes, and who must have an authenticator."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from parts.accounts import HERE
from parts.portal import PASSWORD, USER, portal
from parts.routes import of, routes

from agent.client.fleet import ask_to_look
from agent.client.session import PortalClient, SignIn
from agent.errors import PortalError
from agent.portal.accounts import recovery, shares, users
from agent.portal.accounts.access import Access
from agent.portal.accounts.codes import code_at, new_secret
from agent.portal.accounts.service import SignInError
from agent.portal.api.route import Need
from agent.portal.store import Store
from agent.portal.tables import RecoveryCode

NEW = "lamp-orchid-seventeen"


def with_codes(world):
    """Give ann an authenticator; returns her recovery codes."""
    world.give_code(USER, new_secret())
    return world.store.run_here(lambda db: recovery.renew(db, users.find(db, USER)))


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
    others = [world.another(store) for store in stores]
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
    world.give_code("bob", new_secret())
    with pytest.raises(SignInError):
        await world.sign_in("bob", code=code)
    stored = world.store.run_here(lambda db: [vars(row) for row in db.query(RecoveryCode)])
    assert code not in str(stored)
    assert code.replace("-", "") not in str(stored)
    world.desk.reset_link(USER, without_code=True)
    assert world.count(RecoveryCode) == 0


async def test_setting_an_authenticator_gives_ten_codes_and_the_password_new_ones(store):
    async with portal(store=store) as part, client(part) as (http, post):
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


OWN = {
    "GET /api/session",
    "POST /api/logout",
    "GET /api/account",
    "POST /api/account/code/new",
    "POST /api/account/code",
    "POST /api/confirm",
    "POST /api/confirm/passkey/options",
    "POST /api/confirm/passkey",
}
"""All that somebody may ask who has yet to set up a second factor."""


@pytest.mark.parametrize(
    ("rule", "bound"),
    [
        ("nobody", set()),
        ("admin", {"admin", "manages one"}),
        ("operator", {"admin", "manages one", "operator", "operates one"}),
        ("everyone", {"admin", "manages one", "operator", "operates one", "viewer", "nothing"}),
    ],
)
def test_a_role_is_bound_for_every_camera_or_for_one(rule, bound):
    people = {
        "admin": Access("admin"),
        "manages one": Access("viewer", {"gate": "admin"}),
        "operator": Access("operator"),
        "operates one": Access(None, {"gate": "viewer", "yard": "operator"}),
        "viewer": Access("viewer"),
        "nothing": Access(),
    }
    assert {name for name, access in people.items() if access.must_have_factor(rule)} == bound


async def test_who_must_have_a_second_factor_can_set_it_up_and_do_nothing_else(store):
    async with portal(store=store, require_code_for="admin") as part, client(part) as (http, post):
        status, me = await post("/api/login", user=USER, password=PASSWORD)
        assert (status, me["second_factor_needed"], me["admin"]) == (200, True, False)
        left = {f"{method} {path}" for method, path, route in routes() if route.need is Need.OWN}
        assert left == OWN
        for method, path in of(Need.USER, Need.ADMIN, Need.CONFIRMED_ADMIN):
            answer = await http.request(method, path, json={} if method == "POST" else None)
            assert (answer.status, (await answer.json())["code"]) == (403, "second-factor-needed"), path
        assert "/api/ws" in {path for _, path in of(Need.USER)}, "the WebSocket is one of them"

        _, new = await post("/api/account/code/new")
        body = {"password": PASSWORD, "secret": new["secret"], "code": code_at(new["secret"])}
        assert (await post("/api/account/code", **body))[0] == 200
        _, me = await get(http, "/api/session")
        assert (me["second_factor_needed"], me["admin"]) == (False, True)
        assert (await get(http, "/api/users"))[0] == 200, "the last administrator is not locked out"
        async with http.ws_connect("/api/ws") as socket:
            assert (await socket.receive_json())["type"] == "hello"

        status, said = await post("/api/account/code/remove", password=PASSWORD)
        assert (status, said["code"]) == (400, "refused")
        assert "set another up in its place" in said["message"]
        assert (await get(http, "/api/account"))[1]["has_code"] is True
        await part.accounts.audit.flush()
        log = (await get(http, f"/api/audit?user={USER}"))[1]["entries"]
        noted = [(entry["action"], entry["detail"]) for entry in log]
        assert ("sign-in", "without a second factor: may set one up, and nothing else") in noted
        assert ("refused", "turn the authenticator off") in noted


async def test_who_need_not_have_one_is_not_asked(store):
    async with portal(store=store, role="operator", require_code_for="admin") as part:
        part.desk.add_user("bob", "admin", password=PASSWORD)
        async with client(part) as (http, post):
            _, me = await post("/api/login", user=USER, password=PASSWORD)
            assert (me["second_factor_needed"], me["operator"]) == (False, True)
            async with http.ws_connect("/api/ws") as socket:
                assert (await socket.receive_json())["type"] == "hello"
                # A stronger role asks for more: at once, also of who is here.
                part.desk.set_role(USER, "admin")
                while (frame := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert socket.close_code == 1008, frame
            assert (await get(http, "/api/session"))[1]["second_factor_needed"] is True


async def test_a_session_from_before_the_authenticator_does_not_profit_from_it(store):
    """Only the browser that showed the code is let on; a password alone stays a password alone."""
    async with portal(store=store, require_code_for="everyone") as part, client(part) as (_, post):
        await post("/api/login", user=USER, password=PASSWORD)
        async with client(part) as (other, there):
            await there("/api/login", user=USER, password=PASSWORD)
            _, new = await post("/api/account/code/new")
            secret = new["secret"]
            await post("/api/account/code", password=PASSWORD, secret=secret, code=code_at(secret))
            assert (await get(other, "/api/users"))[0] == 401
            status, said = await there("/api/login", user=USER, password=PASSWORD)
            assert (status, said["code"]) == (401, "code-needed")


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/api/account/password", {"old": PASSWORD, "new": NEW}),
        ("/api/account/code", {"password": PASSWORD}),
        ("/api/account/code/remove", {"password": PASSWORD}),
        ("/api/account/code/recovery", {"password": PASSWORD}),
    ],
)
async def test_a_session_that_ends_while_the_password_is_checked_changes_nothing(store, path, more):
    """Whoever took a session and is put out by its owner does not come in by what was under way."""
    async with portal(store=store) as part, client(part) as (_, post):
        await post("/api/login", user=USER, password=PASSWORD)
        if path.endswith("code"):
            secret = new_secret()
            more = more | {"secret": secret, "code": code_at(secret)}
        check = part.accounts.check_again

        async def check_slowly(who, password):
            await check(who, password)
            await part.accounts.store.run(lambda db: users.end_sessions(db, users.find(db, USER)))

        part.accounts.check_again = check_slowly
        before = await part.accounts.store.run(lambda db: vars(users.find(db, USER)).copy())
        status, said = await post(path, **more)
        assert (status, said["code"]) == (401, "signed-out")
        after = await part.accounts.store.run(lambda db: vars(users.find(db, USER)).copy())
        changed = {key for key in before if not key.startswith("_") and before[key] != after[key]}
        assert changed == set()


async def test_share_links_go_on_whatever_the_roles_ask_for(store):
    async with portal(store=store, require_code_for="everyone") as part:
        token, _ = part.accounts.store.run_here(
            lambda db: shares.make(db, "front", "plumber", USER, 3600, part.accounts.now())
        )
        async with client(part) as (http, post):
            assert (await post("/api/share/open", token=token))[0] == 200
            assert (await get(http, "/api/share"))[0] == 200
            async with http.ws_connect("/api/share/ws") as socket:
                assert (await socket.receive_json())["type"] == "hello"


async def test_the_command_line_is_told_what_to_do(store):
    async with portal(store=store, require_code_for="admin") as part:
        for ask in (
            ask_to_look(part.url, SignIn(USER, PASSWORD), []),
            PortalClient.connect(part.url, SignIn(USER, PASSWORD)).__aenter__(),
        ):
            with pytest.raises(PortalError, match=r"in a browser to set up an authenticator, then .* --code"):
                await ask


@asynccontextmanager
async def client(part):
    """A browser, and how it posts."""
    async with aiohttp.ClientSession(part.url, cookie_jar=jar()) as http:

        async def post(path, **body):
            answer = await http.post(path, json=body)
            return answer.status, await answer.json()

        yield http, post


async def get(http, path):
    answer = await http.get(path)
    return answer.status, await answer.json()


def jar():
    return aiohttp.CookieJar(unsafe=True)
