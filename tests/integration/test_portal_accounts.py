"""Accounts on a real store, SQLite and PostgreSQL alike: signing in, links, grants, several portals."""

import asyncio

import aiohttp
import pytest
from fakes.bus import state
from parts.accounts import HERE
from parts.portal import CHEAP, PASSWORD, USER, portal, standing_clock

from agent.portal.accounts import sessions, shares, users
from agent.portal.accounts.access import Access
from agent.portal.accounts.attempts import FREE_FAILURES
from agent.portal.accounts.codes import code_at
from agent.portal.accounts.passwords import PasswordError
from agent.portal.accounts.service import SignInError, Visitor
from agent.portal.accounts.users import AccountError, UnknownError
from agent.portal.store import Store
from agent.portal.tables import AuditEntry, OneTimeLink, User, WebSession

NEW = "a-better-password"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def all_notes(db):
    return list(db.query(AuditEntry).all())


async def test_who_signs_in_is_known_by_the_cookie_until_it_signs_out(world):
    token, who = await world.sign_in("  ANN ")
    assert who.name == USER
    assert who.access.is_admin
    assert await world.accounts.identity(token) == who
    assert await world.accounts.identity(token + "x") is None
    await world.accounts.sign_out(who, HERE)
    assert await world.accounts.identity(token) is None


async def test_neither_cookie_nor_link_nor_password_stands_in_the_store(world):
    token, _ = await world.sign_in()
    link = world.desk.add_user("bob", "viewer")
    rows = world.store.run_here(
        lambda db: [
            str(vars(row)) for table in (User, WebSession, OneTimeLink) for row in db.query(table).all()
        ]
    )
    assert rows
    assert not any(secret in row for row in rows for secret in (token, link, PASSWORD))


async def test_an_authenticators_code_is_asked_for_and_works_once(world):
    world.give_code(USER, SECRET)
    with pytest.raises(SignInError) as refused:
        await world.sign_in()
    assert refused.value.code == "code-needed"
    code = code_at(SECRET, world.now)
    await world.sign_in(code=code)
    with pytest.raises(SignInError) as refused:
        await world.sign_in(code=code)
    assert refused.value.code == "wrong-code"
    world.now += 30
    await world.sign_in(code=code_at(SECRET, world.now))


async def test_one_code_is_not_taken_twice_at_once(world):
    world.give_code(USER, SECRET)
    code = code_at(SECRET, world.now)
    answers = await asyncio.gather(*(world.sign_in(code=code) for _ in range(4)), return_exceptions=True)
    assert [isinstance(answer, SignInError) for answer in answers].count(False) == 1


async def test_a_one_time_link_works_once_and_for_a_day(world):
    link = world.desk.add_user("bob", "viewer")
    with pytest.raises(PasswordError, match="12 to 256"):
        await world.accounts.welcome(link, "short", "", HERE)
    token, who = await world.accounts.welcome(link, NEW, "", HERE)
    assert who.name == "bob"
    assert await world.accounts.identity(token)
    with pytest.raises(UnknownError):
        await world.accounts.welcome(link, NEW, "", HERE)
    first, second = (world.desk.reset_link("bob", without_code=False) for _ in range(2))
    with pytest.raises(UnknownError):
        await world.accounts.welcome(first, NEW, "", HERE)
    world.now += 86_400 + 60  # the clock of the desk is the real one
    with pytest.raises(UnknownError):
        await world.accounts.welcome(second, NEW, "", HERE)


async def test_of_many_who_use_one_link_at_once_one_comes_in(world, database_url):
    link = world.desk.add_user("bob", "viewer")
    stores = [Store.open(database_url) for _ in range(3)]
    others = [world.another(store) for store in stores]
    tries = (each.welcome(link, NEW, "", HERE) for each in (world.accounts, *others) for _ in range(2))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    for store in stores:
        store.close()
    assert [isinstance(answer, tuple) for answer in answers].count(True) == 1
    assert {type(answer) for answer in answers} <= {tuple, UnknownError}


async def test_a_link_for_a_new_password_does_not_open_the_door_without_the_authenticator(world):
    world.give_code(USER, SECRET)
    link = world.desk.reset_link(USER, without_code=False)
    for code, refusal in (("", "code-needed"), ("000000", "wrong-code")):
        with pytest.raises(SignInError) as refused:
            await world.accounts.welcome(link, NEW, code, HERE)
        assert refused.value.code == refusal
    token, _ = await world.accounts.welcome(link, NEW, code_at(SECRET, world.now), HERE)
    assert await world.accounts.identity(token)
    await world.accounts.welcome(world.desk.reset_link(USER, without_code=True), PASSWORD, "", HERE)
    await world.audit.flush()
    [without] = [entry.detail for entry in world.store.run_here(all_notes) if "without code" in entry.detail]
    assert without == f"{USER} reset link, without code"


async def test_a_right_password_that_needs_a_code_is_no_failure(world):
    """An office behind one address, where everybody has an authenticator."""
    world.give_code(USER, SECRET)
    for _ in range(3 * FREE_FAILURES):
        with pytest.raises(SignInError) as refused:
            await world.sign_in()
        assert refused.value.code == "code-needed"
        await world.sign_in(code=code_at(SECRET, world.now))
        world.now += 30


async def test_nobody_holds_a_user_out_of_a_browser_that_is_known(world):
    _, who = await world.sign_in()
    known = await world.accounts.remember_browser(who, HERE)
    for _ in range(FREE_FAILURES):
        with pytest.raises(SignInError):
            await world.sign_in(password="guess")
    with pytest.raises(SignInError, match="Too many"):
        await world.sign_in()
    there = Visitor(HERE.address, "test", known)
    await world.accounts.sign_in(USER, PASSWORD, "", there)
    assert await world.accounts.remember_browser(who, there) == known, "it keeps its cookie"
    world.desk.add_user("bob", "viewer", password=PASSWORD)
    with pytest.raises(SignInError, match="Too many"):
        await world.accounts.sign_in("bob", PASSWORD, "", there)  # ann's browser is not bob's
    for _ in range(FREE_FAILURES):
        with pytest.raises(SignInError):
            await world.accounts.sign_in(USER, "guess", "", there)
    with pytest.raises(SignInError, match="Too many"):
        await world.accounts.sign_in(USER, PASSWORD, "", there)


async def test_guesses_at_a_name_do_not_hold_up_who_has_its_reset_link(world):
    world.give_code(USER, SECRET)
    link = world.desk.reset_link(USER, without_code=False)
    for _ in range(FREE_FAILURES):
        with pytest.raises(SignInError):
            await world.sign_in(password="guess")
    for _ in range(FREE_FAILURES - 1):
        with pytest.raises(SignInError, match="not right"):
            await world.accounts.welcome(link, NEW, "000000", HERE)
    await world.accounts.welcome(link, NEW, code_at(SECRET, world.now), HERE)


async def test_a_clock_that_was_a_year_ahead_holds_nobody_out_and_lets_nobody_stay(world):
    world.give_code(USER, SECRET)
    now, world.now = world.now, world.now + 366 * 86400
    token, _ = await world.sign_in(code=code_at(SECRET, world.now))
    for _ in range(2 * FREE_FAILURES):
        with pytest.raises(SignInError):
            await world.sign_in(password="guess")
    link = world.store.run_here(lambda db: users.new_entry(db, users.find(db, USER), world.now))
    world.now = now
    assert await world.accounts.identity(token) is None
    with pytest.raises(UnknownError):
        await world.accounts.enter(link, HERE)
    await world.sign_in(code=code_at(SECRET, now))


async def test_a_sign_in_link_works_once_and_chooses_no_password(world):
    link, other = (world.desk.entry_link(USER) for _ in range(2))
    with pytest.raises(UnknownError):
        await world.accounts.welcome(link, NEW, "", HERE)
    token, who = await world.accounts.enter(link, HERE)
    assert who.name == USER
    assert await world.accounts.identity(token)
    with pytest.raises(UnknownError):
        await world.accounts.enter(link, HERE)
    with pytest.raises(UnknownError):
        await world.accounts.enter(world.desk.reset_link(USER, without_code=False), HERE)
    with pytest.raises(UnknownError, match="used or is too old"):  # the new link voids those before it
        await world.accounts.enter(other, HERE)
    third = world.desk.entry_link(USER)
    world.now += 86_400 + 60
    with pytest.raises(UnknownError):
        await world.accounts.enter(third, HERE)


async def test_a_password_that_is_easy_to_guess_is_refused_wherever_one_is_chosen(world):
    with pytest.raises(PasswordError, match="common"):
        world.desk.set_password(USER, "password1234")
    link = world.desk.add_user("bob", "viewer")
    with pytest.raises(PasswordError, match="common"):
        await world.accounts.welcome(link, "password1234", "", HERE)
    await world.accounts.welcome(link, NEW, "", HERE)


async def test_the_first_start_makes_one_administrator_however_many_portals(store):
    links = await asyncio.gather(*(store.run(lambda db: users.first_link(db, 1000.0)) for _ in range(4)))
    assert all(links)
    found = store.run_here(users.views)
    assert [(user.name, user.role) for user in found] == [("admin", "admin")]
    store.run_here(lambda db: users.set_password(db, users.find(db, "admin"), CHEAP.hash(NEW)))
    assert store.run_here(lambda db: users.first_link(db, 1000.0)) is None


def test_roles_and_grants_add_up_and_the_stronger_holds(world):
    world.desk.put_group("Yard", ["gate", "barn"])
    world.desk.add_user("bob", None, cameras=["front"], groups=["Yard"])
    assert world.access("bob").cameras == {"front": "viewer", "gate": "viewer", "barn": "viewer"}
    world.desk.grant("bob", "operator", camera="gate", group=None)
    assert world.access("bob").permissions("gate") == ("watch", "control", "recordings")
    assert world.access("bob").permissions("barn") == ("watch",)
    assert world.access("bob").permissions("elsewhere") == ()
    world.desk.set_role("bob", "operator")
    assert world.access("bob").permissions("elsewhere") == ("watch", "control", "recordings")
    world.desk.set_role("bob", "none")
    world.desk.put_group("Yard", ["barn"])
    assert set(world.access("bob").cameras) == {"front", "gate", "barn"}
    world.desk.remove_group("Yard")
    assert set(world.access("bob").cameras) == {"front", "gate"}
    world.desk.revoke("bob", camera="front", group=None)
    with pytest.raises(AccountError, match="no grant for front"):
        world.desk.revoke("bob", camera="front", group=None)


def test_the_last_administrator_cannot_be_lost(world):
    for act in (
        lambda: world.desk.set_role(USER, "viewer"),
        lambda: world.desk.set_disabled(USER, disabled=True),
        lambda: world.desk.remove(USER),
    ):
        with pytest.raises(AccountError, match="only administrator"):
            act()
    world.desk.add_user("eve", "admin", password=PASSWORD)
    world.desk.remove(USER)
    assert [user.name for user in world.desk.users()] == ["eve"]


@pytest.mark.parametrize("name", ["", " ", "a b", "link:x", "ä", "-x", "x" * 129, "a\nb"])
def test_a_user_name_that_could_be_mistaken_is_refused(world, name):
    with pytest.raises(AccountError):
        world.desk.add_user(name, "viewer")


def test_a_user_cannot_be_added_twice_in_other_letters(world):
    with pytest.raises(AccountError, match="already"):
        world.desk.add_user("Ann", "viewer")


async def test_what_belongs_to_a_user_goes_along(world):
    world.desk.add_user("bob", "viewer", cameras=["front"], password=PASSWORD)
    token, _ = await world.sign_in("bob")
    world.desk.reset_link("bob", without_code=False)
    world.desk.remove("bob")
    assert await world.accounts.identity(token) is None
    assert world.count(OneTimeLink) == world.count(WebSession) == 0


async def test_sessions_of_one_user_are_bounded_and_the_oldest_goes(world):
    tokens = []
    for _ in range(sessions.MAX_SESSIONS_PER_OWNER + 1):
        world.now += 1
        tokens.append((await world.sign_in())[0])
    assert await world.accounts.identity(tokens[0]) is None
    assert await world.accounts.identity(tokens[1])
    assert world.count(WebSession) == sessions.MAX_SESSIONS_PER_OWNER


async def test_a_share_link_goes_with_everything_it_opened(world):
    now = world.now
    token, share = world.store.run_here(lambda db: shares.make(db, "front", "plumber", USER, 3600, now))
    cookie, who, device = await world.accounts.open_share(token, HERE)
    assert (who.name, device, who.expires_at) == ("link:plumber", "front", now + 3600)
    assert who.access.permissions("front") == ("watch",)
    with pytest.raises(UnknownError):
        world.store.run_here(lambda db: shares.revoke(db, share.id, Access("viewer")))
    world.store.run_here(lambda db: shares.revoke(db, share.id, Access("operator")))
    assert await world.accounts.identity(cookie) is None
    with pytest.raises(UnknownError):
        await world.accounts.open_share(token, HERE)


async def test_two_links_for_one_person_are_two(world):
    """A camera shares its places among those who watch, and knows them by these names."""

    def label(device):
        return world.store.run_here(lambda db: shares.make(db, device, "plumber", USER, 3600, world.now))[
            1
        ].label

    assert [label("front"), label("front"), label("gate")] == ["plumber", "plumber 2", "plumber 3"]
    world.now += 3601
    assert label("front") == "plumber"


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_a_session_made_on_one_portal_is_good_on_another_and_ends_on_both(database_url):
    one, two = Store.open(database_url), Store.open(database_url)
    clock = standing_clock()
    parts = (portal(store=store, clock=clock) for store in (one, two))
    try:
        async with next(parts) as first, next(parts) as second, client() as http:
            second.gateway.on_state("front", state())
            login = {"user": USER, "password": PASSWORD}
            assert (await http.post(f"{first.url}/api/login", json=login)).status == 200
            assert (await http.get(f"{second.url}/api/session")).status == 200
            async with http.ws_connect(f"{second.url}/api/ws") as socket:
                assert (await socket.receive_json(timeout=60))["user"] == USER
                await http.post(f"{first.url}/api/logout", json={})
                assert (await socket.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
            for _ in range(5):
                await http.post(f"{first.url}/api/login", json=login | {"password": "wrong"})
            assert (await http.post(f"{second.url}/api/login", json=login)).status == 429
    finally:
        one.close()
        two.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/login", {"user": "a\0b", "password": PASSWORD}),
        ("POST", "/api/users", {"name": "a\0b"}),
        ("POST", "/api/users/a%00b", {"role": "viewer"}),
        ("POST", "/api/groups/a%00b", {"cameras": []}),
        ("POST", "/api/groups/a", {"cameras": ["a\0b"]}),
        ("POST", "/api/shares", {"device": "a\0b", "label": "x", "lifetime_s": 3600.0}),
        ("POST", "/api/shares/revoke", {"id": 2**40}),
        ("POST", "/api/shares/revoke", {"id": 2**100}),
        ("POST", "/api/welcome", {"token": "a\0b", "password": PASSWORD}),
        ("GET", "/api/audit?user=a%00b", None),
        ("GET", f"/api/audit?before={2**80}", None),
        ("GET", "/api/audit?limit=nan", None),
    ],
)
async def test_what_no_database_takes_is_the_callers_fault(store, method, path, body):
    async with portal(store=store) as part, client() as http:
        await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
        answer = await http.request(method, part.url + path, json=body)
        # SQLite has no trouble with a NUL character: then it is a name that nobody has.
        assert answer.status in ((400, 401, 404) if method == "POST" else (200, 400)), await answer.text()
