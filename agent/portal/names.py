"""What cameras are called: the portal's own word. What a camera says of itself is a hint at most."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

from sqlalchemy import update
from sqlalchemy.orm import Session

from agent.errors import PortalError
from agent.portal.registry import Device, count_up

MAX_CHARS = 64
_LOOKS_LIKE = str.maketrans(
    {"0": "o", "1": "l", "|": "l", "5": "s", "\u0131": "i"}
    | dict(zip("іїјаеосрухѕһԁкмтвнγαειορτυνκ", "iijaeocpyxshdkmtbhyaeioptuvk", strict=True))
)
"""Cyrillic and Greek letters, and digits, that pass for Latin ones; who mixes scripts is told by the id."""
_UNSEEN = re.compile(r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Letters and signs of no width or no ink that Python calls printable (Default_Ignorable_Code_Point of
Unicode, and an empty Braille cell)."""
_TOWER = 3
"""Marks on one letter: Vietnamese and Thai need two, and what is higher covers its neighbours."""
_WITH_LATIN = (
    "LATIN",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "KATAKANA-HIRAGANA",
    "HANGUL",
    "BOPOMOFO",
    "IDEOGRAPHIC",
)
"""Scripts that people write side by side, by the first word of a letter's name."""


def check_name(name: str) -> str:
    """A name as it is kept. Raises PortalError."""
    clean = re.sub(r"\s+", " ", name).strip()
    has_ink = any(unicodedata.category(char)[0] in "LNPS" for char in clean)
    is_seen = clean.isprintable() and has_ink and not _UNSEEN.search(clean)
    marks = "".join(
        "m" if unicodedata.combining(char) else " " for char in unicodedata.normalize("NFD", clean)
    )
    if not 1 <= len(clean) <= MAX_CHARS or not is_seen or "m" * _TOWER in marks:
        raise PortalError(f"{name[:80]!a} cannot be a camera's name: 1 to {MAX_CHARS} characters that show")
    return clean


def rename(db: Session, device: str, name: str) -> str:
    """Call a camera so from now on; returns what it was called. Raises PortalError."""
    known = db.get(Device, device)
    if known is None:
        raise PortalError(f"there is no camera {device}")
    former, known.name = known.name or device, check_name(name)
    count_up(db)
    return former


def adopt(db: Session, said: Mapping[str, str]) -> None:
    """Call cameras that have no name as they call themselves, once: what they say later changes nothing."""
    for device, name in said.items():
        try:
            wanted = check_name(name[:MAX_CHARS])
        except PortalError:
            wanted = device
        db.execute(update(Device).where(Device.id == device, Device.name.is_(None)).values(name=wanted))
    if said:
        count_up(db)


def shown(names: Mapping[str, str]) -> dict[str, str]:
    """Each camera's name as people see it, by id: with its id where it may be taken for another's."""
    looks = Counter(look for id_, name in names.items() for look in {_look(name), _look(id_)})
    return {
        id_: f"{name} ({id_})" if name != id_ and (looks[_look(name)] > 1 or _is_mixed(name)) else name
        for id_, name in names.items()
    }


def is_same(name: str, other: str) -> bool:
    """Whether people would read the same."""
    return _look(name) == _look(other)


def _is_mixed(name: str) -> bool:
    """Whether it holds letters of scripts that nobody writes side by side.

    No table knows all that pass for each other. Those of phonetic alphabets count as one of their own.
    """
    scripts = {_script(char) for char in unicodedata.normalize("NFKC", name) if char.isalpha()}
    return len({"LATIN" if script in _WITH_LATIN else script for script in scripts}) > 1


def _script(letter: str) -> str:
    is_phonetic = (
        "\u01c0" <= letter <= "\u01c3" or "\u0250" <= letter <= "\u02af" or "\u1d00" <= letter <= "\u1dbf"
    )
    return "PHONETIC" if is_phonetic else unicodedata.name(letter, "").partition(" ")[0]


def _look(name: str) -> str:
    """What is left of a name at a glance: no case, accents, spaces and dashes, and look-alikes as one."""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LOOKS_LIKE).replace("l", "i")
    return "".join(char for char in plain if char.isalnum()) or name
