"""What a claim code lets in, and what a camera's certificate is then worth."""

import hashlib
import itertools

import pytest

from agent.errors import PortalError
from agent.portal import claims
from agent.portal.authority import Certificate
from agent.portal.claims import (
    KEEP_S,
    Claim,
    ClaimError,
    DeviceCertificate,
    Enrolled,
    enroll,
    has_certificates,
    known_cameras,
    make_claim,
    revoke,
    revoked_serials,
)
from agent.portal.registry import DeviceRevision, list_devices

NOW_S = 1_800_000_000.0
LIFE_S = 90 * 86400.0
KEY, OTHER = b"\x11" * 32, b"\x22" * 32
UNKNOWN = "the claim code is unknown, expired or used: make a new one: pinhole portal claim"


class Issuer:
    """An authority whose certificates are numbered, and live for 90 days from a time that stands still."""

    def __init__(self):
        self.now = NOW_S
        self.numbers = itertools.count(171)
        self.issued = []

    def issue_device(self, device, public_key):
        serial = next(self.numbers)
        self.issued.append((device, public_key))
        return Certificate(b"certificate %d" % serial, serial, self.now + LIFE_S)


class World:
    """A store and an authority."""

    def __init__(self, store):
        self.store, self.issuer = store, Issuer()
        self.run = store.run_here

    def claim(self, device=None, *, by="ann", now=NOW_S, lifetime_s=3600.0):
        return self.run(lambda db: make_claim(db, device, by=by, now=now, lifetime_s=lifetime_s))

    def ask(self, code, device="door", key=KEY, now=NOW_S):
        self.issuer.now = now
        return self.run(lambda db: enroll(db, self.issuer, device, key, code, now))

    def refusal(self, *arguments, **options):
        with pytest.raises(ClaimError) as caught:
            self.ask(*arguments, **options)
        return caught.value.code, str(caught.value)

    def revision(self):
        return self.run(lambda db: db.query(DeviceRevision).one().number)

    def rows(self, table):
        return self.run(lambda db: list(db.query(table).all()))


@pytest.fixture
def door(store):
    return World(store)


def test_a_code_is_four_groups_of_five_that_nobody_mistakes_and_stands_nowhere(door):
    code, other = door.claim(), door.claim()
    groups = code.split("-")
    assert [len(group) for group in groups] == [5, 5, 5, 5]
    assert not set("".join(groups)) & set("01OIL")
    assert code != other
    plain = code.replace("-", "")
    assert hashlib.sha256(plain.encode()).hexdigest() in {row.key for row in door.rows(Claim)}
    stored = str([vars(row) for row in door.rows(Claim)])
    assert code not in stored
    assert plain not in stored


def test_a_code_lets_one_camera_in_and_what_that_got_it_gets_again(door):
    code = door.claim(by="bob")
    first = door.ask(code.lower().replace("-", " "))
    assert first == Enrolled("door", b"certificate 171", NOW_S + LIFE_S, is_new=True, by="bob")
    assert door.issuer.issued == [("door", KEY)]
    again = door.ask(code)
    assert again == Enrolled("door", b"certificate 171", NOW_S + LIFE_S, is_new=False, by="bob")
    assert door.ask(None) == again, "who is in needs no code"
    assert door.refusal(code, "window", OTHER) == ("bad-code", UNKNOWN)
    [device] = door.run(list_devices)
    assert (device.id, device.public_key, device.enrolled_by) == ("door", KEY, "bob")
    assert device.enrolled_at == NOW_S


@pytest.mark.parametrize(
    ("code", "why"),
    [(None, "the claim code is needed"), ("", "the claim code is needed"), ("WRONG", UNKNOWN)],
)
def test_without_a_good_code_nobody_comes_in(door, code, why):
    door.claim()
    assert door.refusal(code) == ("bad-code", why)
    assert door.run(list_devices) == []


def test_a_code_counts_to_its_last_second(door):
    first, second = door.claim(), door.claim()
    assert door.ask(first, now=NOW_S + 3600).is_new
    assert door.refusal(second, "window", OTHER, now=NOW_S + 3600.1) == ("bad-code", UNKNOWN)


def test_a_code_for_one_camera_lets_no_other_in_and_is_not_used_up(door):
    code = door.claim("door")
    assert door.refusal(code, "window") == (
        "other-device",
        "the claim code is not for window: set device.id, or make another",
    )
    assert door.ask(code).is_new


def test_a_name_that_is_taken_is_refused_and_the_code_is_not_used_up(door):
    door.ask(door.claim())
    code = door.claim()
    told, words = door.refusal(code, "door", OTHER)
    assert told == "taken"
    assert "--device door" in words
    assert door.refusal(code, "../door", OTHER)[0] == "bad-name"
    assert door.ask(code, "window", OTHER).is_new


def test_a_code_for_a_known_camera_replaces_its_key_and_voids_what_that_held(door):
    door.ask(door.claim())
    assert door.run(lambda db: revoked_serials(db, NOW_S)) == []
    before = door.revision()
    made = door.ask(door.claim("door"), key=OTHER, now=NOW_S + 60)
    assert (made.certificate, made.is_new) == (b"certificate 172", True)
    assert door.run(lambda db: revoked_serials(db, NOW_S)) == [171]
    assert {row.serial: row.revoked_at for row in door.rows(DeviceCertificate)} == {
        "ab": NOW_S + 60,
        "ac": None,
    }
    assert door.revision() > before, "portals look again"
    assert door.refusal(None, now=NOW_S + 61)[0] == "bad-code", "the former key"


def test_a_certificate_is_replaced_when_a_third_of_its_life_is_left_and_not_before(door):
    door.ask(door.claim())
    due_s = NOW_S + LIFE_S * 2 / 3
    assert door.ask(None, now=due_s).certificate == b"certificate 171"
    newer = door.ask(None, now=due_s + 1)
    assert (newer.certificate, newer.not_after) == (b"certificate 172", due_s + 1 + LIFE_S)
    assert not newer.is_new
    assert door.ask(None, now=due_s + 2).certificate == b"certificate 172", "the newest counts"
    [old, new] = sorted(door.rows(DeviceCertificate), key=lambda row: row.issued_at)
    assert (old.serial, new.serial) == ("ab", "ac")
    assert (new.device, new.public_key, new.pem) == ("door", KEY, b"certificate 172")
    assert (new.issued_at, new.not_after, new.revoked_at) == (due_s + 1, due_s + 1 + LIFE_S, None)


def test_one_camera_never_gets_anothers_certificate_nor_uses_up_its_code(door):
    codes = [door.claim() for _ in range(3)]
    door.ask(codes[0])
    assert door.ask(codes[1], "window", OTHER).certificate == b"certificate 172"
    assert door.ask(codes[2], "copy", KEY).certificate == b"certificate 173", "with the same key"
    assert door.ask(None).certificate == b"certificate 171"


def test_who_was_revoked_needs_a_code_of_its_own_and_gets_a_new_certificate(door):
    door.ask(door.claim())
    door.ask(door.claim(), "window", OTHER)
    assert door.run(has_certificates)
    before = door.revision()
    door.run(lambda db: revoke(db, "door", NOW_S + 5))
    assert door.revision() > before
    assert door.run(lambda db: revoked_serials(db, NOW_S)) == [171]
    assert door.run(has_certificates), "the window's"
    assert door.refusal(None) == ("bad-code", "the claim code is needed")
    assert door.refusal(door.claim())[0] == "taken"
    made = door.ask(door.claim("door"), now=NOW_S + 10)
    assert (made.certificate, made.is_new) == (b"certificate 173", True)
    door.run(lambda db: revoke(db, "door", NOW_S + 20))
    revoked = {row.serial: row.revoked_at for row in door.rows(DeviceCertificate)}
    assert revoked == {"ab": NOW_S + 5, "ac": None, "ad": NOW_S + 20}, "each since when it counts no more"


def test_what_has_expired_is_on_no_list_of_what_was_revoked(door):
    door.ask(door.claim())
    door.run(lambda db: revoke(db, "door", NOW_S))
    assert door.run(lambda db: revoked_serials(db, NOW_S + LIFE_S - 1)) == [171]
    assert door.run(lambda db: revoked_serials(db, NOW_S + LIFE_S)) == []
    assert not door.run(has_certificates)


def test_a_name_of_nobody_cannot_be_revoked(door):
    with pytest.raises(PortalError, match="no camera ghost"):
        door.run(lambda db: revoke(db, "ghost", NOW_S))


def test_cameras_that_are_enrolled_or_expected_are_known(door):
    assert door.run(known_cameras) == set()
    door.ask(door.claim())
    door.claim("window")
    assert door.run(known_cameras) == {"door", "window"}


def test_codes_that_are_over_for_a_month_are_forgotten(door):
    door.claim("old")
    door.claim("new", now=NOW_S + 1)
    door.claim(now=NOW_S + 3600 + KEEP_S)
    assert [row.device for row in door.rows(Claim)] == ["old", "new", None]
    door.claim(now=NOW_S + 3600 + KEEP_S + 1)
    assert "old" not in [row.device for row in door.rows(Claim)]
    assert "new" in [row.device for row in door.rows(Claim)]


def test_who_asks_for_a_code_that_another_took_meanwhile_is_told_so(door, monkeypatch):
    """As where two portals share a PostgreSQL: both read the code before either takes it."""
    code = door.claim()
    take = claims._take

    def lose(db, key, device):
        take(db, key, "faster")
        take(db, key, device)

    monkeypatch.setattr(claims, "_take", lose)
    assert door.refusal(code) == (
        "bad-code",
        "the claim code is used: make a new one: pinhole portal claim",
    )
