"""Users, groups and grants on a store of their own."""

import pytest

from agent.portal.accounts import users
from agent.portal.accounts.access import Access
from agent.portal.accounts.sessions import open_session
from agent.portal.accounts.tokens import CLOCK_SLACK_S, MAX_TOKEN_CHARS, key_of, new_token
from agent.portal.accounts.users import (
    LINK_LIFETIME_S,
    MAX_BROWSERS,
    AccountError,
    GrantView,
    UnknownError,
    UserView,
)
from agent.portal.tables import (
    Grant,
    GroupCamera,
    KnownBrowser,
    OneTimeLink,
    RecoveryCode,
    User,
    WebSession,
)

NOW_S = 1_800_000_000.0
USED = "This link has been used or is too old. Ask for a new one."
NO_ENTRY = "This link has been used or is too old. Sign in with your password."
ONLY_ADMIN = "ann is the only administrator: make another one first."


class House:
    """A store with the administrator `ann` and `bob`, who may do nothing yet."""

    def __init__(self, store):
        self.store = store
        self.run(users.add, "ann", "admin", NOW_S, "hash")
        self.run(users.add, "bob", None, NOW_S + 1)

    def run(self, work, *arguments, **options):
        return self.store.run_here(lambda db: work(db, *arguments, **options))

    def act(self, name, work, *arguments, **options):
        """With a user."""
        return self.store.run_here(lambda db: work(db, users.find(db, name), *arguments, **options))

    def access(self, name="bob"):
        return self.act(name, users.access_of)

    def refusal(self, call, *arguments, error=AccountError, **options):
        with pytest.raises(error) as caught:
            call(*arguments, **options)
        return str(caught.value)

    def tells_the_portals(self, call, *arguments, **options):
        before = self.run(users.revision)
        result = call(*arguments, **options)
        assert self.run(users.revision) > before
        return result

    def user(self, name="bob"):
        return self.run(users.find, name)

    def rows(self, table):
        return self.run(lambda db: list(db.query(table).all()))


@pytest.fixture
def house(store):
    return House(store)


def test_tokens_are_long_random_and_fit_where_they_go():
    one, other = new_token(), new_token()
    assert one != other
    assert len(one) == len(other) == 43 <= MAX_TOKEN_CHARS
    assert key_of("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert key_of("\ud800") == key_of("?"), "what no UTF-8 holds is a token, too, that nobody has"


@pytest.mark.parametrize("name", ["", " ", "a b", "link:x", "ä", "-x", "x" * 129, "a\nb", "@x"])
def test_a_name_that_could_be_mistaken_is_refused(house, name):
    assert house.refusal(house.run, users.add, name, None, NOW_S) == (
        "A user name has letters, digits and . _ @ + - only, and begins with a letter or digit."
    )


@pytest.mark.parametrize("name", ["x" * 128, "a.b_c@d+e-f", "0"])
def test_a_name_that_cannot_be_mistaken_is_taken(house, name):
    added = house.run(users.add, name.upper(), "viewer", NOW_S, "hash")
    assert (added.name, added.role, added.password_hash, added.created_at) == (name, "viewer", "hash", NOW_S)
    assert house.run(users.find, name.upper()).id == added.id


def test_a_name_is_taken_in_any_letters_and_a_role_is_one_of_three(house):
    assert house.refusal(house.run, users.add, "ANN", None, NOW_S) == "There is a user 'ann' already."
    assert house.refusal(house.run, users.add, "cy", "root", NOW_S) == (
        "A role is one of viewer, operator, admin."
    )
    assert house.refusal(house.run, users.find, "cy", error=UnknownError) == "There is no user 'cy'."


def test_users_are_bounded(house, monkeypatch):
    monkeypatch.setattr(users, "MAX_USERS", 3)
    house.run(users.add, "cy", None, NOW_S)
    assert house.refusal(house.run, users.add, "di", None, NOW_S) == "There are 3 users already."


def test_every_user_is_seen_with_their_grants_by_name(house):
    house.run(users.put_group, "Yard", ["gate"])
    house.act("bob", users.grant, "viewer", camera="front")
    house.act("bob", users.grant, "operator", group="Yard")
    house.run(lambda db: setattr(users.find(db, "bob"), "totp_secret", "S"))
    house.run(lambda db: setattr(users.find(db, "bob"), "subject", "42"))
    house.act("bob", users.set_disabled, True)
    assert house.run(users.views) == [
        UserView("ann", "admin", False, True, False, False, NOW_S, ()),
        UserView(
            *("bob", None, True, False, True, True, NOW_S + 1),
            (GrantView("viewer", "front", None), GrantView("operator", None, "Yard")),
        ),
    ]


def test_grants_add_up_and_the_stronger_holds(house):
    house.run(users.put_group, "Yard", ["gate", "barn"])
    assert house.access() == Access()
    house.tells_the_portals(house.act, "bob", users.grant, "viewer", camera="gate")
    house.tells_the_portals(house.act, "bob", users.grant, "operator", group="Yard")
    assert house.access() == Access(None, {"gate": "operator", "barn": "operator"})
    house.act("bob", users.grant, "admin", camera="gate")
    house.act("bob", users.grant, "viewer", camera="front")
    assert house.access() == Access(None, {"gate": "admin", "barn": "operator", "front": "viewer"})
    assert len(house.rows(Grant)) == 3, "one for a camera or group"
    house.tells_the_portals(house.act, "bob", users.set_role, "operator")
    assert house.access().everywhere == "operator"
    assert house.act("ann", users.access_of) == Access("admin"), "nobody else's"
    assert house.tells_the_portals(house.act, "bob", users.revoke, camera="gate") is True
    assert house.act("bob", users.revoke, camera="gate") is False
    assert house.act("ann", users.revoke, group="Yard") is False, "nobody else's"
    assert house.act("bob", users.revoke, group="Yard") is True
    assert house.access() == Access("operator", {"front": "viewer"})


def test_a_grant_is_for_one_camera_or_one_group_that_there_is(house):
    house.run(users.put_group, "Yard", [])
    one = "A grant is for one camera or for one group."
    assert house.refusal(house.act, "bob", users.grant, "viewer") == one
    assert house.refusal(house.act, "bob", users.grant, "viewer", camera="a", group="Yard") == one
    assert house.refusal(house.act, "bob", users.grant, "viewer", camera="a/b") == (
        "'a/b' is no camera's id: letters, digits, - and _ only."
    )
    assert house.refusal(house.act, "bob", users.grant, "viewer", group="Roof", error=UnknownError) == (
        "There is no group 'Roof'."
    )
    assert house.refusal(house.act, "bob", users.revoke, error=UnknownError) == "There is no group ''."
    assert house.refusal(house.act, "bob", users.grant, "root", camera="a") == (
        "A role is one of viewer, operator, admin."
    )
    assert house.rows(Grant) == []


def test_groups_are_listed_with_their_cameras_and_said_anew(house):
    house.tells_the_portals(house.run, users.put_group, "Yard", ["gate", "barn", "gate"])
    house.run(users.put_group, "Attic", [])
    assert list(house.run(users.groups).items()) == [("Attic", []), ("Yard", ["barn", "gate"])]
    house.run(users.put_group, "Yard", ["barn"])
    assert house.run(users.groups)["Yard"] == ["barn"]
    house.act("bob", users.grant, "viewer", group="Yard")
    house.tells_the_portals(house.run, users.remove_group, "Yard")
    assert house.run(users.groups) == {"Attic": []}
    assert house.rows(Grant) == house.rows(GroupCamera) == []
    assert house.refusal(house.run, users.remove_group, "Yard", error=UnknownError) == (
        "There is no group 'Yard'."
    )


@pytest.mark.parametrize("name", ["", " x", "_x", "-x", "x" * 129, "a\0", "a/b"])
def test_a_group_has_a_name_that_reads_well(house, name):
    assert house.refusal(house.run, users.put_group, name, []) == (
        "A group's name begins with a letter or digit and has at most 128 characters."
    )


def test_groups_and_their_cameras_are_bounded(house, monkeypatch):
    monkeypatch.setattr(users, "MAX_GROUPS", 1)
    monkeypatch.setattr(users, "MAX_CAMERAS", 2)
    house.run(users.put_group, "x" * 128, ["a", "b", "a"])
    assert house.refusal(house.run, users.put_group, "y", []) == "There are 1 groups already."
    house.run(users.put_group, "x" * 128, ["a"])
    for cameras in (["a", "b", "c"], ["a/b"], [""]):
        assert house.refusal(house.run, users.put_group, "x" * 128, cameras) == (
            "A camera's id has letters, digits, - and _ only."
        )


def test_the_last_administrator_cannot_be_lost(house):
    house.run(users.add, "off", "admin", NOW_S)
    house.act("off", users.set_disabled, True)
    for work, *arguments in ((users.set_role, "viewer"), (users.set_disabled, True), (users.remove,)):
        assert house.refusal(house.act, "ann", work, *arguments) == ONLY_ADMIN
    house.act("ann", users.set_role, "admin")
    house.act("off", users.set_role, None)
    house.run(users.add, "eve", "admin", NOW_S)
    house.tells_the_portals(house.act, "ann", users.remove)
    assert [user.name for user in house.run(users.views)] == ["bob", "eve", "off"]
    house.act("bob", users.set_role, "viewer")


def test_who_is_shut_out_is_out_at_once_and_may_be_let_in_again(house):
    token = house.act("bob", users.new_link, NOW_S)
    house.act("bob", open_session, NOW_S)
    house.act("ann", open_session, NOW_S)
    house.act("ann", users.new_link, NOW_S)
    house.tells_the_portals(house.act, "bob", users.set_disabled, True)
    assert house.user().disabled is True
    assert [row.user_id for row in house.rows(WebSession)] == [house.user("ann").id]
    assert [row.user_id for row in house.rows(OneTimeLink)] == [house.user("ann").id]
    assert house.refusal(house.run, users.user_of_link, token, NOW_S, error=UnknownError) == USED
    house.tells_the_portals(house.act, "bob", users.set_disabled, False)
    assert house.user().disabled is False


def test_a_new_password_ends_links_and_every_session_but_the_own(house):
    house.run(lambda db: setattr(users.find(db, "bob"), "awaits_company", True))
    house.act("bob", users.new_link, NOW_S)
    kept, _ = (house.act("bob", open_session, NOW_S)[1].session for _ in range(2))
    others = house.act("ann", open_session, NOW_S)[1].session
    house.tells_the_portals(house.act, "bob", users.set_password, "new", kept)
    assert {row.key for row in house.rows(WebSession)} == {kept, others}
    assert house.rows(OneTimeLink) == []
    assert (house.user().password_hash, house.user().awaits_company) == ("new", False)
    house.act("bob", users.set_password, "newer")
    assert {row.key for row in house.rows(WebSession)} == {others}


def test_signing_out_elsewhere_counts_what_ended(house):
    sessions = [house.act("bob", open_session, NOW_S)[1].session for _ in range(3)]
    assert house.tells_the_portals(house.act, "bob", users.end_sessions, sessions[0]) == 2
    assert house.act("bob", users.end_sessions) == 1
    assert house.act("bob", users.end_sessions) == 0


def test_without_an_authenticator_nothing_of_it_is_left(house):
    def give(db):
        user = users.find(db, "bob")
        user.totp_secret, user.totp_step = "S", 5
        users.recovery.renew(db, user)

    house.run(give)
    house.act("bob", users.remove_code)
    assert (house.user().totp_secret, house.user().totp_step) == (None, 0)
    assert house.rows(RecoveryCode) == []


def test_a_link_works_once_for_a_day_and_the_newest_alone(house):
    first, second = (house.act("bob", users.new_link, NOW_S) for _ in range(2))
    others = house.act("ann", users.new_link, NOW_S)
    take = lambda token, now: house.run(users.take_link, token, now)  # noqa: E731
    assert house.refusal(take, first, NOW_S, error=UnknownError) == USED
    assert house.refusal(take, "made-up", NOW_S, error=UnknownError) == USED
    last_s = NOW_S + LINK_LIFETIME_S
    assert house.refusal(take, second, last_s, error=UnknownError) == USED
    assert house.run(users.user_of_link, second, last_s - 1).name == "bob"
    assert take(second, last_s - 1).name == "bob"
    assert house.refusal(take, second, NOW_S, error=UnknownError) == USED
    assert take(others, NOW_S).name == "ann"


def test_a_link_that_lives_too_long_was_made_by_a_clock_that_was_ahead(house):
    token = house.act("bob", users.new_link, NOW_S)
    entry = house.act("ann", users.new_entry, NOW_S)
    behind_s = NOW_S - CLOCK_SLACK_S
    assert house.refusal(house.run, users.take_link, token, behind_s - 1, error=UnknownError) == USED
    assert house.refusal(house.run, users.take_entry, entry, behind_s - 1, error=UnknownError) == NO_ENTRY
    assert house.run(users.take_link, token, behind_s).name == "bob"
    assert house.run(users.take_entry, entry, behind_s).name == "ann"


def test_of_two_who_use_a_link_at_once_the_second_finds_it_used(house, monkeypatch):
    token = house.act("bob", users.new_link, NOW_S)
    found = users.user_of_link

    def slow(db, token, now):
        user = found(db, token, now)
        db.query(OneTimeLink).delete()
        return user

    monkeypatch.setattr(users, "user_of_link", slow)
    assert house.refusal(house.run, users.take_link, token, NOW_S, error=UnknownError) == USED


def test_a_sign_in_link_works_once_for_a_day_and_is_no_password_link(house):
    token = house.act("bob", users.new_entry, NOW_S)
    link = house.act("ann", users.new_link, NOW_S)
    take = lambda token, now: house.run(users.take_entry, token, now)  # noqa: E731
    assert house.refusal(house.run, users.take_link, token, NOW_S, error=UnknownError) == USED
    assert house.refusal(take, link, NOW_S, error=UnknownError) == NO_ENTRY
    assert house.refusal(take, token, NOW_S + LINK_LIFETIME_S, error=UnknownError) == NO_ENTRY
    assert take(token, NOW_S + LINK_LIFETIME_S - 1).name == "bob"
    assert house.refusal(take, token, NOW_S, error=UnknownError) == NO_ENTRY
    again = house.act("bob", users.new_entry, NOW_S)
    house.run(lambda db: setattr(users.find(db, "bob"), "disabled", True))
    assert house.refusal(take, again, NOW_S, error=UnknownError) == NO_ENTRY


def test_browsers_are_known_by_their_cookie_and_user_and_the_oldest_is_forgotten(house):
    tokens = [house.act("bob", users.remember_browser, NOW_S + n) for n in range(MAX_BROWSERS)]
    others = house.act("ann", users.remember_browser, NOW_S - 1)
    known = lambda name, token: house.run(users.known_browser, name, token)  # noqa: E731
    assert known("bob", tokens[0]) == key_of(tokens[0])
    assert known("ann", tokens[0]) is None
    assert known("bob", "") is None
    assert known("bob", "made-up") is None
    house.act("bob", users.remember_browser, NOW_S + MAX_BROWSERS)
    assert known("bob", tokens[0]) is None
    assert known("bob", tokens[1])
    assert known("ann", others)
    assert len(house.rows(KnownBrowser)) == MAX_BROWSERS + 1


def test_the_first_start_makes_an_administrator_and_a_link(store):
    token = store.run_here(lambda db: users.first_link(db, NOW_S))
    assert store.run_here(users.views) == [UserView("admin", "admin", False, False, False, False, NOW_S, ())]
    assert store.run_here(lambda db: users.user_of_link(db, token, NOW_S)).name == "admin"
    again = store.run_here(lambda db: users.first_link(db, NOW_S + 1))
    assert again != token
    assert len(store.run_here(users.views)) == 1, "the same administrator"


@pytest.mark.parametrize("way", ["password_hash", "subject"])
def test_where_somebody_can_sign_in_there_is_no_first_link(store, way):
    store.run_here(lambda db: setattr(users.add(db, "bob", "viewer", NOW_S), way, "x"))
    assert store.run_here(lambda db: users.first_link(db, NOW_S)) is None


def test_an_administrator_who_is_shut_out_gets_no_first_link(store):
    store.run_here(lambda db: setattr(users.add(db, "eve", "admin", NOW_S), "disabled", True))
    store.run_here(lambda db: users.add(db, "bob", "viewer", NOW_S))
    token = store.run_here(lambda db: users.first_link(db, NOW_S))
    assert store.run_here(lambda db: users.user_of_link(db, token, NOW_S)).name == "admin"


def test_what_belongs_to_a_user_goes_along(house):
    house.act("bob", users.grant, "viewer", camera="front")
    house.act("bob", users.new_link, NOW_S)
    house.act("bob", open_session, NOW_S)
    house.act("bob", users.remember_browser, NOW_S)
    house.tells_the_portals(house.act, "bob", users.remove)
    for table in (Grant, OneTimeLink, WebSession, KnownBrowser):
        assert house.rows(table) == []
    assert [user.name for user in house.rows(User)] == ["ann"]
