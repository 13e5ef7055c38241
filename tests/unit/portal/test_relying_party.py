"""What is a good answer of a passkey, and where browsers have any."""

import json
from pathlib import Path

import pytest
from fakes.authenticator import ORIGIN, UP, UV, SoftAuthenticator, decode, encode

from agent.portal.accounts.relying_party import (
    AnswerError,
    Known,
    PasskeyAddressError,
    RelyingParty,
    handle_of,
    parse_answer,
    passkey_site,
    relying_party,
)

SITE = RelyingParty("cams.example.org", ORIGIN)
DATA = Path(__file__).parents[2] / "data"
CHALLENGE = b"sign this, and nothing else, once"


def made(authenticator):
    return SITE.verify_new(parse_answer(authenticator.make(SITE.creation_options(7, "ann", CHALLENGE, []))))


def signed(authenticator, challenge=CHALLENGE):
    return parse_answer(authenticator.sign(SITE.request_options(challenge)))


def test_a_passkey_is_made_and_signs():
    phone = SoftAuthenticator()
    new = made(phone)
    assert (new.credential_id, new.sign_count, new.transports) == (phone.id, 0, "hybrid,internal")
    answer = signed(phone)
    assert (answer.credential_id, answer.challenge, answer.user_handle) == (phone.id, CHALLENGE, handle_of(7))
    assert [SITE.verify(answer, new.public_key), SITE.verify(signed(phone), new.public_key)] == [1, 2]


def test_it_finds_its_user_by_itself_and_verifies_them_and_is_not_made_twice():
    phone = SoftAuthenticator()
    new = made(phone)
    options = SITE.creation_options(7, "ann", CHALLENGE, [Known(new.credential_id, new.transports)])
    assert options["rp"] == {"name": "Pinhole", "id": "cams.example.org"}
    assert options["user"]["name"] == "ann"
    assert b"ann" not in decode(options["user"]["id"])
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert options["excludeCredentials"] == [
        {"id": encode(phone.id), "type": "public-key", "transports": ["hybrid", "internal"]}
    ]
    asked = SITE.request_options(CHALLENGE)
    assert (asked["rpId"], asked["userVerification"]) == ("cams.example.org", "required")
    assert asked["allowCredentials"] == [], "whoever asks is told of nobody's passkeys"


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param({"origin": "https://cams.example.org.evil.test"}, id="another site"),
        pytest.param({"origin": "http://cams.example.org"}, id="without https"),
        pytest.param({"rp_id": "example.org"}, id="another relying party"),
        pytest.param({"flags": UP}, id="its user was not verified"),
        pytest.param({"flags": UV}, id="its user was not there"),
    ],
)
def test_what_is_not_for_this_site_or_not_of_its_user_is_refused(lie):
    phone = SoftAuthenticator()
    public_key = made(phone).public_key
    for name, value in lie.items():
        setattr(phone, name, value)
    with pytest.raises(AnswerError):
        SITE.verify(signed(phone), public_key)
    with pytest.raises(AnswerError):
        made(phone)


def test_another_key_and_altered_answers_are_refused():
    phone, thief = SoftAuthenticator(), SoftAuthenticator()
    public_key = made(phone).public_key
    thief.id, thief.handle = phone.id, phone.handle
    with pytest.raises(AnswerError):
        SITE.verify(signed(thief), public_key)
    good = json.loads(signed(phone).text)
    for field in ("clientDataJSON", "authenticatorData", "signature"):
        raw = bytearray(decode(good["response"][field]))
        raw[-3] ^= 1
        altered = good | {"response": good["response"] | {field: encode(bytes(raw))}}
        with pytest.raises(AnswerError):
            SITE.verify(parse_answer(json.dumps(altered)), public_key)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "7", '"x"', "[" * 5000, "\x00"),
        '{"id": 7, "response": {"clientDataJSON": "e30"}}',
        '{"id": "QQ", "response": []}',
        '{"id": "QQ", "response": {"clientDataJSON": "W10"}}',
        '{"id": "QQ", "response": {"clientDataJSON": "é"}}',
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(AnswerError):
        parse_answer(text)


def test_answers_that_parse_and_hold_nonsense_are_refused():
    phone = SoftAuthenticator()
    public_key = made(phone).public_key
    good = json.loads(signed(phone).text)
    for change in (
        {"type": "password"},
        {"rawId": "QQ"},
        {"response": {"clientDataJSON": good["response"]["clientDataJSON"]}},
    ):
        answer = parse_answer(json.dumps(good | change))
        with pytest.raises(AnswerError):
            SITE.verify(answer, public_key)
        with pytest.raises(AnswerError):
            SITE.verify_new(answer)
    for key in (b"", b"\x00", b"\xa1\x01\x02", bytes(77)):
        with pytest.raises(AnswerError):
            SITE.verify(signed(phone), key)


def test_what_a_real_authenticator_signed_is_taken():
    real = json.loads((DATA / "passkey.json").read_text())
    answer = parse_answer(json.dumps(real["credential"]))
    assert answer.challenge == decode(real["challenge"])
    site = RelyingParty("localhost", "http://localhost:5000")
    assert site.verify(answer, decode(real["public_key"])) == 1
    with pytest.raises(AnswerError):
        SITE.verify(answer, decode(real["public_key"]))


@pytest.mark.parametrize(
    ("url", "name", "origin"),
    [
        ("https://cams.example.org", "cams.example.org", "https://cams.example.org"),
        ("https://Cams.Example.org:443", "cams.example.org", "https://cams.example.org"),
        ("https://cams.example.org:8443", "cams.example.org", "https://cams.example.org:8443"),
        ("https://portal", "portal", "https://portal"),
        ("https://kämera.example", "xn--kmera-gra.example", "https://xn--kmera-gra.example"),
        ("http://localhost:8080", "localhost", "http://localhost:8080"),
        ("http://localhost:80", "localhost", "http://localhost"),
    ],
)
def test_the_site_is_the_portals_public_address(url, name, origin):
    assert relying_party(url) == RelyingParty(name, origin)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "portal.public_url"),
        ("http://cams.example.org", "need https"),
        ("https://192.0.2.7", "in place of an IP address"),
        ("https://[2001:db8::7]:8443", "in place of an IP address"),
        ("http://127.0.0.1:8080", "need https"),
        (f"https://{'a' * 64}.example", "No browser takes the address"),
        ("https://cams.example.org:99999", "No browser takes the address"),
    ],
)
def test_where_there_are_no_passkeys_it_is_said_why(url, words):
    with pytest.raises(PasskeyAddressError, match=words):
        relying_party(url)
    origin, problem = passkey_site(url)
    assert origin is None
    assert words in problem
