"""What users do with passkeys: each refusal in its words, each limit, and what the audit log hears."""

import pytest
from fakes.authenticator import ORIGIN, SoftAuthenticator
from parts.accounts import HERE
from parts.portal import PASSWORD, USER

from agent.portal.accounts import challenges, passkeys, users
from agent.portal.accounts.attempts import FREE_FAILURES
from agent.portal.accounts.ceremonies import Ceremonies
from agent.portal.accounts.passkeys import PasskeyView
from agent.portal.accounts.relying_party import Known, NewPasskey, PasskeyAddressError
from agent.portal.accounts.service import SignInError, Visitor
from agent.portal.accounts.tokens import CLOCK_SLACK_S
from agent.portal.accounts.users import AccountError, UnknownError
from agent.portal.tables import Passkey, PasskeyChallenge, User, WebSession

NOW_S = 1_800_000_000.0
WRONG = ("wrong-passkey", "That passkey does not let anybody in.")
UNKNOWN = ("unknown-passkey", "That passkey is not known here: it was removed, or is another portal's.")
TOO_LATE = ("passkey-too-late", "That took too long. Try again.")
LESS_OFTEN = "That passkey has signed less often than it had before: it may have been copied."
COPIED = ("passkey-copied", f"{LESS_OFTEN} Sign in another way, and remove it.")
NO_ANSWER = "That is no answer of a passkey."


class Door:
    """The accounts of a world, by passkeys."""

    def __init__(self, world):
        self.world, self.run = world, world.store.run_here
        self.ceremonies = Ceremonies(world.accounts, ORIGIN)

    async def give(self, who=None, called="Phone"):
        who = who or (await self.world.sign_in())[1]
        phone = SoftAuthenticator()
        await self.ceremonies.add(who, called, phone.make(await self.ceremonies.begin_adding(who)), HERE)
        return phone

    async def come(self, phone, visitor=HERE):
        return await self.ceremonies.sign_in(
            phone.sign(await self.ceremonies.begin_sign_in(visitor)), visitor
        )

    async def confirm(self, who, phone):
        await self.ceremonies.confirm(who, phone.sign(await self.ceremonies.begin_confirming(who)), HERE)

    async def notes(self):
        """But for how the user was added, and the first sign-in."""
        return [(n.actor, n.action, n.address, n.detail) for n in (await self.world.notes())[2:]]

    def shown(self, name=USER):
        return self.run(lambda db: passkeys.of_user(db, users.find(db, name)))


@pytest.fixture
def door(world):
    return Door(world)


async def refusal(waiting, error=SignInError):
    with pytest.raises(error) as caught:
        await waiting
    return (caught.value.code, str(caught.value)) if error is SignInError else str(caught.value)


async def test_a_passkey_is_made_signs_its_user_in_and_is_removed(door):
    _, who = await door.world.sign_in()
    phone = await door.give(who, " My \n phone ")
    made_at = door.world.now
    assert door.shown() == [PasskeyView(1, "My phone", made_at, None)]
    door.world.now += 60
    token, again = await door.come(phone)
    assert (again.name, again.confirmed_at) == (USER, door.world.now)
    assert (await door.world.accounts.identity(token)).session == again.session
    row = door.run(lambda db: db.get(WebSession, again.session))
    assert (row.address, row.browser, row.has_factor) == ("192.0.2.1", "test", True)
    assert door.shown() == [PasskeyView(1, "My phone", made_at, door.world.now)]
    await door.ceremonies.remove(who, 1, HERE)
    assert door.shown() == []
    assert await refusal(door.come(phone)) == UNKNOWN
    assert await door.notes() == [
        (USER, "passkey-added", "192.0.2.1", "My phone"),
        (USER, "sign-in", "192.0.2.1", "with passkey My phone"),
        (USER, "passkey-removed", "192.0.2.1", "My phone"),
        ("nobody known", "sign-in-failed", "192.0.2.1", "unknown-passkey"),
    ]


async def test_each_refusal_has_its_words_and_is_noted(door):
    phone = await door.give()
    phone.count = 5
    await door.come(phone)
    phone.count = 3
    assert await refusal(door.come(phone)) == COPIED
    phone.count = 10
    phone.origin = "https://evil.example"
    assert await refusal(door.come(phone)) == WRONG
    phone.origin = ORIGIN
    phone.handle = b"another user's"
    assert await refusal(door.come(phone)) == WRONG
    assert [note[1:] for note in (await door.notes())[2:]] == [
        ("passkey-copied", "192.0.2.1", "its count went back"),
        ("sign-in-failed", "192.0.2.1", "wrong-passkey"),
        ("sign-in-failed", "192.0.2.1", "wrong-passkey"),
    ]
    assert {note[0] for note in await door.notes()} == {USER}


async def test_an_answer_works_once_and_for_a_while(door):
    phone = await door.give()
    signed = phone.sign(await door.ceremonies.begin_sign_in(HERE))
    await door.ceremonies.sign_in(signed, HERE)
    assert await refusal(door.ceremonies.sign_in(signed, HERE)) == TOO_LATE
    late = phone.sign(await door.ceremonies.begin_sign_in(HERE))
    door.world.now += challenges.LIFETIME_S
    assert await refusal(door.ceremonies.sign_in(late, HERE)) == TOO_LATE
    _, who = await door.world.sign_in()
    made = SoftAuthenticator().make(await door.ceremonies.begin_adding(who))
    door.world.now += challenges.LIFETIME_S
    assert await refusal(door.ceremonies.add(who, "Phone", made, HERE)) == TOO_LATE
    for _ in range(2 * FREE_FAILURES):
        assert await refusal(door.ceremonies.sign_in(signed, HERE)) == TOO_LATE, "no wrong secret"
    await door.come(phone)


async def test_what_is_no_answer_or_no_good_one_makes_no_passkey(door):
    _, who = await door.world.sign_in()
    for waiting in (
        door.ceremonies.add(who, "Phone", "junk", HERE),
        door.ceremonies.sign_in("junk", HERE),
        door.ceremonies.confirm(who, "junk", HERE),
    ):
        assert await refusal(waiting, AccountError) == NO_ANSWER
    evil = SoftAuthenticator(origin="https://evil.example")
    made = evil.make(await door.ceremonies.begin_adding(who))
    assert await refusal(door.ceremonies.add(who, "Phone", made, HERE), AccountError) == (
        "That passkey cannot be used here. Try again, or with another device."
    )
    (_, other), good = await door.world.sign_in(), SoftAuthenticator()
    made = good.make(await door.ceremonies.begin_adding(other))
    assert await refusal(door.ceremonies.add(who, "Phone", made, HERE)) == TOO_LATE, "another session's"
    assert door.shown() == []


async def test_who_guesses_with_passkeys_waits(door):
    phone = await door.give()
    phone.origin = "https://evil.example"
    for _ in range(FREE_FAILURES):
        assert await refusal(door.come(phone)) == WRONG
    phone.origin = ORIGIN
    with pytest.raises(SignInError) as caught:
        await door.come(phone)
    assert caught.value.code == "too-many-attempts"
    assert str(caught.value) == "Too many passkeys that were not right. Wait a little before you try again."
    assert caught.value.retry_after_s == 1
    await door.come(phone, Visitor("198.51.100.7", "test"))
    await door.world.sign_in()  # passwords count apart


async def test_who_is_shut_out_does_not_come_in_by_a_passkey(door):
    phone = await door.give()
    door.run(lambda db: setattr(users.find(db, USER), "disabled", True))
    assert await refusal(door.come(phone)) == WRONG


async def test_a_passkey_confirms_its_user_in_place_of_the_password(door):
    token, who = await door.world.sign_in()
    assert await refusal(door.ceremonies.begin_confirming(who), UnknownError) == "You have no passkey."
    phone = await door.give(who)
    door.world.now += 3600
    assert not door.world.accounts.is_confirmed(await door.world.accounts.identity(token))
    await door.confirm(who, phone)
    assert door.world.accounts.is_confirmed(await door.world.accounts.identity(token))
    options = await door.ceremonies.begin_confirming(who)
    assert len(options["allowCredentials"]) == 1, "one of theirs"
    door.world.desk.add_user("bob", "viewer", password=PASSWORD)
    _, bob = await door.world.sign_in("bob")
    await door.give(bob)
    other = phone.sign(await door.ceremonies.begin_confirming(bob))
    assert await refusal(door.ceremonies.confirm(bob, other, HERE)) == WRONG, "ann's phone"
    assert (await door.notes())[-1] == ("bob", "sign-in-failed", "192.0.2.1", "wrong-passkey")
    for _ in range(FREE_FAILURES - 1):
        bad = phone.sign(await door.ceremonies.begin_confirming(bob))
        assert await refusal(door.ceremonies.confirm(bob, bad, HERE)) == WRONG
    bad = phone.sign(await door.ceremonies.begin_confirming(bob))
    assert (await refusal(door.ceremonies.confirm(bob, bad, HERE)))[0] == "too-many-attempts"
    await door.confirm(who, phone)


async def test_a_company_account_has_its_passkeys_there(door):
    _, who = await door.world.sign_in()
    door.run(lambda db: setattr(users.find(db, USER), "password_hash", None))
    assert await refusal(door.ceremonies.begin_adding(who), AccountError) == (
        "You sign in with your company account: passkeys for it are made there."
    )


async def test_where_browsers_have_no_passkeys_it_is_said(door):
    _, who = await door.world.sign_in()
    nowhere = Ceremonies(door.world.accounts, None)
    for waiting in (nowhere.begin_sign_in(HERE), nowhere.begin_adding(who), nowhere.begin_confirming(who)):
        assert "portal.public_url" in await refusal(waiting, PasskeyAddressError)


# In the store.


@pytest.fixture
def run(store):
    for name in ("ann", "bob"):
        store.run_here(lambda db, name=name: users.add(db, name, None, NOW_S, "hash"))
    return store.run_here


def add(run, credential=b"c", name="Phone", user="ann"):
    new = NewPasskey(credential, b"key", 0, "hybrid,internal")
    return run(lambda db: passkeys.add(db, users.find(db, user), name, new, NOW_S)).id


def refused(call, error=AccountError):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_a_passkey_has_a_name_and_is_one_users(run):
    for name in ("", " ", "x" * 65, "a\x1bb"):
        words = refused(lambda name=name: add(run, name=name))
        assert words == "Give the passkey a name, of at most 64 characters."
    first = add(run, name="x")
    add(run, b"long", name="x" * 64, user="bob")
    assert refused(lambda: add(run, user="bob")) == "This passkey is known here already."
    second = add(run, b"d")
    assert [view.id for view in run(lambda db: passkeys.of_user(db, users.find(db, "ann")))] == [
        first,
        second,
    ]
    assert run(lambda db: passkeys.known(db, 1)) == [
        Known(b"c", "hybrid,internal"),
        Known(b"d", "hybrid,internal"),
    ]
    assert run(lambda db: passkeys.known(db, 2)) == [Known(b"long", "hybrid,internal")]
    row = run(lambda db: passkeys.find(db, b"c"))
    assert (row.user_id, row.public_key, row.sign_count, row.created_at) == (1, b"key", 0, NOW_S)
    assert run(lambda db: passkeys.find(db, b"x")) is None


def test_passkeys_of_one_user_are_bounded(run, monkeypatch):
    monkeypatch.setattr(passkeys, "MAX_PASSKEYS", 2)
    add(run, b"0", user="bob")
    for credential in (b"1", b"2"):
        add(run, credential)
    assert refused(lambda: add(run, b"3")) == "You have 2 passkeys already: remove one that you do not use."


@pytest.mark.parametrize(
    ("before", "says", "is_good"), [(0, 0, True), (0, 1, True), (5, 6, True), (5, 5, False), (5, 0, False)]
)
def test_a_count_of_signatures_only_grows(run, before, says, is_good):
    number, other = add(run), add(run, b"d")
    run(lambda db: setattr(db.get(Passkey, number), "sign_count", before))
    assert run(lambda db: passkeys.use(db, number, says, NOW_S + 1)) == is_good
    row = run(lambda db: db.get(Passkey, number))
    assert (row.sign_count, row.used_at) == ((says, NOW_S + 1) if is_good else (before, None))
    assert run(lambda db: db.get(Passkey, other)).used_at is None
    assert run(lambda db: passkeys.use(db, 99, 1, NOW_S)) is False


def test_passkeys_are_removed_by_their_user_alone(run):
    first, second = add(run), add(run, b"d", "Key")
    theirs = add(run, b"e", user="bob")
    remove = lambda name, number: run(lambda db: passkeys.remove(db, users.find(db, name), number))  # noqa: E731
    assert refused(lambda: remove("bob", first), UnknownError) == "bob has no such passkey."
    assert remove("ann", second) == "Key"
    assert run(lambda db: passkeys.remove_all(db, users.find(db, "ann"))) == 1
    assert [row.id for row in run(lambda db: list(db.query(Passkey)))] == [theirs]


def test_a_challenge_is_taken_once_by_its_owner_for_its_purpose(run):
    made = run(lambda db: challenges.make(db, "add", "session a", NOW_S))
    take = lambda *how, now=NOW_S: run(lambda db: challenges.take(db, made, *how[:1], now, *how[1:]))  # noqa: E731
    assert len(made) == 32
    assert made != run(lambda db: challenges.make(db, "add", "session a", NOW_S))
    assert not take("confirm")
    assert not take("add", "session b")
    assert not run(lambda db: challenges.take(db, b"made up", "add", NOW_S))
    assert take("add", "session a", now=NOW_S + challenges.LIFETIME_S - 1)
    assert not take("add", "session a")


@pytest.mark.parametrize(
    ("after_s", "is_good"),
    [
        (challenges.LIFETIME_S, False),
        (-CLOCK_SLACK_S, True),
        (-CLOCK_SLACK_S - 1, False),
    ],
)
def test_a_challenge_that_is_too_old_or_from_a_clock_that_was_ahead_is_void(run, after_s, is_good):
    made = run(lambda db: challenges.make(db, "add", "session a", NOW_S))
    assert run(lambda db: challenges.take(db, made, "add", NOW_S + after_s)) == is_good


def test_challenges_are_bounded_by_owner_and_the_oldest_is_void(run, monkeypatch):
    monkeypatch.setattr(challenges, "MAX_OF_BROWSER", 2)
    monkeypatch.setattr(challenges, "MAX_OF_NETWORK", 3)
    monkeypatch.setattr(challenges, "MAX_OF_STRANGERS", 5)
    one, two = (challenges.of_stranger(f"192.0.2.{n}") for n in (1, 2))
    assert (one, challenges.of_known("k"), challenges.of_session("k")) == (
        "from 192.0.2.1",
        "browser k",
        "session k",
    )

    def make(owner, at_s):
        return run(lambda db: challenges.make(db, "sign-in", owner, NOW_S + at_s))

    def counts():
        rows = run(lambda db: [row.owner for row in db.query(PasskeyChallenge)])
        return {owner: rows.count(owner) for owner in set(rows)}

    oldest, *_ = [make("browser k", n) for n in range(3)]
    assert not run(lambda db: challenges.take(db, oldest, "sign-in", NOW_S + 3))
    for number in range(4):
        make(one, number)
    assert counts() == {"browser k": 2, one: 3}
    for number in range(4, 7):
        make(two, number)
    assert counts() == {"browser k": 2, one: 2, two: 3}, "strangers push out strangers alone"
    make("session s", challenges.LIFETIME_S + 6)
    assert counts() == {"session s": 1}, "what is over is forgotten"


def test_what_belongs_to_a_user_goes_along(run):
    add(run)
    run(lambda db: users.remove(db, users.find(db, "ann")))
    assert run(lambda db: (db.query(Passkey).count(), db.query(User).count())) == (0, 1)


SIGN_IN_FIRST = "You have a second factor: sign in with it before you change any."
ONLY_ONE = "Your role asks for a second factor, and this is your only one: set another up in its place."


async def test_a_password_alone_changes_no_second_factor_where_the_role_asks_for_one(door):
    door.world.accounts.rule = "admin"
    token, who = await door.world.sign_in()
    assert (who.needs_factor, who.access.sees_any) == (True, False)
    phone = await door.give(who)
    assert (await door.world.accounts.identity(token)).needs_factor is False, "it was shown when it was made"
    token, who = await door.world.sign_in()
    assert await refusal(door.ceremonies.begin_adding(who), AccountError) == SIGN_IN_FIRST
    assert await refusal(door.ceremonies.remove(who, 1, HERE), AccountError) == SIGN_IN_FIRST
    await door.confirm(who, phone)
    who = await door.world.accounts.identity(token)
    assert (who.needs_factor, who.access.is_admin) == (False, True), "its passkey makes it whole"
    assert await refusal(door.ceremonies.remove(who, 1, HERE), AccountError) == ONLY_ONE
    assert len(door.shown()) == 1
    assert (await door.come(phone))[1].needs_factor is False
    assert ("sign-in", "without a second factor: may set one up, and nothing else") in {
        (note.action, note.detail) for note in await door.world.notes()
    }


async def test_a_session_that_ended_meanwhile_changes_no_passkey(door):
    _, who = await door.world.sign_in()
    made = SoftAuthenticator().make(await door.ceremonies.begin_adding(who))
    door.world.desk.set_password(USER, "lamp-orchid-seventeen")
    for waiting in (
        door.ceremonies.add(who, "Phone", made, HERE),
        door.ceremonies.remove(who, 1, HERE),
    ):
        assert await refusal(waiting) == ("signed-out", "Sign in first.")
    assert door.shown() == []


async def test_an_answer_for_another_session_confirms_nobody(door):
    _, who = await door.world.sign_in()
    phone = await door.give(who)
    _, other = await door.world.sign_in()
    signed = phone.sign(await door.ceremonies.begin_confirming(other))
    assert await refusal(door.ceremonies.confirm(who, signed, HERE)) == TOO_LATE
    signed = phone.sign(await door.ceremonies.begin_sign_in(HERE))
    assert await refusal(door.ceremonies.confirm(who, signed, HERE)) == TOO_LATE, "nor one for signing in"


async def test_nobody_holds_a_user_out_of_a_known_browser_by_guessing_with_passkeys(door):
    _, who = await door.world.sign_in()
    phone = await door.give(who)
    there = Visitor("192.0.2.1", "test", await door.world.accounts.remember_browser(who, HERE))
    phone.origin = "https://evil.example"
    for _ in range(FREE_FAILURES):
        assert await refusal(door.come(phone)) == WRONG
    phone.origin = ORIGIN
    assert (await refusal(door.come(phone)))[0] == "too-many-attempts"
    await door.come(phone, there)
    door.world.desk.add_user("bob", "viewer", password=PASSWORD)
    bobs = await door.give((await door.world.sign_in("bob"))[1])
    assert (await refusal(door.come(bobs, there)))[0] == "too-many-attempts", "ann's browser is not bob's"


async def test_the_command_line_removes_passkeys_and_signs_out(door):
    door.world.desk.add_user("bob", "viewer", password=PASSWORD)
    token, who = await door.world.sign_in("bob")
    for called in ("Phone", "Key", "Tablet"):
        await door.give(who, called)
    assert [one.name for one in door.world.desk.passkeys("bob")] == ["Phone", "Key", "Tablet"]
    assert door.world.desk.remove_passkey("bob", 2) == "Key"
    assert await door.world.accounts.identity(token) is None
    token, _ = await door.world.sign_in("bob")
    with pytest.raises(UnknownError, match="bob has no such passkey"):
        door.world.desk.remove_passkey("bob", 2)
    assert await door.world.accounts.identity(token), "nothing was done"
    assert door.world.desk.remove_passkeys("bob") == 2
    assert await door.world.accounts.identity(token) is None
    changed = [note.detail for note in await door.world.notes() if note.action == "user-changed"]
    assert changed == ["bob passkey 2 removed", "bob passkeys removed"]
