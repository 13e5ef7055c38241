"""Links with which anybody may watch one camera for a while."""

import pytest

from agent.portal.accounts import shares, users
from agent.portal.accounts.access import Access
from agent.portal.accounts.shares import MAX_LIFETIME_S, ShareView
from agent.portal.accounts.tokens import key_of
from agent.portal.accounts.users import AccountError, UnknownError
from agent.portal.tables import Share

NOW_S = 1_800_000_000.0
OPERATOR = Access("operator")
OVER = "This link has expired or was revoked. Ask who sent it for a new one."


@pytest.fixture
def run(store):
    return store.run_here


def made(run, device="front", label="plumber", lifetime_s=3600.0, now=NOW_S):
    return run(lambda db: shares.make(db, device, label, "ann", lifetime_s, now))


def refusal(call, error=AccountError):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def views(run, access=OPERATOR, now=NOW_S):
    return run(lambda db: shares.views(db, access, now))


def test_a_link_is_seen_by_who_operates_its_camera_but_for_its_token(run):
    token, first = made(run)
    assert first == ShareView(1, "front", "plumber", "ann", NOW_S, NOW_S + 3600, 0)
    _, second = made(run, "back", now=NOW_S + 1)
    assert views(run) == [second, first], "newest first"
    assert views(run, Access(None, {"front": "operator"})) == [first]
    assert views(run, Access("viewer")) == []
    [key, _] = run(lambda db: [row.key for row in db.query(Share)])
    assert key == key_of(token)


def test_a_link_opens_until_it_expires_and_is_counted(run):
    token, share = made(run)
    for _ in range(2):
        assert run(lambda db: shares.opened(db, token, NOW_S + 3599)).id == share.id
    assert views(run)[0].opened == 2
    assert refusal(lambda: run(lambda db: shares.opened(db, token, NOW_S + 3600)), UnknownError) == OVER
    assert refusal(lambda: run(lambda db: shares.opened(db, "made-up", NOW_S)), UnknownError) == OVER
    assert views(run, now=NOW_S + 3599)
    assert views(run, now=NOW_S + 3600) == []


def test_who_operates_the_camera_revokes_its_links(run):
    token, share = made(run)
    for number, access in ((share.id, Access("viewer")), (share.id + 1, OPERATOR)):
        words = refusal(lambda n=number, a=access: run(lambda db: shares.revoke(db, n, a)), UnknownError)
        assert words == "There is no such link."
    before = run(users.revision)
    assert run(lambda db: shares.revoke(db, share.id, OPERATOR)) == share
    assert run(users.revision) > before, "at once, on every portal"
    assert refusal(lambda: run(lambda db: shares.opened(db, token, NOW_S)), UnknownError) == OVER


@pytest.mark.parametrize(
    ("label", "kept"),
    [(" the  plumber\n of\tours ", "the plumber of ours"), ("x", "x"), ("x" * 118, "x" * 118)],
)
def test_a_link_is_for_somebody(run, label, kept):
    assert made(run, label=label)[1].label == kept


@pytest.mark.parametrize("label", ["", " ", "x" * 119, "a\x1bb"])
def test_a_link_for_nobody_is_refused(run, label):
    assert refusal(lambda: made(run, label=label)) == "Say in a few words whom the link is for."


def test_a_link_lives_between_a_minute_and_ninety_days(run):
    for lifetime_s in (60, MAX_LIFETIME_S):
        assert made(run, lifetime_s=lifetime_s)[1].expires_at == NOW_S + lifetime_s
    for lifetime_s in (59.9, MAX_LIFETIME_S + 1, -60):
        words = refusal(lambda life=lifetime_s: made(run, lifetime_s=life))
        assert words == "A link is good for one minute to 90 days."


def test_links_are_bounded_and_those_that_are_over_are_forgotten(run, monkeypatch):
    monkeypatch.setattr(shares, "MAX_SHARES", 2)
    made(run), made(run)
    assert refusal(lambda: made(run, now=NOW_S + 3599)) == "There are 2 links already: revoke some."
    made(run, now=NOW_S + 3600)
    assert run(lambda db: db.query(Share).count()) == 1
