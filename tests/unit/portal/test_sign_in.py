"""Signing in and out: who comes in, what each refusal says, and what the audit log hears of it."""

import pytest
from parts.accounts import HERE
from parts.portal import PASSWORD, USER

from agent.portal.accounts import recovery, service, shares, users
from agent.portal.accounts.attempts import FREE_FAILURES
from agent.portal.accounts.codes import code_at
from agent.portal.accounts.company import CompanyError, Departure, Person
from agent.portal.accounts.passwords import PasswordError
from agent.portal.accounts.service import CONFIRMED_S, SignInError, Visitor
from agent.portal.accounts.sessions import SEEN_EVERY_S
from agent.portal.accounts.tokens import MAX_TOKEN_CHARS, key_of
from agent.portal.accounts.users import UnknownError
from agent.portal.outsiders import OUTSIDER
from agent.portal.store import StoreError
from agent.portal.tables import CompanySignIn, WebSession

SET_UP_ONLY = "without a second factor: may set one up, and nothing else"
NEW = "lamp-orchid-seventeen"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
WRONG = ("wrong-password", "That is not the right user name and password.")
NEEDED = ("code-needed", "Enter the code that your authenticator app shows.")
NOT_RIGHT = ("wrong-code", "That code is not right, or was used already.")
TOO_MANY = "Too many wrong passwords. Wait a little before you try again."


async def refusal(waiting):
    with pytest.raises(SignInError) as caught:
        await waiting
    return caught.value.code, str(caught.value)


async def told(world, start=1):
    """What the audit log heard, but for how the user was added."""
    return [(note.actor, note.action, note.address, note.detail) for note in (await world.notes())[start:]]


def with_code(world, name=USER):
    world.give_code(name, SECRET)
    return world.store.run_here(lambda db: recovery.renew(db, users.find(db, name)))


def row(world, who):
    return world.store.run_here(lambda db: db.get(WebSession, who.session))


async def test_who_signs_in_is_known_until_they_sign_out(world):
    token, who = await world.sign_in("  ANN ")
    assert (who.name, who.access.is_admin, who.confirmed_at) == (USER, True, world.now)
    assert (row(world, who).address, row(world, who).browser) == ("192.0.2.1", "test")
    assert await world.accounts.identity(token) == who
    assert (await world.accounts.identities([who.session, "x"])) == {who.session: who}
    before = await world.accounts.revision()
    await world.accounts.sign_out(who, HERE)
    assert await world.accounts.revision() > before
    assert await world.accounts.identity(token) is None
    assert await told(world) == [
        (USER, "sign-in", "192.0.2.1", ""),
        (USER, "sign-out", "192.0.2.1", ""),
    ]


async def test_a_wrong_password_is_forgotten_with_its_refusal(world):
    """An exception that is raised again holds the frames of before, and the passwords in them."""
    refusals = []
    for _ in range(2):
        with pytest.raises(SignInError) as refused:
            await world.accounts.sign_in(USER, "another-wrong-one", "", HERE)
        refusals.append(refused.value)
    assert refusals[0] is not refusals[1]


@pytest.mark.parametrize("token", ["", "made-up", "x" * (MAX_TOKEN_CHARS + 1)])
async def test_a_cookie_that_is_made_up_is_nobodys(world, token):
    assert await world.accounts.identity(token) is None


async def test_nobody_is_asked_about_without_asking_the_database(world, monkeypatch):
    monkeypatch.setattr(world.store, "run", None)
    assert await world.accounts.identities([]) == {}
    assert await world.accounts.identity("") is None
    assert await world.accounts.identity("x" * (MAX_TOKEN_CHARS + 1)) is None
    await world.accounts.note_seen([])


async def test_who_was_good_a_moment_ago_waits_behind_no_outsider(world, monkeypatch):
    monkeypatch.setattr(service, "MAX_OPEN", 2)
    tokens = [(await world.sign_in())[0] for _ in range(3)]

    async def outsider(token):
        OUTSIDER.set("192.0.2.9")
        await world.accounts.identity(token)
        return OUTSIDER.get()

    assert await outsider(tokens[0]) == "192.0.2.9", "the first time"
    assert await outsider(tokens[0]) == ""
    assert await outsider(tokens[1]) == "192.0.2.9"
    assert await outsider(tokens[0]) == ""
    await outsider(tokens[2])
    assert await outsider(tokens[1]) == "192.0.2.9", "the longest unused gave way"
    await world.accounts.sign_out(await world.accounts.identity(tokens[2]), HERE)
    await outsider(tokens[2])
    assert await outsider(tokens[2]) == "192.0.2.9", "no longer good"


async def test_that_somebody_is_here_is_written_now_and_then(world, monkeypatch):
    token, who = await world.sign_in()
    began = world.now
    for after_s, seen in ((SEEN_EVERY_S - 1, began), (SEEN_EVERY_S, began + SEEN_EVERY_S)):
        world.now = began + after_s
        await world.accounts.identity(token)
        assert row(world, who).seen_at == seen
    world.now = began - 10
    await world.accounts.identity(token)
    assert row(world, who).seen_at == began - 10, "its clock was ahead"
    world.store.disk_is_full = True
    world.now = began + 3600
    assert await world.accounts.identity(token)
    assert row(world, who).seen_at == began - 10
    world.store.disk_is_full = False

    async def fail(_work):
        raise StoreError("away")

    monkeypatch.setattr(world.store, "run", fail)
    await world.accounts.note_seen([who.session])


async def test_a_full_disk_is_told_whichever_it_is(world):
    assert not world.accounts.disk_is_full
    world.store.disk_is_full = True
    assert world.accounts.disk_is_full
    world.store.disk_is_full = False
    world.audit._for_file.tell("fault")
    assert world.accounts.disk_is_full


async def test_a_wrong_password_and_a_name_of_nobody_read_the_same(world):
    world.desk.add_user("off", "viewer", password=PASSWORD)
    world.desk.set_disabled("off", disabled=True)
    world.desk.add_user("link", "viewer")
    assert await refusal(world.sign_in(password="guess")) == WRONG
    assert await refusal(world.sign_in("nobody")) == WRONG
    assert await refusal(world.sign_in("off")) == WRONG
    assert await refusal(world.sign_in("link")) == WRONG
    assert await told(world, 4) == [
        (name, "sign-in-failed", "192.0.2.1", "") for name in (USER, "nobody", "off", "link")
    ]


async def test_a_password_that_changes_while_it_is_checked_lets_nobody_in(world, monkeypatch):
    check = world.passwords.verify

    async def slow(stored, password):
        good = await check(stored, password)
        world.desk.set_password(USER, NEW)
        return good

    monkeypatch.setattr(world.passwords, "verify", slow)
    assert await refusal(world.sign_in()) == WRONG
    monkeypatch.setattr(world.passwords, "verify", check)

    async def shut(_stored, _password):
        world.store.run_here(lambda db: setattr(users.find(db, USER), "disabled", True))
        return True

    monkeypatch.setattr(world.passwords, "verify", shut)
    assert await refusal(world.sign_in(password=NEW)) == WRONG


async def test_who_guesses_waits_and_is_told_how_long(world):
    for _ in range(FREE_FAILURES):
        assert await refusal(world.sign_in(password="guess")) == WRONG
    with pytest.raises(SignInError) as caught:
        await world.sign_in()
    assert (caught.value.code, str(caught.value), caught.value.retry_after_s) == (
        "too-many-attempts",
        TOO_MANY,
        1,
    )
    world.now += 1
    await world.sign_in()


async def test_a_success_forgets_the_failures_of_the_name(world):
    for _ in range(3):
        for _ in range(FREE_FAILURES - 1):
            with pytest.raises(SignInError):
                await world.accounts.sign_in(USER, "guess", "", Visitor())
        world.store.run_here(lambda db: db.query(service.attempts.Attempt).filter_by(key="from ").delete())
        await world.accounts.sign_in(USER, PASSWORD, "", Visitor())


async def test_an_authenticators_code_is_asked_for_and_works_once(world):
    with_code(world)
    assert await refusal(world.sign_in()) == NEEDED
    code = code_at(SECRET, world.now)
    await world.sign_in(code=code)
    assert await refusal(world.sign_in(code=code)) == NOT_RIGHT
    assert await refusal(world.sign_in(code="000000")) == NOT_RIGHT
    world.now += 30
    await world.sign_in(code=code_at(SECRET, world.now))
    assert [note[1:] for note in await told(world)] == [
        ("sign-in", "192.0.2.1", ""),
        ("sign-in-failed", "192.0.2.1", "wrong code"),
        ("sign-in-failed", "192.0.2.1", "wrong code"),
        ("sign-in", "192.0.2.1", ""),
    ]


async def test_a_right_password_that_needs_a_code_is_no_failure_and_a_wrong_code_is_one(world):
    with_code(world)
    for _ in range(3 * FREE_FAILURES):
        assert await refusal(world.sign_in()) == NEEDED
    for _ in range(FREE_FAILURES):
        assert await refusal(world.sign_in(code="000000")) == NOT_RIGHT
    assert (await refusal(world.sign_in(code=code_at(SECRET, world.now))))[0] == "too-many-attempts"


async def test_a_recovery_code_works_once_and_the_log_counts_what_is_left(world):
    first, second, *_ = with_code(world)
    await world.sign_in(code=first)
    assert await refusal(world.sign_in(code=first)) == NOT_RIGHT
    link = world.desk.reset_link(USER, without_code=False)
    await world.accounts.welcome(link, NEW, second, HERE)
    used = [note for note in await told(world) if note[1] == "recovery-used"]
    assert used == [(USER, "recovery-used", "192.0.2.1", f"{left} left") for left in (9, 8)]


async def test_nobody_holds_a_user_out_of_a_browser_that_is_known(world):
    _, who = await world.sign_in()
    known = await world.accounts.remember_browser(who, HERE)
    there = Visitor("192.0.2.1", "test", known)
    assert await world.accounts.remember_browser(who, there) == known, "it keeps its cookie"
    assert await world.accounts.remember_browser(who, Visitor(known="made-up")) not in ("made-up", known)
    for _ in range(FREE_FAILURES):
        with pytest.raises(SignInError):
            await world.sign_in(password="guess")
    assert (await refusal(world.sign_in()))[0] == "too-many-attempts"
    await world.accounts.sign_in(USER, PASSWORD, "", there)
    for _ in range(FREE_FAILURES):
        with pytest.raises(SignInError):
            await world.accounts.sign_in(USER, "guess", "", there)
    assert (await refusal(world.accounts.sign_in(USER, PASSWORD, "", there)))[0] == "too-many-attempts"


async def test_a_link_for_a_new_password_signs_in(world):
    link = world.desk.add_user("bob", "viewer")
    with pytest.raises(PasswordError, match="12 to 256"):
        await world.accounts.welcome(link, "short", "", HERE)
    with pytest.raises(PasswordError, match="user name"):
        await world.accounts.welcome(link, "bob-bob-bob-bob", "", HERE)
    token, who = await world.accounts.welcome(link, NEW, "", HERE)
    assert who.name == "bob"
    assert await world.accounts.identity(token) == who
    assert (row(world, who).address, row(world, who).browser) == ("192.0.2.1", "test")
    with pytest.raises(UnknownError):
        await world.accounts.welcome(link, NEW, "", HERE)
    await world.sign_in("bob", NEW)
    assert (await told(world, 2))[0] == ("bob", "password-set", "192.0.2.1", "with a one-time link")
    assert [note[1] for note in await told(world, 2)] == ["password-set", "sign-in"]


async def test_a_link_for_a_new_password_stands_for_no_authenticator(world):
    with_code(world)
    link = world.desk.reset_link(USER, without_code=False)
    for _ in range(2 * FREE_FAILURES):
        assert await refusal(world.accounts.welcome(link, NEW, "", HERE)) == NEEDED
    for _ in range(FREE_FAILURES):
        assert await refusal(world.accounts.welcome(link, NEW, "000000", HERE)) == NOT_RIGHT
    code = code_at(SECRET, world.now)
    with pytest.raises(SignInError) as caught:
        await world.accounts.welcome(link, NEW, code, HERE)
    assert (caught.value.code, str(caught.value)) == (
        "too-many-attempts",
        "Too many wrong codes. Wait a little.",
    )
    assert caught.value.retry_after_s == 1
    await world.sign_in(code=code)  # guesses at the link hold nobody else up
    world.now += 30
    await world.accounts.welcome(link, NEW, code_at(SECRET, world.now), HERE)
    notes = await told(world)
    assert notes.count((USER, "sign-in-failed", "192.0.2.1", "wrong code")) == FREE_FAILURES
    await world.sign_in(password=NEW, code=code_at(SECRET, world.now + 30))


async def test_a_sign_in_link_stands_for_the_password_alone(world):
    token, who = await world.accounts.enter(world.desk.entry_link(USER), HERE)
    assert await world.accounts.identity(token) == who
    assert (row(world, who).address, row(world, who).browser) == ("192.0.2.1", "test")
    assert (await told(world))[-1] == (USER, "sign-in", "192.0.2.1", "with a one-time link")
    with_code(world)
    link = world.desk.entry_link(USER)
    assert await refusal(world.accounts.enter(link, HERE)) == NEEDED
    with pytest.raises(UnknownError):
        await world.accounts.enter("made-up", HERE)


async def test_the_password_is_asked_again_before_something_weighty(world):
    token, who = await world.sign_in()
    began = world.now
    for after_s, is_confirmed in (
        (0, True),
        (CONFIRMED_S, True),
        (CONFIRMED_S + 1, False),
        (-CONFIRMED_S - 1, False),
    ):
        world.now = began + after_s
        assert world.accounts.is_confirmed(who) == is_confirmed
    world.now = began + CONFIRMED_S + 1
    assert await refusal(world.accounts.confirm(who, "guess", HERE)) == (
        "wrong-password",
        "That is not your password.",
    )
    assert not world.accounts.is_confirmed(await world.accounts.identity(token))
    await world.accounts.confirm(who, PASSWORD, HERE)
    assert world.accounts.is_confirmed(await world.accounts.identity(token))
    assert (await told(world))[1:] == [(USER, "sign-in-failed", "192.0.2.1", "asked again")]


async def test_guesses_in_a_session_count_for_that_session_alone(world):
    (_, who), (_, other) = await world.sign_in(), await world.sign_in()
    for _ in range(FREE_FAILURES - 1):
        with pytest.raises(SignInError):
            await world.accounts.check_again(who, "guess")
    await world.accounts.check_again(who, PASSWORD)
    for _ in range(FREE_FAILURES):
        assert (await refusal(world.accounts.check_again(who, "guess")))[0] == "wrong-password"
    with pytest.raises(SignInError) as caught:
        await world.accounts.check_again(who, PASSWORD)
    assert (caught.value.code, str(caught.value)) == (
        "too-many-attempts",
        "Too many wrong passwords. Wait a little.",
    )
    assert caught.value.retry_after_s == 1
    await world.accounts.check_again(other, PASSWORD)
    await world.sign_in()


async def test_a_share_link_lets_in_to_its_camera(world):
    now = world.now
    token, _ = world.store.run_here(lambda db: shares.make(db, "front", "plumber", USER, 3600, now))
    cookie, who, device = await world.accounts.open_share(token, HERE)
    assert (who.name, device, who.expires_at) == ("link:plumber", "front", now + 3600)
    assert await world.accounts.identity(cookie) == who
    assert (row(world, who).address, row(world, who).browser) == ("192.0.2.1", "test")
    [note] = (await world.notes())[1:]
    assert (note.actor, note.action, note.device, note.address) == (
        "link:plumber",
        "link-opened",
        "front",
        "192.0.2.1",
    )
    with pytest.raises(UnknownError):
        await world.accounts.open_share("made-up", HERE)


class Firm:
    """A provider that confirms everybody as `cy`."""

    def __init__(self):
        self.asked = []
        self.has_factor = True

    async def depart(self, redirect_uri):
        self.asked.append(redirect_uri)
        return Departure("https://id.firm.example/authorize", "state", "nonce", "verifier")

    async def arrive(self, redirect_uri, code, iss, pending, now):
        self.asked.append((redirect_uri, code, iss, pending.nonce, now))
        return Person("https://id.firm.example", "42", "cy", self.has_factor)


@pytest.fixture
def firm(world):
    world.firm = Firm()
    world.accounts = world.another(world.store, world.firm)
    return world


def arrive(world, **changes):
    fields = {"state": "state", "code": "code", "error": "", "iss": "iss", "allow_new": True} | changes
    return world.accounts.arrive_from_company("back", "cookie", HERE, **fields)


async def test_who_comes_back_from_the_company_is_signed_in(firm):
    url = await firm.accounts.depart_to_company("back", "cookie")
    assert url == "https://id.firm.example/authorize"
    [waiting] = firm.store.run_here(lambda db: list(db.query(CompanySignIn)))
    assert (waiting.key, waiting.browser) == (key_of("state"), key_of("cookie"))
    assert waiting.expires_at == firm.now + service.company.PENDING_LIFETIME_S
    token, who = await arrive(firm)
    assert firm.firm.asked == ["back", ("back", "code", "iss", "nonce", firm.now)]
    assert await firm.accounts.identity(token) == who
    assert who.name == "cy"
    assert (row(firm, who).address, row(firm, who).browser) == ("192.0.2.1", "test")
    assert await told(firm) == [("cy", "sign-in", "192.0.2.1", "https://id.firm.example")]
    assert [user.created_at for user in firm.desk.users() if user.name == "cy"] == [firm.now]


async def test_who_did_not_begin_here_or_was_refused_there_does_not_come_in(firm):
    with pytest.raises(CompanyError) as caught:
        await arrive(firm)
    assert caught.value.code == "not-begun"
    await firm.accounts.depart_to_company("back", "cookie")
    with pytest.raises(CompanyError) as caught:
        await arrive(firm, error="access\n")
    assert (caught.value.code, str(caught.value)) == ("refused", "the provider says 'access\\n'")
    await firm.accounts.depart_to_company("back", "cookie")
    with pytest.raises(CompanyError) as caught:
        await arrive(firm, allow_new=False)
    assert caught.value.code == "no-account"


async def test_without_a_company_nobody_is_sent_to_one(world):
    with pytest.raises(CompanyError) as caught:
        await world.accounts.depart_to_company("back", "cookie")
    assert (caught.value.code, str(caught.value)) == ("refused", "This portal has no company sign-in.")


async def test_who_shows_no_second_factor_that_the_role_asks_for_may_only_set_one_up(world):
    world.accounts.rule = "admin"
    token, who = await world.sign_in()
    assert (who.needs_factor, who.access.is_admin) == (True, False)
    assert await world.accounts.identities([who.session]) == {}, "no WebSocket, no stream"
    assert (await told(world))[-1] == (USER, "sign-in", "192.0.2.1", SET_UP_ONLY)
    await world.accounts.enter(world.desk.entry_link(USER), HERE)
    assert (await told(world))[-1][-1] == f"with a one-time link, {SET_UP_ONLY}"
    with_code(world)
    token, who = await world.sign_in(code=code_at(SECRET, world.now))
    assert (who.needs_factor, who.access.is_admin) == (False, True)
    assert (await told(world))[-1] == (USER, "sign-in", "192.0.2.1", "")
    assert await world.accounts.identity(token) == who


async def test_an_authenticator_whose_secret_is_damaged_lets_nobody_in(world):
    with_code(world)
    world.store.run_here(lambda db: setattr(users.find(db, USER), "totp_sealed", "1:AAAA"))
    words = "Your authenticator cannot be checked any more: ask an administrator for a new link."
    assert await refusal(world.sign_in(code="123456")) == ("wrong-code", words)


async def test_a_browser_leaves_no_session_behind_when_it_signs_in_anew(world):
    former, _ = await world.sign_in()
    token, _ = await world.sign_in()
    for nothing in ("", "x" * (MAX_TOKEN_CHARS + 1), "made-up"):
        await world.accounts.end_former(nothing)
    await world.accounts.end_former(former)
    assert await world.accounts.identity(former) is None
    assert await world.accounts.identity(token)


async def test_a_session_is_its_owners_while_it_is_open(world):
    _, who = await world.sign_in()
    owner = lambda: world.store.run_here(lambda db: world.accounts.owner_of(db, who)).name  # noqa: E731
    assert owner() == USER
    world.store.run_here(lambda db: setattr(users.find(db, USER), "disabled", True))
    for _ in range(2):
        with pytest.raises(SignInError) as caught:
            owner()
        assert (caught.value.code, str(caught.value)) == ("signed-out", "Sign in first.")
        world.store.run_here(lambda db: db.query(WebSession).delete())


@pytest.mark.parametrize("has_factor", [False, True])
async def test_the_company_answers_for_the_second_factor(firm, has_factor):
    firm.accounts.rule = "everyone"
    firm.firm.has_factor = has_factor
    await firm.accounts.depart_to_company("back", "cookie")
    if has_factor:
        assert (await arrive(firm))[1].needs_factor is False
        return
    with pytest.raises(CompanyError) as caught:
        await arrive(firm)
    assert (caught.value.code, str(caught.value)) == (
        "no-factor",
        "cy signed in at https://id.firm.example without a second factor.",
    )
    assert await told(firm) == [("cy", "sign-in-failed", "192.0.2.1", "company account: no-factor")]
