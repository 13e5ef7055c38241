"""Slows down whoever guesses: by user name and by address, the same on every portal and after a restart."""

import ipaddress
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from agent.portal.tables import Attempt

FREE_FAILURES = 5
MAX_WAIT_S = 300.0
FORGET_AFTER_S = 3600.0


Keys = tuple[str, ...]
"""What one attempt counts for: whom it tries first, then whence it comes, where that counts."""


def keys_of(name: str, address: str) -> Keys:
    """A sign-in as this user."""
    return f"user {name[:128]}", f"from {network_of(address)}"


def keys_of_known(browser_key: str) -> Keys:
    """A sign-in from a browser where this very user was signed in before: it counts for that browser alone.

    So nobody else, by guessing at the name or from the same address, holds its user out.
    """
    return (f"browser {browser_key}",)


def keys_of_passkey(browser_key: str | None, address: str) -> Keys:
    """A sign-in by a passkey, from a browser that is known or from anywhere.

    It counts apart from passwords and for no user: a signature cannot be guessed, so that whoever sends wrong
    ones may be slowed down, and nobody else.
    """
    return (f"passkey browser {browser_key}" if browser_key else f"passkey from {network_of(address)}",)


def keys_of_device(device: str, address: str) -> Keys:
    """An enrolment: a camera that tries a used code again and again locks nobody's sign-in."""
    return f"enrol {device[:64]}", f"enrol from {network_of(address)}"


def begin(db: Session, keys: Keys, now: float) -> float:
    """Count an attempt as failed until `succeed` says otherwise, so that many at once are many failures.

    Returns how long to wait, in seconds, where there were too many; then nothing is counted. After five
    failures it is 1 s, then 2 s, 4 s … up to 5 min, and it is forgotten after an hour of rest.
    """
    _prune(db, now)
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    for key in sorted(keys):
        db.execute(insert(Attempt).values(key=key, failures=0, last_at=now).on_conflict_do_nothing())
    found = _locked(db, keys)
    for attempt in found:
        # A clock that was ahead once, and is right again, must not make anybody wait for it.
        attempt.last_at = min(attempt.last_at, now)
    wait_s = max((_wait_s(attempt, now) for attempt in found), default=0.0)
    if wait_s <= 0:
        for attempt in found:
            former = attempt.failures if now - attempt.last_at <= FORGET_AFTER_S else 0
            attempt.failures, attempt.last_at = min(former + 1, 64), now
    else:  # who tries many names from one address fills no table
        db.execute(delete(Attempt).where(Attempt.key.in_(keys), Attempt.failures == 0))
    return wait_s


def succeed(db: Session, keys: Keys) -> None:
    """Forget what was counted for the user or device; the address gets back this one attempt alone.

    Else whoever has an account could guess at others for ever, with a success of their own in between.
    """
    take_back(db, keys)
    db.execute(delete(Attempt).where(Attempt.key == keys[0]))


def take_back(db: Session, keys: Keys) -> None:
    """Let an attempt count for nothing: it was no wrong secret."""
    for attempt in _locked(db, keys):
        attempt.failures = max(0, attempt.failures - 1)
    db.flush()


def _locked(db: Session, keys: Keys) -> Sequence[Attempt]:
    """Always in the order of their keys, so that nobody waits in a ring."""
    return db.scalars(
        select(Attempt).where(Attempt.key.in_(keys)).order_by(Attempt.key).with_for_update()
    ).all()


def _prune(db: Session, now: float) -> None:
    """Forget who rests; rows that others work on are left to them."""
    is_over = (Attempt.last_at < now - FORGET_AFTER_S) | (Attempt.last_at > now + FORGET_AFTER_S)
    resting = select(Attempt.key).where(is_over)
    db.execute(delete(Attempt).where(Attempt.key.in_(resting.with_for_update(skip_locked=True))))


def _wait_s(attempt: Attempt, now: float) -> float:
    if attempt.failures < FREE_FAILURES:
        return 0.0
    pause_s = min(MAX_WAIT_S, 2.0 ** (attempt.failures - FREE_FAILURES))
    return max(0.0, attempt.last_at + pause_s - now)


def network_of(address: str) -> str:
    """An IPv6 host owns a /64 of addresses (RFC 4291 section 2.5.1): they count as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 4 or (parsed.version == 6 and parsed.ipv4_mapped):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
