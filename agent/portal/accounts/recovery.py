"""Recovery codes: each stands once for the code of an authenticator that is lost."""

import secrets

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.portal.accounts.tokens import key_of
from agent.portal.tables import RecoveryCode, User

COUNT = 10
_CHARS = 24
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 letters that nobody mistakes on paper: 120 bits a code, so that a plain hash gives nothing away
(OWASP ASVS 5.0, 6.5.2)."""


def renew(db: Session, user: User) -> list[str]:
    """Ten new codes; those before are void. They can be read this once."""
    forget(db, user)
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_CHARS)) for _ in range(COUNT)]
    db.add_all(RecoveryCode(key=_key(user, code), user_id=user.id) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, _CHARS, 4)) for code in codes]


def take(db: Session, user: User, code: str) -> bool:
    """Use a code up, in one statement: of two at once with the same, one comes in."""
    code = "".join(code.split()).replace("-", "").upper()
    used = delete(RecoveryCode).where(RecoveryCode.key == _key(user, code)).returning(RecoveryCode.key)
    return db.scalar(used) is not None


def left(db: Session, user: User) -> int:
    """How many codes are still good."""
    return db.scalar(select(func.count()).where(RecoveryCode.user_id == user.id)) or 0


def forget(db: Session, user: User) -> None:
    """None is good any more."""
    db.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def _key(user: User, code: str) -> str:
    return key_of(f"recovery {user.id} {code}")
