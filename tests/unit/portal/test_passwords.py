"""Which new passwords are taken, and what is said of those that are not."""

import asyncio

import pytest
from parts.portal import CHEAP, PASSWORD

from agent.portal.accounts import passwords as module
from agent.portal.accounts.passwords import BusyError, PasswordError, Passwords, check_new
from agent.portal.accounts.strength import words_of

SITE = words_of("https://orchidfarm.example.org")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "12 to 256"),
        ("x" * 257, "12 to 256"),
        ("aaaaaaaaaaaaaaaa", "easy to guess. Repeats like"),
        ("my-name-is-ann", "your user name"),
        ("password1234", "common"),
        ("Passw0rd!2024", "common"),
        ("qwertyuiop12", "common"),
        ("basketball23", "few words"),
        ("trustno1trustno1", "Repeats like"),
        ("Summer2026!!", "few words"),
        ("pinhole-camera", "few words"),
        ("orchidfarm-26", "few words"),
        ("firm-camera-9", "few words"),
    ],
)
def test_what_is_easy_to_guess_is_refused_with_the_reason(password, why):
    with pytest.raises(PasswordError, match=why):
        check_new(password, "ann", [*SITE, *words_of("ann@firm.example")])


@pytest.mark.parametrize(
    "password",
    [
        "correct-horse-battery",
        "Zx9!kQ2#mW7p",
        "vier-worte-ohne-sinn",
        "жук лампа 17 river",
        "x9" * 9 + "q!Tf7Lw2zP",
    ],
)
def test_what_is_hard_to_guess_is_taken(password):
    check_new(password, "ann", SITE)


def test_what_a_name_or_address_is_made_of_counts_as_known():
    assert words_of("Ann.Lee@firm.example", "https://cams.example.org:8443/") == [
        *("ann", "lee", "firm", "example"),
        *("https", "cams", "example", "org", "8443"),
    ]


@pytest.mark.parametrize(
    ("password", "words"),
    [
        (
            "orchidfarm-26",
            "It is made of few words: of names, dates, or what this site is called.",
        ),
        (
            "password1234",
            "This is a very common password.",
        ),
    ],
)
def test_a_weak_password_is_answered_by_why_it_is_and_what_is_better(password, words):
    with pytest.raises(PasswordError) as caught:
        check_new(password, "Ann", SITE)
    better = "Better are four words that nothing connects."
    assert str(caught.value) == f"That password is too easy to guess. {words} {better}"


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("x" * 11, "A password has 12 to 256 characters."),
        ("x" * 257, "A password has 12 to 256 characters."),
        ("I-am-ANN-of-this-house", "That password is too easy to guess: your user name is in it."),
    ],
)
def test_a_refused_password_is_answered_in_words(password, words):
    with pytest.raises(PasswordError) as caught:
        check_new(password, "Ann", SITE)
    assert str(caught.value) == words


@pytest.mark.parametrize("password", ["Zx9!kQ2#mW7p", "Zx9!kQ2#mW7p" * 21 + "Zx9!"])
def test_the_shortest_and_the_longest_password_are_taken(password):
    assert len(password) in (12, 256)
    check_new(password, "ann")


def test_what_makes_a_long_password_strong_is_judged_at_its_beginning():
    with pytest.raises(PasswordError):
        check_new("a" * 48 + "Zx9!kQ2#mW7p-river-lamp", "ann")
    check_new("a" * 36 + "Zx9!kQ2#mW7p", "ann")


@pytest.fixture
def passwords():
    passwords = Passwords(CHEAP, SITE)
    yield passwords
    passwords.close()


async def test_a_password_is_hashed_and_known_again(passwords):
    stored = await passwords.hash_new(PASSWORD, "ann")
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored
    assert await passwords.verify(stored, PASSWORD) is True
    assert await passwords.verify(stored, "guess") is False
    assert await passwords.verify("damaged", PASSWORD) is False
    assert await passwords.verify(None, PASSWORD) is False
    assert await passwords.verify(None, "nobody has this password") is False
    assert CHEAP.verify(passwords.hash_here(PASSWORD), PASSWORD)


async def test_a_weak_one_is_refused_by_name_and_by_what_the_site_is_called(passwords):
    for password, why in (("ann-ann-ann-ann", "user name"), ("orchidfarm-26", "few words")):
        with pytest.raises(PasswordError, match=why):
            await passwords.hash_new(password, "ann")


async def test_a_name_that_nobody_has_takes_as_long(passwords, monkeypatch):
    asked = []
    monkeypatch.setattr(passwords, "_verify", lambda stored, password: asked.append((stored, password)))
    await passwords.verify(None, "guess")
    [(stored, password)] = asked
    assert stored.startswith("$argon2id$")
    assert password == "guess"


async def test_sign_ins_at_once_are_bounded(passwords, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    stored = passwords.hash_here(PASSWORD)
    answers = await asyncio.gather(
        *(passwords.verify(stored, PASSWORD) for _ in range(4)), return_exceptions=True
    )
    assert answers[:2] == [True, True]
    assert [str(each) for each in answers[2:]] == [
        "Too many people are signing in at once. Try again in a moment."
    ] * 2
    assert {type(each) for each in answers[2:]} == {BusyError}
    assert await passwords.verify(stored, PASSWORD), "there is room again"
    with pytest.raises(PasswordError):
        await passwords.hash_new("short", "ann")
    assert await asyncio.gather(*(passwords.verify(stored, PASSWORD) for _ in range(2))) == [True, True]


def test_strong_hashes_cost_what_the_standard_recommends():
    """RFC 9106's second recommendation."""
    assert (module.STRONG.time_cost, module.STRONG.memory_cost) == (3, 65536)
