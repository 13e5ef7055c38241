"""The secrets of authenticators: nobody reads them in the store, and a lost key is told, not made anew."""

import base64

import pytest

from agent.errors import PortalError
from agent.portal.accounts import users
from agent.portal.accounts.factors import check_kept, gain_factor, has_factor
from agent.portal.accounts.seal import KEY_FILE, Seal, SealError, open_seal
from agent.portal.accounts.sessions import open_session
from agent.portal.accounts.users import AccountError
from agent.portal.tables import WebSession

NOW_S = 1_800_000_000.0
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
KEY, OTHER = bytes(32), bytes(31) + b"x"


class House:
    """A store with `ann` and `bob`, and the folder of its key."""

    def __init__(self, store, folder):
        self.store, self.folder = store, folder
        for name in ("ann", "bob"):
            self.act(lambda db, name=name: users.add(db, name, None, NOW_S, "hash"))

    def act(self, work):
        return self.store.run_here(work)

    def user(self, name="ann"):
        return self.act(lambda db: users.find(db, name))

    def close(self, seal, name="ann", secret=SECRET):
        self.act(lambda db: seal.close(users.find(db, name), secret))

    def refusal(self, error=PortalError):
        with pytest.raises(error) as caught:
            open_seal(self.store, self.folder)
        return str(caught.value)


@pytest.fixture
def house(store, tmp_path):
    return House(store, tmp_path / "state")


def test_a_secret_is_read_by_its_key_for_its_user_alone(house):
    seal = Seal(KEY)
    house.close(seal)
    assert seal.open(house.user()) == SECRET
    assert SECRET not in str(vars(house.user()))
    assert house.user().totp_secret == "-", "as for a portal of before"
    first = house.user().totp_sealed
    house.close(seal)
    assert house.user().totp_sealed != first, "each time with another nonce"
    assert seal.fits(house.user())
    assert not Seal(OTHER).fits(house.user())
    house.act(lambda db: setattr(users.find(db, "bob"), "totp_sealed", first))
    with pytest.raises(SealError) as caught:
        seal.open(house.user("bob"))
    assert str(caught.value) == f"the authenticator of bob is not sealed by {KEY_FILE}"


@pytest.mark.parametrize("damage", [None, "", "1:", "1:AAAA", "1:*", "2:" + "A" * 64])
def test_what_was_not_sealed_is_not_opened(house, damage):
    house.act(lambda db: setattr(users.find(db, "ann"), "totp_sealed", damage))
    assert not Seal(KEY).fits(house.user())


def test_the_key_is_made_once_for_its_owner_alone_and_what_was_plain_is_sealed(house):
    house.act(lambda db: setattr(users.find(db, "ann"), "totp_secret", SECRET))
    seal = open_seal(house.store, house.folder)
    file = house.folder / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(file.read_bytes())) == 32
    assert seal.open(house.user()) == SECRET
    assert house.user("bob").totp_sealed is None
    assert open_seal(house.store, house.folder).open(house.user()) == SECRET, "the same key"


def test_a_lost_or_another_key_is_told_with_whom_it_concerns(house):
    house.close(open_seal(house.store, house.folder))
    advice = (
        "ann: bring it back from a copy. Without one, each of them needs a new link: "
        "pinhole portal user reset-link NAME --without-code"
    )
    where = f"portal.state_dir {house.folder}: {KEY_FILE}"
    file = house.folder / KEY_FILE
    file.write_bytes(base64.b64encode(OTHER))
    assert house.refusal() == f"{where} is another one than sealed the authenticators of {advice}"
    file.unlink()
    assert house.refusal() == f"{where} is lost, and it sealed the authenticators of {advice}"
    assert not file.exists(), "none is made anew"
    for number in range(11):
        house.act(lambda db, n=number: users.add(db, f"user{n:02}", None, NOW_S))
        house.close(Seal(KEY), f"user{number:02}")
    assert " ann, user00, user01, " in house.refusal()
    assert "user08 and 2 more: bring" in house.refusal()


@pytest.mark.parametrize("text", [b"", b"*", base64.b64encode(bytes(31))])
def test_a_damaged_key_is_told(house, text):
    open_seal(house.store, house.folder)
    file = house.folder / KEY_FILE
    file.write_bytes(text)
    assert house.refusal() == f"{file}: must hold 32 bytes in base64: bring it back from a copy"


def test_the_last_factor_of_who_must_have_one_is_kept(house):
    house.act(lambda db: users.set_role(db, users.find(db, "ann"), "admin"))

    def check(name, rule="admin"):
        house.act(lambda db: check_kept(db, users.find(db, name), rule))

    with pytest.raises(AccountError) as caught:
        check("ann")
    assert str(caught.value) == (
        "Your role asks for a second factor, and this is your only one: set another up in its place."
    )
    check("bob")
    house.close(Seal(KEY))
    assert (has_factor(house.user()), has_factor(house.user("bob"))) == (True, False)
    check("ann")


def test_a_session_that_showed_a_second_factor_has_one(house):
    one, other = (house.act(lambda db: open_session(db, users.find(db, "ann"), NOW_S))[1] for _ in range(2))
    house.act(lambda db: gain_factor(db, one.session))
    found = house.act(lambda db: {row.key: row.has_factor for row in db.query(WebSession)})
    assert found == {one.session: True, other.session: False}
