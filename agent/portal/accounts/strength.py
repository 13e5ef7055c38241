"""How easily a new password is guessed: what is common or leaked, names, dates, words of this site.

The only module that imports zxcvbn. It works offline, from lists that it brings along.
"""

import re
from collections.abc import Iterable

from zxcvbn_rs_py import zxcvbn

MIN_GUESSES_LOG10 = 10.0
"""What zxcvbn calls "very unguessable": argon2id makes ten thousand millions of guesses dear."""
_JUDGED_CHARS = 48
"""What follows makes no password worse; judging it could take seconds of hostile input."""
_SITE_WORDS = ("pinhole", "camera", "cameras", "portal", "cctv", "raspberry")


def words_of(*texts: str) -> list[str]:
    """The words of a user's name, or of an address: the first that somebody tries."""
    return [word for text in texts for word in re.split(r"[^\w]+", text.casefold()) if len(word) > 2]


def weakness_of(password: str, words: Iterable[str]) -> str | None:
    """What is wrong with a password, in a sentence; None where it is strong enough."""
    judged = zxcvbn(password[:_JUDGED_CHARS], [*words, *_SITE_WORDS])
    if judged.guesses_log10 >= MIN_GUESSES_LOG10:
        return None
    warning = judged.feedback.warning if judged.feedback else None
    if warning is None:
        return "It is made of few words: of names, dates, or what this site is called."
    return str(warning)
