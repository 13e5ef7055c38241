"""Signed-in browsers: how long each stays, and who may see and end it."""

import pytest

from agent.portal.accounts import sessions, users
from agent.portal.accounts.access import Access, Identity
from agent.portal.accounts.sessions import (
    ADMIN_IDLE_S,
    IDLE_S,
    MAX_SESSIONS_PER_OWNER,
    SESSION_LIFETIME_S,
    SessionView,
    open_session,
)
from agent.portal.accounts.shares import make
from agent.portal.accounts.tokens import CLOCK_SLACK_S, key_of
from agent.portal.accounts.users import UnknownError
from agent.portal.tables import Share, WebSession

NOW_S = 1_800_000_000.0
SHARE_S = 3600.0


class House:
    """A store with the administrator `ann`, the viewer `bob` of one camera, and a share link."""

    def __init__(self, store):
        self.run = store.run_here
        self.run(lambda db: users.add(db, "ann", "admin", NOW_S))
        self.run(lambda db: users.grant(db, users.add(db, "bob", None, NOW_S), "viewer", camera="front"))
        self.run(lambda db: make(db, "front", "plumber", "ann", SHARE_S, NOW_S))

    def open(self, name="bob", now=NOW_S, **visitor):
        return self.run(lambda db: open_session(db, users.find(db, name), now, **visitor))

    def open_share(self, now=NOW_S):
        return self.run(lambda db: open_session(db, db.query(Share).one(), now))

    def who(self, token, now=NOW_S):
        return self.run(lambda db: sessions.identities(db, [key_of(token)], now)).get(key_of(token))

    def listed(self, name="bob", now=NOW_S):
        return self.run(lambda db: sessions.of_user(db, users.find(db, name), now))

    def rows(self):
        return self.run(lambda db: list(db.query(WebSession)))


@pytest.fixture
def house(store):
    return House(store)


def test_who_signs_in_is_who_they_are_and_may_do_what_was_granted(house):
    token, who = house.open(address="192.0.2.1", browser="Firefox")
    assert who == Identity(
        key_of(token), "bob", Access(None, {"front": "viewer"}), NOW_S + SESSION_LIFETIME_S, user_id=2
    )
    assert (who.seen_at, who.confirmed_at, who.share_id) == (NOW_S, NOW_S, None)
    assert house.who(token) == who
    assert house.who("made-up") is None
    [row] = house.rows()
    assert (row.key, row.address, row.browser) == (key_of(token), "192.0.2.1", "Firefox")
    assert (row.created_at, row.expires_at) == (NOW_S, NOW_S + SESSION_LIFETIME_S)


def test_what_a_browser_says_of_itself_is_bounded_and_printable(house):
    house.open(address="a" * 100, browser="\x1b" + "b" * 300)
    [row] = house.rows()
    assert (row.address, row.browser) == ("a" * 64, "\N{REPLACEMENT CHARACTER}" + "b" * 199)


def test_who_opened_a_link_watches_its_camera_until_it_ends(house):
    token, who = house.open_share()
    assert who == Identity(
        key_of(token), "link:plumber", Access(None, {"front": "viewer"}), NOW_S + SHARE_S, share_id=1
    )
    assert (who.user_id, who.seen_at) == (None, NOW_S)
    assert house.who(token, NOW_S + SHARE_S - 1) == who
    assert house.who(token, NOW_S + SHARE_S) is None
    house.run(lambda db: setattr(db.query(WebSession).one(), "expires_at", NOW_S + 2 * SHARE_S))
    assert house.who(token, NOW_S + SHARE_S - 1)
    assert house.who(token, NOW_S + SHARE_S) is None, "with its link"


@pytest.mark.parametrize(("name", "idle_s"), [("ann", ADMIN_IDLE_S), ("bob", IDLE_S)])
def test_a_session_that_nobody_uses_is_over(house, name, idle_s):
    token, who = house.open(name)
    house.open(name)
    assert house.who(token, NOW_S + idle_s)
    assert len(house.listed(name, NOW_S + idle_s)) == 2
    assert house.who(token, NOW_S + idle_s + 1) is None
    assert house.listed(name, NOW_S + idle_s + 1) == []
    house.run(lambda db: sessions.note_seen(db, [who.session], NOW_S + idle_s))
    assert house.who(token, NOW_S + 2 * idle_s).seen_at == NOW_S + idle_s
    assert len(house.listed(name, NOW_S + 2 * idle_s)) == 1, "the other one is still unused"


def test_a_session_that_is_used_ends_after_its_time_all_the_same(house):
    token, who = house.open()
    house.run(lambda db: sessions.note_seen(db, [who.session], NOW_S + SESSION_LIFETIME_S))
    assert house.who(token, NOW_S + SESSION_LIFETIME_S - 1)
    assert house.listed(now=NOW_S + SESSION_LIFETIME_S - 1)
    assert house.who(token, NOW_S + SESSION_LIFETIME_S) is None
    assert house.listed(now=NOW_S + SESSION_LIFETIME_S) == []


def test_what_a_clock_that_was_ahead_signed_in_is_no_good(house):
    token, _ = house.open(now=NOW_S)
    assert house.who(token, NOW_S - CLOCK_SLACK_S)
    assert house.who(token, NOW_S - CLOCK_SLACK_S - 1) is None


def test_who_is_shut_out_has_no_session(house):
    token, _ = house.open()
    house.run(lambda db: setattr(users.find(db, "bob"), "disabled", True))
    assert house.who(token) is None


def test_many_are_asked_for_at_once(house):
    tokens = [house.open()[0], house.open("ann")[0], house.open_share()[0], house.open()[0]]
    keys = [key_of(token) for token in tokens]
    found = house.run(lambda db: sessions.identities(db, [*keys, "nobody"], NOW_S))
    assert {key: found[key].name for key in keys} == dict(
        zip(keys, ["bob", "ann", "link:plumber", "bob"], strict=True)
    )
    assert len(found) == 4


def test_sessions_of_one_owner_are_bounded_and_the_oldest_goes(house):
    tokens = [house.open(now=NOW_S + n)[0] for n in range(MAX_SESSIONS_PER_OWNER)]
    others = [house.open("ann")[0], house.open_share()[0]]
    assert house.who(tokens[0], NOW_S + 100)
    house.open(now=NOW_S + MAX_SESSIONS_PER_OWNER)
    assert house.who(tokens[0], NOW_S + 100) is None
    assert all(house.who(token, NOW_S + 100) for token in (tokens[1], *others))
    assert len(house.rows()) == MAX_SESSIONS_PER_OWNER + 2


def test_what_has_expired_is_forgotten_when_somebody_comes(house):
    house.open()
    house.open(now=NOW_S + 1)
    house.open("ann", NOW_S + SESSION_LIFETIME_S)
    assert len(house.rows()) == 2


def test_signing_out_ends_one_session_and_tells_the_portals(house):
    (token, who), (other, _) = house.open(), house.open()
    before = house.run(users.revision)
    house.run(lambda db: sessions.end_session(db, who.session))
    assert house.run(users.revision) > before
    assert house.who(token) is None
    assert house.who(other)


def test_who_shows_again_who_they_are_is_confirmed_in_that_browser(house):
    (token, who), (other, _) = house.open(), house.open()
    house.run(lambda db: sessions.confirm(db, who.session, NOW_S + 60))
    assert house.who(token).confirmed_at == NOW_S + 60
    assert house.who(other).confirmed_at == NOW_S
    house.run(lambda db: sessions.note_seen(db, [who.session], NOW_S + 61))
    assert (house.who(token).seen_at, house.who(other).seen_at) == (NOW_S + 61, NOW_S)


def test_one_sees_ones_own_browsers_and_ends_them(house):
    _, first = house.open(address="192.0.2.1", browser="Phone")
    _, second = house.open(now=NOW_S + 1, address="192.0.2.2", browser="Desk")
    house.open("ann")
    assert house.listed() == [
        SessionView(second.session[:16], "Desk", "192.0.2.2", NOW_S + 1, NOW_S + 1),
        SessionView(first.session[:16], "Phone", "192.0.2.1", NOW_S, NOW_S),
    ]

    def end(name, session_id):
        house.run(lambda db: sessions.end_one(db, users.find(db, name), session_id))

    with pytest.raises(UnknownError) as caught:
        end("ann", first.session[:16])
    assert str(caught.value) == "That browser is signed out already."
    end("bob", first.session[:16])
    assert [one.browser for one in house.listed()] == ["Desk"]


def test_ones_browsers_are_listed_newest_first(house):
    for number in (3, 1, 4, 0, 2):
        house.open(now=NOW_S + number)
    assert [one.created_at - NOW_S for one in house.listed()] == [4, 3, 2, 1, 0]
