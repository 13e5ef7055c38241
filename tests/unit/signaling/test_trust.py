"""What a signature proves, and what an offer must prove besides."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from parts.trust import BOOT, DEVICE, PORTAL, key_set, make_offer, seal

from agent.errors import ConfigError, MessageError
from agent.model.signal import OFFER_LIFETIME_S
from agent.signaling.trust import (
    CHALLENGE_S,
    MAX_CHALLENGES,
    MAX_OFFERS,
    MAX_OFFERS_PER_USER,
    MAX_SEALED_BYTES,
    SKEW_S,
    KeyRing,
    OfferJudge,
    SigningKey,
    make_signing_key,
    open_sealed,
)

NOW_S = 1_800_000_000.0
DAY = "2027-01-15"
UNDER_WAY = "it was under way too long, or a clock is wrong"
ALL = ("watch", "control", "manage")
TOPIC = "pinhole/v1/door/signal/s1/in"
RING = KeyRing.of(key_set().publics)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sealed_with(payload=b"{}", key=PORTAL, **header):
    """A JWS as an attacker would put it together, signed by `key` whatever the header says."""
    fields = {"alg": "Ed25519", "kid": key.kid, "typ": "pinhole+jws", "topic": TOPIC} | header
    fields = {name: value for name, value in fields.items() if value is not ...}
    signed = b64(json.dumps(fields).encode()) + b"." + b64(payload)
    return signed + b"." + b64(key._jwk.private_key.sign(signed))


def refusal(sealed, topic=TOPIC, ring=RING):
    with pytest.raises(MessageError) as caught:
        open_sealed(topic, sealed, ring.find)
    assert str(caught.value).isascii()
    return caught.value.code


def test_what_was_signed_comes_out_as_it_was():
    assert open_sealed(TOPIC, seal(TOPIC, b"hello"), RING.find) == b"hello"
    assert open_sealed(TOPIC, sealed_with(b"hello"), RING.find) == b"hello", "the attacker's tool works"


def swapped(sealed, part, change):
    parts = sealed.split(b".")
    parts[part] = change(parts[part])
    return b".".join(parts)


@pytest.mark.parametrize(
    ("sealed", "code"),
    [
        (b"", "unsigned"),
        (b'{"v":1,"type":"bye","seq":0}', "unsigned"),
        (b"a.b", "unsigned"),
        (b"..", "unsigned"),
        (b64(b'"alg"') + b".e30.e30", "unsigned"),
        (b64(b"[" * 200) + b".e30.e30", "unsigned"),
        (b"x" * (MAX_SEALED_BYTES + 1), "too-large"),
        (sealed_with(alg="none"), "bad-algorithm"),
        (swapped(sealed_with(alg="none"), 2, lambda _: b""), "bad-algorithm"),
        (sealed_with(alg="HS256"), "bad-algorithm"),
        (sealed_with(alg="EdDSA"), "bad-algorithm"),
        (sealed_with(alg="ES256"), "bad-algorithm"),
        (sealed_with(alg=...), "unsigned"),
        (sealed_with(alg=1), "bad-algorithm"),
        (sealed_with(kid=...), "unsigned"),
        (sealed_with(kid=1), "unsigned"),
        (sealed_with(typ="JWT"), "unsigned"),
        (sealed_with(topic=...), "unsigned"),
        (sealed_with(jwk={"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}), "unsigned"),
        (sealed_with(jku="https://evil.example/keys"), "unsigned"),
        (sealed_with(b64=False, crit=["b64"]), "unsigned"),
        (sealed_with(key=DEVICE), "unknown-key"),
        (sealed_with(key=DEVICE, kid=PORTAL.kid), "bad-signature"),
        (swapped(sealed_with(), 1, lambda _: b64(b'{"a":1}')), "bad-signature"),
        (swapped(sealed_with(), 2, lambda _: b64(bytes(64))), "bad-signature"),
        (swapped(sealed_with(), 2, lambda text: text[:-2]), "bad-signature"),
        (sealed_with(topic="pinhole/v1/door/signal/s2/in"), "wrong-topic"),
        (sealed_with(topic="pinhole/v1/window/signal/s1/in"), "wrong-topic"),
        (sealed_with(topic="pinhole/v1/door/signal/s1/out"), "wrong-topic"),
        (sealed_with(topic=["pinhole"]), "unsigned"),
    ],
)
def test_what_proves_nothing_is_refused_by_its_reason(sealed, code):
    assert refusal(sealed) == code


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(sealed):
    assert refusal(sealed) == "unsigned"


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(position, change):
    sealed = bytearray(seal(TOPIC, b"hello"))
    sealed[position % len(sealed)] ^= change
    refusal(bytes(sealed))


def test_several_keys_count_and_a_retired_one_does_not():
    old, new = SigningKey(make_signing_key()), SigningKey(make_signing_key())
    both, later = KeyRing.of(key_set(old, new).publics), KeyRing.of(key_set(new).publics)
    for key in (old, new):
        assert open_sealed(TOPIC, seal(TOPIC, b"x", key), both.find) == b"x"
    assert refusal(seal(TOPIC, b"x", old), ring=later) == "unknown-key"


@pytest.mark.parametrize("pem", [b"", b"junk", make_signing_key().replace(b"PRIVATE", b"PUBLIC")])
def test_a_file_that_holds_no_key_is_refused(pem):
    with pytest.raises(ConfigError):
        SigningKey(pem)


def judged(judge, offer, now_s=NOW_S, mono_s=0.0):
    """The code of the refusal; None where the offer counts."""
    try:
        judge.check(offer, now_s, mono_s)
    except MessageError as error:
        return error.code
    return None


@pytest.fixture
def judge():
    return OfferJudge(BOOT)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"permissions": ()}, "not-allowed"),
        ({"permissions": ("control", "manage")}, "not-allowed"),
        ({"boot_id": "boot0"}, "wrong-boot"),
        ({"issued_at": NOW_S - 40, "expires_at": NOW_S - 10}, "expired"),
        ({"issued_at": NOW_S - 33, "expires_at": NOW_S - 3}, None),
        ({"issued_at": NOW_S + 4, "expires_at": NOW_S + 34}, None),
        ({"issued_at": NOW_S, "expires_at": NOW_S + 31}, "expired"),
        ({"issued_at": 0.0, "expires_at": NOW_S + 30}, "expired"),
        ({"issued_at": NOW_S + 1, "expires_at": NOW_S}, "expired"),
    ],
)
def test_an_offer_is_judged_by_its_claims(judge, changes, code):
    assert judged(judge, make_offer(now=NOW_S, **changes)) == code


def test_an_offer_counts_once(judge):
    offer = make_offer(now=NOW_S)
    assert judged(judge, offer) is None
    for later_s in (0, 1, 34):
        assert judged(judge, offer, NOW_S + later_s, later_s) == "replayed"
    assert judged(judge, offer, NOW_S + 36, 36.0) == "expired"


def test_an_offer_that_was_refused_may_count_later(judge):
    offer = make_offer(now=NOW_S)
    assert judged(judge, offer, NOW_S + 60) == "expired"
    assert judged(judge, offer, NOW_S, 1.0) is None


def test_without_a_clock_an_offer_counts_once_and_says_that_there_is_none(judge):
    offer = make_offer(now=NOW_S)
    assert judged(judge, offer, now_s=0.0) is None
    assert judge.behind_s == NOW_S
    for later_s in (1, 34, 36, 60, 3600):
        assert judged(judge, offer, float(later_s), float(later_s)) in ("replayed", "expired")
    assert judged(judge, offer, 46.0, 46.0) == "expired", "also when its nonce is forgotten"


def test_without_a_clock_what_was_held_back_is_older_than_the_newest_offer(judge):
    held, newest = make_offer(now=NOW_S), make_offer(now=NOW_S + 50)
    assert judged(judge, newest, 0.0, 0.0) is None
    assert judged(judge, held, 1.0, 1.0) == "expired"
    assert judged(judge, make_offer(now=NOW_S + 51), 1.0, 1.0) is None
    assert judged(judge, make_offer(now=NOW_S + 52), 100.0, 100.0) == "expired", "time passes all the same"


def test_a_clock_that_steps_back_brings_no_old_offer_back(judge):
    offer = make_offer(now=NOW_S)
    assert judged(judge, offer, NOW_S, 0.0) is None
    assert judged(judge, offer, NOW_S - 3600, 3600.0) == "expired"


def test_one_wrong_time_from_the_portal_does_not_lock_it_out(judge):
    assert judged(judge, make_offer(now=NOW_S + 10**8)) is None
    assert judged(judge, make_offer(now=NOW_S + 1), NOW_S + 1, 1.0) is None
    assert judge.behind_s == 0


def test_a_clock_that_is_right_again_is_not_called_wrong(judge):
    judged(judge, make_offer(now=NOW_S), NOW_S - SKEW_S - 1)
    assert judge.behind_s == SKEW_S + 1
    judged(judge, make_offer(now=NOW_S + 2), NOW_S + 2, 2.0)
    assert judge.behind_s == 0


def test_a_camera_takes_so_many_offers_a_minute(judge):
    """So its memory of them is bounded, and it forgets none that still counts."""
    first = make_offer(now=NOW_S)
    assert judged(judge, first) is None
    for number in range(MAX_OFFERS - 1):
        assert judged(judge, make_offer(now=NOW_S, user=f"chief {number % 8}", permissions=ALL)) is None
    assert judged(judge, make_offer(now=NOW_S, user="one more", permissions=ALL)) == "too-many-offers"
    assert judged(judge, first) == "replayed"
    assert judged(judge, make_offer(now=NOW_S + 50), NOW_S + 50, 50.0) is None
    assert len(judge._nonces) == 1


def test_one_user_does_not_keep_others_out(judge):
    for _ in range(MAX_OFFERS_PER_USER):
        assert judged(judge, make_offer(now=NOW_S, user="greedy")) is None
    assert judged(judge, make_offer(now=NOW_S, user="greedy")) == "too-many-offers"
    assert judged(judge, make_offer(now=NOW_S, user="ann")) is None


def test_links_and_users_leave_room_for_who_manages_the_camera(judge):
    def taken(user, permissions=("watch",)):
        numbers = range(2 * MAX_OFFERS)
        offers = (make_offer(now=NOW_S, user=user.format(n % 9), permissions=permissions) for n in numbers)
        return [judged(judge, offer) for offer in offers].count(None)

    assert taken("link:{}") == MAX_OFFERS // 2
    assert taken("user {}") == MAX_OFFERS // 4
    assert taken("chief {}", ALL) == MAX_OFFERS // 4


def test_a_clock_that_steps_ahead_goes_by_the_time_that_has_passed(judge):
    assert judged(judge, make_offer(now=NOW_S)) is None
    stepped_s = NOW_S + 3600
    assert judged(judge, make_offer(now=NOW_S + 100), stepped_s + 100, 100.0) is None
    assert judge.ahead_s == 3600
    assert judged(judge, make_offer(now=NOW_S + 50), stepped_s + 101, 101.0) == "expired", "held back"
    assert judged(judge, make_offer(now=NOW_S + 200), NOW_S + 200, 200.0) is None
    assert judge.ahead_s == 0


def test_time_that_has_passed_is_no_step(judge):
    assert judged(judge, make_offer(now=NOW_S)) is None
    assert judged(judge, make_offer(now=NOW_S + 1), NOW_S + 3600, 3600.0) == "expired"


def test_a_clock_that_was_ahead_from_the_start_challenges_the_portal(judge):
    ahead_s = NOW_S + 3600
    assert judged(judge, make_offer(now=NOW_S), ahead_s, 0.0) == "expired"
    challenge = judge.challenge(0.0)
    assert judged(judge, make_offer(now=NOW_S, challenge="A" * 22), ahead_s, 0.2) == "expired"
    assert judged(judge, make_offer(now=NOW_S, challenge=challenge), ahead_s + 0.2, 0.2) is None
    assert judge.ahead_s == pytest.approx(3600.2)
    assert judged(judge, make_offer(now=NOW_S, challenge=challenge), ahead_s + 0.3, 0.3) is None, (
        "from then on the time is known, so no other challenge is needed"
    )
    assert judged(judge, make_offer(now=NOW_S + 100), ahead_s + 100, 100.0) is None
    assert judged(judge, make_offer(now=NOW_S + 50), ahead_s + 101, 101.0) == "expired", "held back"


def test_a_challenge_is_answered_soon_or_not_at_all(judge):
    challenge = judge.challenge(0.0)
    late = make_offer(now=NOW_S, challenge=challenge)
    assert judged(judge, late, NOW_S + 3600, CHALLENGE_S + 0.1) == "expired"


def test_challenges_are_bounded(judge):
    for _ in range(10 * MAX_CHALLENGES):
        judge.challenge(0.0)
    assert len(judge._challenges) == MAX_CHALLENGES


def words(sealed, topic=TOPIC):
    with pytest.raises(MessageError) as caught:
        open_sealed(topic, sealed, RING.find)
    return str(caught.value)


@pytest.mark.parametrize(
    ("sealed", "said"),
    [
        (
            b"x" * (MAX_SEALED_BYTES + 1),
            f"{MAX_SEALED_BYTES + 1} bytes; at most {MAX_SEALED_BYTES} are read",
        ),
        (b"a.b", "not a compact JWS"),
        (sealed_with(alg="x" * 100), f"signed with '{'x' * 39}, not Ed25519"),
        (sealed_with(typ="JWT"), "the header is not alg, kid, topic, typ of pinhole+jws"),
        (sealed_with(kid="\n" + "k" * 100), f"signed by '\\n{'k' * 57}, which may not speak here"),
        (sealed_with(key=DEVICE, kid=PORTAL.kid), f"not signed by {PORTAL.kid}"),
        (sealed_with(topic="\x1b" + "t" * 220), f"it was signed for '\\x1b{'t' * 195}"),
    ],
    ids=["large", "no JWS", "algorithm", "type", "signer", "key", "topic"],
)
def test_a_refusal_says_what_was_found_at_a_bounded_length(sealed, said):
    assert words(sealed) == said


def test_the_largest_that_is_read_is_not_too_large():
    assert refusal(b"x" * MAX_SEALED_BYTES) == "unsigned"
    payload = b"p" * (3 * MAX_SEALED_BYTES // 4 - 300)
    assert open_sealed(TOPIC, seal(TOPIC, payload), RING.find) == payload


def test_a_key_file_that_will_not_do_is_refused_in_words_that_help():
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for file, said in (
        (b"junk", "not a private key in PEM, or one with a passphrase"),
        (locked, "not a private key in PEM, or one with a passphrase"),
        (pem, "not an Ed25519 key"),
    ):
        with pytest.raises(ConfigError) as caught:
            SigningKey(file)
        assert str(caught.value) == said
    with pytest.raises(ConfigError) as caught:
        KeyRing.of([b"short"])
    assert str(caught.value) == "an Ed25519 public key is 32 bytes"


def test_a_signing_request_names_the_device_and_proves_its_key():
    key = SigningKey(make_signing_key())
    request = x509.load_pem_x509_csr(key.make_request("door").encode())
    assert request.subject.rfc4514_string() == "CN=door"
    assert request.is_signature_valid
    assert request.public_key().public_bytes_raw() == key.public


@pytest.mark.parametrize("alg", ["none", "HS256", "ES256"])
def test_a_key_proves_nothing_by_another_algorithm(alg):
    assert not PORTAL.verify_key.verifies(jws.extract_compact(sealed_with(alg=alg)))


def test_a_new_judge_knows_of_no_wrong_clock(judge):
    assert (judge.behind_s, judge.ahead_s) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"permissions": (), "user": "\x07" + "u" * 80}, f"'\\x07{'u' * 55} may not watch this camera"),
        ({"boot_id": "boot0"}, "the offer is for another start of this camera: try again"),
        ({"expires_at": NOW_S + 31}, "an offer lives 30 s at most"),
        (
            {"issued_at": NOW_S - 60, "expires_at": NOW_S - 36},
            f"the offer expired at {DAY}T07:59:24+00:00 and it is {DAY}T08:00:00+00:00 here: {UNDER_WAY}",
        ),
    ],
)
def test_a_refused_offer_is_answered_in_words(judge, changes, said):
    with pytest.raises(MessageError) as caught:
        judge.check(make_offer(now=NOW_S, **changes), NOW_S, 0.0)
    assert str(caught.value) == said


def test_what_comes_again_or_too_often_is_answered_in_words(judge):
    offer = make_offer(now=NOW_S)
    judge.check(offer, NOW_S, 0.0)
    with pytest.raises(MessageError) as caught:
        judge.check(offer, NOW_S, 0.0)
    assert str(caught.value) == "this offer was taken already"
    for _ in range(MAX_OFFERS_PER_USER - 1):
        judge.check(make_offer(now=NOW_S), NOW_S, 0.0)
    with pytest.raises(MessageError) as caught:
        judge.check(make_offer(now=NOW_S), NOW_S, 0.0)
    assert str(caught.value) == "too many offers of late: wait a minute"


@pytest.mark.parametrize(
    ("changes", "now_s", "code"),
    [
        ({"expires_at": NOW_S}, NOW_S, None),
        ({}, NOW_S + OFFER_LIFETIME_S + SKEW_S, None),
        ({}, NOW_S + OFFER_LIFETIME_S + SKEW_S + 0.1, "expired"),
    ],
)
def test_the_last_moment_of_an_offer_counts(judge, changes, now_s, code):
    assert judged(judge, make_offer(now=NOW_S, **changes), now_s) == code
    assert (judge.behind_s, judge.ahead_s) == (0, 0)


@pytest.mark.parametrize("off_s", [-SKEW_S, -2, 0, 2, 29])
def test_clocks_that_differ_by_less_than_what_is_allowed_are_not_called_wrong(judge, off_s):
    """Or an offer that was long under way."""
    assert judged(judge, make_offer(now=NOW_S), NOW_S + off_s) is None
    assert (judge.behind_s, judge.ahead_s) == (0, 0)


def test_without_a_clock_time_goes_on_from_the_newest_offer_however_long_the_device_is_up(judge):
    up_s = 5000.0
    assert judged(judge, make_offer(now=NOW_S), up_s, up_s) is None
    assert judged(judge, make_offer(now=NOW_S + 1), up_s + 1, up_s + 1) is None
    assert judged(judge, make_offer(now=NOW_S + 50), up_s + 50, up_s + 50) is None
    assert judged(judge, make_offer(now=NOW_S + 10), up_s + 51, up_s + 51) == "expired"


def test_a_clock_that_steps_ahead_is_seen_however_long_the_device_is_up(judge):
    up_s = 5000.0
    assert judged(judge, make_offer(now=NOW_S), NOW_S, up_s) is None
    assert judged(judge, make_offer(now=NOW_S + 10), NOW_S + 600, up_s + 10) is None
    assert judge.ahead_s == 590
    assert judged(judge, make_offer(now=NOW_S + 20), NOW_S + 610, up_s + 20) is None


def test_time_that_the_portal_was_silent_for_is_no_step_however_long_the_device_is_up(judge):
    up_s = 5000.0
    assert judged(judge, make_offer(now=NOW_S), NOW_S, up_s) is None
    late = make_offer(now=NOW_S + 1)
    assert judged(judge, late, NOW_S + 3600, up_s + 3600) == "expired"
    assert judge.ahead_s == 0


def test_the_newest_challenges_are_kept(judge):
    ahead_s = NOW_S + 3600
    first, *_, last = [judge.challenge(0.0) for _ in range(MAX_CHALLENGES + 1)]
    assert len(first) == 22, "128 bits, as offers may carry"
    assert judged(judge, make_offer(now=NOW_S, challenge=first), ahead_s) == "expired"
    assert judged(judge, make_offer(now=NOW_S, challenge=last), ahead_s, CHALLENGE_S) is None, "in time"


def test_what_still_counts_is_not_forgotten_with_what_is_over(judge):
    for at_s in (0, 30):
        newest = make_offer(now=NOW_S + at_s)
        assert judged(judge, newest, NOW_S + at_s, at_s) is None
    assert judged(judge, make_offer(now=NOW_S + 46), NOW_S + 46, 46.0) is None
    assert judged(judge, newest, NOW_S + 47, 47.0) == "replayed"
