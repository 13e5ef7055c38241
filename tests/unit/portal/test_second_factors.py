"""An authenticator's codes, and the codes on paper that stand for them."""

import re

import pytest

from agent.portal.accounts import recovery, users
from agent.portal.accounts.codes import accepted_step, code_at, enrolment_uri, new_secret, qr_code

NOW_S = 1_800_000_000.0
STEP = int(NOW_S // 30)
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""Of RFC 6238's own test vectors: `12345678901234567890` in base32."""


def test_codes_are_those_of_the_standard():
    vectors = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}
    assert {at: code_at(SECRET, at) for at in vectors} == vectors
    assert re.fullmatch(r"\d{6}", code_at(SECRET))


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_code_counts_within_one_step_of_now_and_once(off):
    code = code_at(SECRET, NOW_S + 30 * off)
    assert accepted_step(SECRET, code, 0, NOW_S) == STEP + off
    assert accepted_step(SECRET, code, STEP + off - 1, NOW_S) == STEP + off
    assert accepted_step(SECRET, code, STEP + off, NOW_S) is None
    assert accepted_step(SECRET, code, STEP + off + 1, NOW_S + 60) is None


@pytest.mark.parametrize("off", [-2, 2])
def test_an_old_or_a_future_code_does_not_count(off):
    assert accepted_step(SECRET, code_at(SECRET, NOW_S + 30 * off), 0, NOW_S) is None


def test_the_last_step_of_a_clock_that_was_ahead_says_nothing():
    code = code_at(SECRET, NOW_S)
    assert accepted_step(SECRET, code, STEP + 2, NOW_S) == STEP
    assert accepted_step(SECRET, code, STEP + 1, NOW_S) is None, "that one may have been now"


@pytest.mark.parametrize("code", ["", "12345", "1234567", "\uff11" * 6, "12345a", "-12345"])
def test_what_is_no_code_is_refused(code):
    assert accepted_step(SECRET, code, 0, NOW_S) is None


def test_an_authenticator_reads_whose_code_it_is_and_for_what():
    assert enrolment_uri(SECRET, "ann@firm") == (
        f"otpauth://totp/Pinhole:ann%40firm?secret={SECRET}&issuer=Pinhole"
    )
    secret = new_secret()
    assert re.fullmatch("[A-Z2-7]{32}", secret)
    assert secret != new_secret()


def test_the_picture_is_black_on_white_with_a_margin_that_scanners_need():
    picture = qr_code(enrolment_uri(SECRET, "ann"))
    assert picture.startswith("<svg ")
    assert 'stroke="#000"' in picture
    assert 'fill="#fff"' in picture
    width = int(re.search(r'width="(\d+)"', picture)[1])
    assert width == 4 * (37 + 2 * 3), "four pixels a module, three modules of margin"
    assert "<?xml" not in picture


@pytest.fixture
def house(store):
    for name in ("ann", "bob"):
        store.run_here(lambda db, name=name: users.add(db, name, None, NOW_S))

    def act(name, work, *arguments):
        return store.run_here(lambda db: work(db, users.find(db, name), *arguments))

    return act


def test_recovery_codes_are_ten_of_six_groups_that_nobody_mistakes(house):
    codes = house("ann", recovery.renew)
    assert len(set(codes)) == 10
    assert all(re.fullmatch("([A-HJ-NP-Z2-9]{4}-){5}[A-HJ-NP-Z2-9]{4}", code) for code in codes)


def test_a_recovery_code_works_once_for_its_user_however_it_is_typed(house):
    first, second, *_ = house("ann", recovery.renew)
    house("bob", recovery.renew)
    assert not house("bob", recovery.take, first)
    assert house("ann", recovery.take, f" {first.lower()} ")
    assert not house("ann", recovery.take, first)
    assert house("ann", recovery.take, second.replace("-", " "))
    assert (house("ann", recovery.left), house("bob", recovery.left)) == (8, 10)


def test_new_recovery_codes_void_the_old_and_nobody_elses(house):
    [old, *_], [others, *_] = house("ann", recovery.renew), house("bob", recovery.renew)
    house("ann", recovery.renew)
    assert house("ann", recovery.left) == 10
    assert not house("ann", recovery.take, old)
    house("ann", recovery.forget)
    assert house("ann", recovery.left) == 0
    assert house("bob", recovery.take, others)
