"""A user's passkeys in the store: functions of a database session, for portal and command line alike."""

import re
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from agent.portal.accounts import users
from agent.portal.accounts.relying_party import Known, NewPasskey
from agent.portal.accounts.users import AccountError, UnknownError
from agent.portal.tables import Passkey, User

MAX_PASSKEYS = 16
"""Of one user."""
MAX_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class PasskeyView:
    """A passkey as its user sees it."""

    id: int
    name: str
    created_at: float
    used_at: float | None


def of_user(db: Session, user: User) -> list[PasskeyView]:
    """A user's passkeys, the oldest first."""
    found = db.scalars(select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.id))
    return [PasskeyView(row.id, row.name, row.created_at, row.used_at) for row in found]


def known(db: Session, user_id: int) -> list[Known]:
    """What a browser is told of them."""
    found = db.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id))
    return [Known(row.credential_id, row.transports) for row in found]


def add(db: Session, user: User, name: str, new: NewPasskey, now: float) -> Passkey:
    """Raises AccountError."""
    name = re.sub(r"\s+", " ", name).strip()
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise AccountError(f"Give the passkey a name, of at most {MAX_NAME_CHARS} characters.")
    db.refresh(user, with_for_update=True)  # so that of two at once each counts the other
    theirs = select(func.count()).where(Passkey.user_id == user.id)
    if (db.scalar(theirs) or 0) >= MAX_PASSKEYS:
        raise AccountError(f"You have {MAX_PASSKEYS} passkeys already: remove one that you do not use.")
    if find(db, new.credential_id) is not None:
        raise AccountError("This passkey is known here already.")
    row = Passkey(
        user_id=user.id,
        name=name,
        credential_id=new.credential_id,
        public_key=new.public_key,
        sign_count=new.sign_count,
        transports=new.transports,
        created_at=now,
    )
    db.add(row)
    db.flush()
    return row


def find(db: Session, credential_id: bytes) -> Passkey | None:
    """The passkey of this id, whoever's it is."""
    return db.scalar(select(Passkey).where(Passkey.credential_id == credential_id))


def use(db: Session, passkey_id: int, sign_count: int, now: float) -> bool:
    """Note that it has signed; False where its count went back, or it was removed meanwhile.

    One statement: of two answers with one count, one comes in. Authenticators without a count always say 0
    (Web Authentication level 3, section 7.2, step 22).
    """
    grows = (Passkey.sign_count < sign_count) | ((Passkey.sign_count == 0) & (sign_count == 0))
    noted = (
        update(Passkey)
        .where(Passkey.id == passkey_id, grows)
        .values(sign_count=sign_count, used_at=now)
        .returning(Passkey.id)
    )
    return db.scalar(noted) is not None


def remove(db: Session, user: User, passkey_id: int) -> str:
    """Forget one; returns what it was called. Raises UnknownError."""
    gone = delete(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == user.id)
    name: str | None = db.scalar(gone.returning(Passkey.name))
    if name is None:
        raise UnknownError(f"{user.name} has no such passkey.")
    return name


def remove_all(db: Session, user: User) -> int:
    """Forget all of a user's, which may be in other hands, and sign the user out everywhere."""
    names = db.scalars(delete(Passkey).where(Passkey.user_id == user.id).returning(Passkey.name)).all()
    users.end_sessions(db, user)
    return len(names)
