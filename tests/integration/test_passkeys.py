"""Passkeys on a real store, by an authenticator in software: made, signed in by, removed, and misused."""

import asyncio
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fakes.authenticator import ORIGIN, SoftAuthenticator
from parts.accounts import HERE
from parts.mosquitto import free_ports
from parts.portal import PASSWORD, USER, portal

from agent.portal.accounts import challenges, passkeys, users
from agent.portal.accounts.attempts import FREE_FAILURES
from agent.portal.accounts.ceremonies import Ceremonies
from agent.portal.accounts.codes import code_at
from agent.portal.accounts.service import SignInError, Visitor
from agent.portal.accounts.users import AccountError, UnknownError
from agent.portal.tables import Passkey, PasskeyChallenge

ELSEWHERE = Visitor("198.51.100.7", "test")


class Door:
    """The accounts of a world, by passkeys."""

    def __init__(self, world):
        self.world = world
        self.ceremonies = Ceremonies(world.accounts, ORIGIN)

    async def give(self, name=USER, called="Phone"):
        """A new passkey for this user."""
        phone = SoftAuthenticator()
        _, who = await self.world.sign_in(name)
        made = phone.make(await self.ceremonies.begin_adding(who))
        await self.ceremonies.add(who, called, made, HERE)
        return phone

    async def again(self, who):
        """The same session, as it is now."""
        found = await self.world.accounts._find([who.session])
        return found[who.session]

    async def come(self, phone, visitor=HERE):
        """Sign in by a passkey."""
        signed = phone.sign(await self.ceremonies.begin_sign_in(visitor))
        return await self.ceremonies.sign_in(signed, visitor)

    async def refused(self, phone, visitor=HERE):
        """The code with which it is not let in."""
        with pytest.raises(SignInError) as error:
            await self.come(phone, visitor)
        return error.value.code

    async def notes(self):
        return [(note.actor, note.action, note.detail) for note in await self.world.notes()]


@pytest.fixture
def door(world):
    return Door(world)


async def test_a_passkey_signs_its_user_in_and_the_log_says_so(door):
    phone = await door.give()
    for _ in range(2):
        token, who = await door.come(phone)
        assert (who.name, who.access.is_admin) == (USER, True)
        assert (await door.world.accounts.identity(token)).session == who.session
    [shown] = door.world.desk.passkeys(USER)
    assert (shown.name, shown.created_at, shown.used_at) == ("Phone", door.world.now, door.world.now)
    notes = await door.notes()
    assert (USER, "passkey-added", "Phone") in notes
    assert notes.count((USER, "sign-in", "with passkey Phone")) == 2


async def test_it_counts_as_both_factors(door):
    phone = await door.give()
    door.world.give_code(USER, "A" * 32)
    with pytest.raises(SignInError, match="code"):
        await door.world.sign_in()
    assert (await door.come(phone))[1].name == USER


async def test_a_role_that_asks_for_a_second_factor_is_content_with_a_passkey(door):
    door.world.accounts.rule = "admin"
    _, who = await door.world.sign_in()
    assert who.needs_factor
    phone = SoftAuthenticator()
    made = phone.make(await door.ceremonies.begin_adding(who))
    await door.ceremonies.add(who, "Phone", made, HERE)
    assert not (await door.again(who)).needs_factor, "it was shown when it was made"
    assert not (await door.come(phone))[1].needs_factor

    _, who = await door.world.sign_in()
    assert who.needs_factor, "the password alone is too little, still"
    with pytest.raises(AccountError, match="sign in with it"):
        await door.ceremonies.begin_adding(who)
    [shown] = door.world.desk.passkeys(USER)
    with pytest.raises(AccountError, match="sign in with it"):
        await door.ceremonies.remove(who, shown.id, HERE)
    await door.ceremonies.confirm(who, phone.sign(await door.ceremonies.begin_confirming(who)), HERE)
    who = await door.again(who)
    assert not who.needs_factor, "its passkey makes it whole"
    with pytest.raises(AccountError, match="your only one"):
        await door.ceremonies.remove(who, shown.id, HERE)
    door.world.accounts.rule = "nobody"
    await door.ceremonies.remove(who, shown.id, HERE)
    assert (USER, "passkey-removed", "Phone") in await door.notes()


async def test_a_stolen_password_sets_up_no_authenticator_beside_a_passkey(store):
    async with at(store, require_code_for="everyone") as (part, _, post):
        await post("/api/login", user=USER, password=PASSWORD)
        made = SoftAuthenticator().make((await post("/api/account/passkeys/options"))[1])
        assert (await post("/api/account/passkeys", name="Phone", credential=made))[0] == 200
        await post("/api/logout")
        await post("/api/login", user=USER, password=PASSWORD)
        secret = (await post("/api/account/code/new"))[1]["secret"]
        status, said = await post("/api/account/code", password=PASSWORD, secret=secret, code=code_at(secret))
        assert (status, "sign in with it" in said["message"]) == (400, True)
        assert [user.has_code for user in part.desk.users()] == [False]


async def test_an_answer_counts_once(door):
    phone = await door.give()
    signed = phone.sign(await door.ceremonies.begin_sign_in(HERE))
    tries = (door.ceremonies.sign_in(signed, HERE) for _ in range(4))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert [isinstance(answer, tuple) for answer in answers].count(True) == 1
    assert {answer.code for answer in answers if isinstance(answer, SignInError)} == {"passkey-too-late"}


async def test_a_challenge_is_over_after_minutes_and_is_for_one_purpose_and_session(door):
    phone = await door.give()
    signed = phone.sign(await door.ceremonies.begin_sign_in(HERE))
    door.world.now += challenges.LIFETIME_S + 1
    with pytest.raises(SignInError) as late:
        await door.ceremonies.sign_in(signed, HERE)
    assert late.value.code == "passkey-too-late"
    (_, one), (_, other) = await door.world.sign_in(), await door.world.sign_in()
    signed = phone.sign(await door.ceremonies.begin_confirming(one))
    for wrong in (
        door.ceremonies.sign_in(signed, HERE),
        door.ceremonies.confirm(other, signed, HERE),
        door.ceremonies.add(one, "x", signed, HERE),
    ):
        with pytest.raises(SignInError) as late:
            await wrong
        assert late.value.code == "passkey-too-late"
    await door.ceremonies.confirm(one, signed, HERE)
    assert door.world.store.run_here(lambda db: challenges.take(db, b"made up", "sign-in", 0)) is False


async def test_a_clock_that_was_ahead_leaves_no_challenge_that_lives_on(door):
    phone = await door.give()
    door.world.now += 86_400
    signed = phone.sign(await door.ceremonies.begin_sign_in(HERE))
    door.world.now -= 86_400
    with pytest.raises(SignInError):
        await door.ceremonies.sign_in(signed, HERE)


async def test_a_copied_passkey_is_refused_and_told(door):
    phone = await door.give()
    await door.come(phone)
    await door.come(phone)
    phone.count = 1
    assert await door.refused(phone) == "passkey-copied"
    assert (USER, "passkey-copied", "its count went back") in await door.notes()
    phone.count = 2
    assert (await door.come(phone))[1].name == USER, "the one that counted on still lets its user in"
    phone.count = None
    assert await door.refused(phone) == "passkey-copied", "one that counted once counts for ever"


async def test_one_without_a_count_works_all_the_same(door):
    phone = await door.give()
    phone.count = None
    for _ in range(3):
        assert (await door.come(phone))[1].name == USER


async def test_of_two_answers_with_one_count_one_comes_in(door):
    phone = await door.give()
    answers = []
    for _ in range(4):
        phone.count = 7
        answers.append(phone.sign(await door.ceremonies.begin_sign_in(HERE)))
    done = await asyncio.gather(
        *(door.ceremonies.sign_in(one, HERE) for one in answers), return_exceptions=True
    )
    assert [isinstance(one, tuple) for one in done].count(True) == 1


async def test_who_is_disabled_or_removed_does_not_come_in(door):
    door.world.desk.add_user("bob", "viewer", password=PASSWORD)
    phone = await door.give("bob")
    door.world.desk.set_disabled("bob", disabled=True)
    assert await door.refused(phone) == "wrong-passkey"
    door.world.desk.set_disabled("bob", disabled=False)
    await door.come(phone)
    door.world.desk.remove("bob")
    assert await door.refused(phone) == "unknown-passkey"
    assert door.world.count(Passkey) == 0
    door.world.desk.add_user("bob", "viewer", password=PASSWORD)
    assert await door.refused(phone) == "unknown-passkey", "another one of his name"


async def test_nobody_comes_in_by_anothers_passkey(door):
    door.world.desk.add_user("bob", "viewer", password=PASSWORD)
    ann, bob = await door.give(), await door.give("bob")
    bob.handle, handle = ann.handle, bob.handle
    assert await door.refused(bob) == "wrong-passkey", "it says that it is ann's"
    bob.handle, bob.id = handle, ann.id
    assert await door.refused(bob) == "wrong-passkey", "its key is not ann's"
    _, who = await door.world.sign_in()
    fresh = await door.give("bob")
    signed = fresh.sign(await door.ceremonies.begin_confirming(who))
    with pytest.raises(SignInError) as refused:
        await door.ceremonies.confirm(who, signed, HERE)
    assert refused.value.code == "wrong-passkey"
    failed = [actor for actor, action, _ in await door.notes() if action == "sign-in-failed"]
    assert failed == ["bob", USER, USER]


async def test_wrong_answers_slow_down_their_address_and_hold_nobody_out(door):
    phone = await door.give()
    thief = SoftAuthenticator(id=phone.id, handle=phone.handle)
    for _ in range(FREE_FAILURES):
        assert await door.refused(thief, ELSEWHERE) == "wrong-passkey"
    assert await door.refused(thief, ELSEWHERE) == "too-many-attempts"
    assert await door.refused(phone, ELSEWHERE) == "too-many-attempts"
    assert (await door.come(phone))[1].name == USER
    _, who = await door.world.sign_in()
    known = Visitor(ELSEWHERE.address, "test", await door.world.accounts.remember_browser(who, Visitor("x")))
    assert (await door.come(phone, known))[1].name == USER, "a browser that is known counts for itself"
    for _ in range(FREE_FAILURES + 1):
        with pytest.raises(SignInError):
            await door.world.sign_in(password="wrong")
    assert (await door.come(phone))[1].name == USER, "guesses at the password do not count here"


async def test_what_comes_too_late_is_no_wrong_answer(door):
    phone = await door.give()
    for _ in range(FREE_FAILURES + 3):
        signed = phone.sign(await door.ceremonies.begin_sign_in(HERE))
        door.world.now += challenges.LIFETIME_S + 1
        with pytest.raises(SignInError) as late:
            await door.ceremonies.sign_in(signed, HERE)
        assert late.value.code == "passkey-too-late"


async def test_who_begins_many_sign_ins_pushes_out_nobody_who_is_known_or_elsewhere(door, monkeypatch):
    monkeypatch.setattr(challenges, "MAX_OF_NETWORK", 20)
    monkeypatch.setattr(challenges, "MAX_OF_STRANGERS", 50)
    phone = await door.give()
    _, who = await door.world.sign_in()
    known = Visitor(ELSEWHERE.address, "x", await door.world.accounts.remember_browser(who, Visitor("x")))
    waiting = [(v, phone.sign(await door.ceremonies.begin_sign_in(v))) for v in (HERE, known)]
    confirming = phone.sign(await door.ceremonies.begin_confirming(who))
    for _ in range(60):
        await door.ceremonies.begin_sign_in(ELSEWHERE)
    assert door.world.count(PasskeyChallenge) == 20 + 3
    for visitor, signed in waiting:
        assert (await door.ceremonies.sign_in(signed, visitor))[1].name == USER
    await door.ceremonies.confirm(who, confirming, HERE)
    for number in range(100):
        await door.ceremonies.begin_sign_in(Visitor(f"203.0.113.{number}"))
    assert door.world.count(PasskeyChallenge) == 50
    for _ in range(20):
        await door.ceremonies.begin_sign_in(known)
    assert door.world.count(PasskeyChallenge) == 50 + challenges.MAX_OF_BROWSER
    door.world.now += challenges.LIFETIME_S + 1
    await door.ceremonies.begin_sign_in(HERE)
    assert door.world.count(PasskeyChallenge) == 1


async def test_there_are_so_many_of_one_user_and_each_once(door, monkeypatch):
    monkeypatch.setattr(passkeys, "MAX_PASSKEYS", 2)
    phone = await door.give()
    _, who = await door.world.sign_in()
    for name, words in (("", "a name"), ("\x07", "a name"), ("Twice", "known here already")):
        with pytest.raises(AccountError, match=words):
            await door.ceremonies.add(who, name, phone.make(await door.ceremonies.begin_adding(who)), HERE)
    await door.give(called="  Key   in\tthe drawer ")
    assert [one.name for one in door.world.desk.passkeys(USER)] == ["Phone", "Key in the drawer"]
    with pytest.raises(AccountError, match="2 passkeys already"):
        await door.give()


async def test_who_has_a_company_account_alone_makes_none_here(door):
    _, who = await door.world.sign_in()
    door.world.store.run_here(lambda db: setattr(users.find(db, USER), "password_hash", None))
    with pytest.raises(AccountError, match="company account"):
        await door.ceremonies.begin_adding(who)


async def test_a_new_password_leaves_passkeys_and_an_administrator_removes_them(door):
    desk = door.world.desk
    phone, key = await door.give(), await door.give(called="Key")
    desk.set_password(USER, "lamp-orchid-seventeen")
    await door.world.accounts.welcome(desk.reset_link(USER, without_code=True), PASSWORD, "", HERE)
    assert (await door.come(phone))[1].name == USER
    token, _ = await door.come(key)
    assert [user.passkeys for user in desk.users()] == [2]
    assert desk.remove_passkey(USER, desk.passkeys(USER)[0].id) == "Phone"
    assert await door.world.accounts.identity(token) is None, "whoever has it may be signed in by it"
    assert await door.refused(phone) == "unknown-passkey"
    await door.come(key)
    with pytest.raises(UnknownError):
        desk.remove_passkey(USER, 4711)
    assert desk.remove_passkeys(USER) == 1
    assert await door.refused(key) == "unknown-passkey"
    changed = [detail for actor, _, detail in await door.notes() if actor == "command line"]
    assert "ann passkeys removed" in changed


@asynccontextmanager
async def at(store, **settings):
    """A portal that is at home at ORIGIN; its URL here, a browser, and how that posts."""
    port = free_ports("http")["http"]
    url, jar = f"http://127.0.0.1:{port}", aiohttp.CookieJar(unsafe=True)
    async with (
        portal(store=store, **({"port": port, "public_url": ORIGIN} | settings)) as part,
        aiohttp.ClientSession(url, cookie_jar=jar) as http,
    ):

        async def post(path, **body):
            answer = await http.post(path, json=body)
            return answer.status, await answer.json()

        yield part, http, post


async def test_over_http_it_is_made_listed_used_and_removed(store):
    began = float(int(time.time()))
    clock = [began]
    async with at(store, clock=lambda: clock[0]) as (_, http, post):
        assert (await (await http.get("/api/ways")).json())["passkeys"] == ORIGIN
        await post("/api/login", user=USER, password=PASSWORD)
        clock[0] += 601
        for path, body in (
            ("/options", {}),
            ("", {"name": "x", "credential": "{}"}),
            ("/remove", {"id": 1}),
        ):
            status, said = await post(f"/api/account/passkeys{path}", **body)
            assert (status, said["code"]) == (403, "confirm-first"), path
        assert (await post("/api/confirm/passkey/options"))[0] == 404, "there is none yet"
        await post("/api/confirm", password=PASSWORD)
        phone = SoftAuthenticator()
        made = phone.make((await post("/api/account/passkeys/options"))[1])
        assert (await post("/api/account/passkeys", name="Phone", credential=made))[0] == 200
        account = await (await http.get("/api/account")).json()
        [shown] = account["passkeys"]
        assert (shown["name"], shown["used_at"]) == ("Phone", None)
        assert (account["passkey_origin"], account["passkey_problem"]) == (ORIGIN, "")

        await post("/api/logout")
        asked = (await post("/api/passkey/options"))[1]
        assert asked["allowCredentials"] == []
        status, said = await post("/api/passkey", credential=phone.sign(asked))
        assert (status, said["user"], said["admin"]) == (200, USER, True)
        clock[0] += 601
        assert (await post("/api/users", name="bob"))[0] == 403
        asked = (await post("/api/confirm/passkey/options"))[1]
        assert len(asked["allowCredentials"]) == 1
        assert (await post("/api/confirm/passkey", credential=phone.sign(asked)))[0] == 200
        assert (await post("/api/users", name="bob"))[0] == 200
        assert (await post("/api/account/passkeys/remove", id=shown["id"] + 1))[0] == 404
        assert (await post("/api/account/passkeys/remove", id=shown["id"]))[0] == 200
        asked = (await post("/api/passkey/options"))[1]
        status, said = await post("/api/passkey", credential=phone.sign(asked))
        assert (status, said["code"]) == (401, "unknown-passkey")


async def test_an_administrator_removes_anothers_on_the_dashboard(store):
    async with at(store) as (part, _, post):
        await post("/api/login", user=USER, password=PASSWORD)
        made = SoftAuthenticator().make((await post("/api/account/passkeys/options"))[1])
        await post("/api/account/passkeys", name="Phone", credential=made)
        part.desk.add_user("eve", "admin", password=PASSWORD)
        await post("/api/login", user="eve", password=PASSWORD)
        assert (await post(f"/api/users/{USER}/passkeys/remove"))[0] == 200
        assert part.desk.passkeys(USER) == []
        assert (await post("/api/users/nobody/passkeys/remove"))[0] == 404


async def test_without_https_and_a_name_it_is_said_and_nothing_is_offered(store):
    async with at(store, public_url="http://cams.example.org") as (_, http, post):
        await post("/api/login", user=USER, password=PASSWORD)
        assert (await (await http.get("/api/ways")).json())["passkeys"] is None
        assert "need https" in (await (await http.get("/api/account")).json())["passkey_problem"]
        for path in ("/api/passkey/options", "/api/account/passkeys/options"):
            status, said = await post(path)
            assert (status, "need https" in said["message"]) == (400, True)


async def test_nonsense_is_answered_with_words(store):
    async with at(store) as (part, _, post):
        for credential in ("", "{}", "[" * 3000, "\x00", '{"id":"QQ","response":{"clientDataJSON":"e30"}}'):
            assert (await post("/api/passkey", credential=credential))[0] == 400
        assert (await post("/api/passkey", credential="x" * 6001))[1]["code"] == "malformed"
        await post("/api/login", user=USER, password=PASSWORD)
        asked = (await post("/api/account/passkeys/options"))[1]
        liar = SoftAuthenticator(origin="https://evil.test")
        status, said = await post("/api/account/passkeys", name="x", credential=liar.make(asked))
        assert (status, said["message"][:37]) == (400, "That passkey cannot be used here. Try")
        assert part.desk.passkeys(USER) == []
