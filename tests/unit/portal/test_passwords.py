"""Which new passwords are taken, and what is said of those that are not."""

import pytest

from agent.portal.accounts.passwords import PasswordError, check_new
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
