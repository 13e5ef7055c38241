"""What authenticators are asked to sign: each once, within minutes, and so many at a time."""

import hashlib
import secrets
from typing import Literal

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.orm import Session

from agent.portal.accounts.attempts import network_of
from agent.portal.accounts.tokens import CLOCK_SLACK_S
from agent.portal.tables import PasskeyChallenge

LIFETIME_S = 300.0
MAX_OF_BROWSER = 8
"""Of one session, or of one browser where somebody was signed in before: no outsider pushes theirs out."""
MAX_OF_NETWORK, MAX_OF_STRANGERS = 256, 20_000

Purpose = Literal["sign-in", "confirm", "add"]


def of_session(key: str) -> str:
    """Whose challenge it is: somebody's who is signed in."""
    return f"session {key}"


def of_known(browser_key: str) -> str:
    """A browser's where somebody was signed in before."""
    return f"browser {browser_key}"


def of_stranger(address: str) -> str:
    """Anybody's at this address."""
    return f"from {network_of(address)}"


def make(db: Session, purpose: Purpose, owner: str, now: float) -> bytes:
    """A new challenge; of too many of one owner, or of all strangers, the oldest is void."""
    is_over = (PasskeyChallenge.expires_at <= now) | (PasskeyChallenge.expires_at > _latest(now))
    _drop(db, select(PasskeyChallenge.key).where(is_over))
    if owner.startswith("from "):
        _trim(db, PasskeyChallenge.owner == owner, MAX_OF_NETWORK)
        _trim(db, PasskeyChallenge.owner.startswith("from "), MAX_OF_STRANGERS)
    else:
        _trim(db, PasskeyChallenge.owner == owner, MAX_OF_BROWSER)
    challenge = secrets.token_bytes(32)
    db.add(PasskeyChallenge(key=_key(challenge), purpose=purpose, owner=owner, expires_at=now + LIFETIME_S))
    return challenge


def take(db: Session, challenge: bytes, purpose: Purpose, now: float, owner: str | None = None) -> bool:
    """Whether it was made for this and by this owner; one statement, so that of two at once one comes in."""
    asked = delete(PasskeyChallenge).where(
        PasskeyChallenge.key == _key(challenge), PasskeyChallenge.purpose == purpose
    )
    if owner is not None:
        asked = asked.where(PasskeyChallenge.owner == owner)
    expires_at = db.scalar(asked.returning(PasskeyChallenge.expires_at))
    return expires_at is not None and now < expires_at <= _latest(now)


def _trim(db: Session, which: ColumnElement[bool], at_most: int) -> None:
    """Leave room for one more: the oldest give way."""
    too_many = (db.scalar(select(func.count()).where(which)) or 0) - at_most + 1
    if too_many > 0:
        oldest = select(PasskeyChallenge.key).where(which).order_by(PasskeyChallenge.expires_at)
        _drop(db, oldest.limit(too_many))


def _drop(db: Session, keys: Select[str]) -> None:
    """Rows that others work on are left to them: nobody waits in a ring."""
    found = db.scalars(keys.with_for_update(skip_locked=True)).all()
    if found:
        db.execute(delete(PasskeyChallenge).where(PasskeyChallenge.key.in_(found)))


def _latest(now: float) -> float:
    return now + LIFETIME_S + CLOCK_SLACK_S


def _key(challenge: bytes) -> str:
    return hashlib.sha256(challenge).hexdigest()
