"""Signed-in browsers. A session is a row in the store, so it ends everywhere when the row goes."""

from collections.abc import Collection

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.portal.accounts.access import Access, Identity
from agent.portal.accounts.tokens import CLOCK_SLACK_S, key_of, new_token
from agent.portal.accounts.users import access_of, bump
from agent.portal.tables import Share, User, WebSession

SESSION_LIFETIME_S = 30 * 86400.0
MAX_SESSIONS_PER_OWNER = 64
"""Of one user, or of one share link; the oldest goes."""


def open_session(
    db: Session, owner: User | Share, now: float, *, address: str = "", browser: str = ""
) -> tuple[str, Identity]:
    """Sign a browser in: always with a new token, so that nobody can plant one beforehand."""
    column = WebSession.user_id if isinstance(owner, User) else WebSession.share_id
    db.execute(delete(WebSession).where(WebSession.expires_at <= now))
    newest = (
        select(WebSession.key)
        .where(column == owner.id)
        .order_by(WebSession.created_at.desc(), WebSession.key)
        .limit(MAX_SESSIONS_PER_OWNER - 1)
    )
    kept = db.scalars(newest).all()
    db.execute(delete(WebSession).where(column == owner.id, WebSession.key.not_in(kept)))
    token = new_token()
    expires_at = now + SESSION_LIFETIME_S
    row = WebSession(
        key=key_of(token), created_at=now, expires_at=expires_at, address=address[:64], browser=browser[:200]
    )
    if isinstance(owner, User):
        row.user_id = owner.id
    else:
        row.share_id, row.expires_at = owner.id, min(expires_at, owner.expires_at)
    db.add(row)
    db.flush()
    return token, identities(db, [row.key], now)[row.key]


def identities(db: Session, keys: Collection[str], now: float) -> dict[str, Identity]:
    """Whose sessions these are; those that are over, expired or shut out are missing."""
    found: dict[str, Identity] = {}
    users: dict[int, Access] = {}
    rows = db.execute(
        select(WebSession, User, Share)
        .outerjoin(User, User.id == WebSession.user_id)
        .outerjoin(Share, Share.id == WebSession.share_id)
        .where(WebSession.key.in_(keys), WebSession.expires_at > now)
        .where(WebSession.expires_at <= now + SESSION_LIFETIME_S + CLOCK_SLACK_S)
    )
    for session, user, share in rows.all():
        if user is not None and not user.disabled:
            access = users.get(user.id) or users.setdefault(user.id, access_of(db, user))
            found[session.key] = Identity(session.key, user.name, access, session.expires_at, user_id=user.id)
        elif share is not None and share.expires_at > now:
            access = Access(cameras={share.device: "viewer"})
            name = f"link:{share.label}"
            found[session.key] = Identity(session.key, name, access, session.expires_at, share_id=share.id)
    return found


def end_session(db: Session, key: str) -> None:
    """Sign one browser out."""
    db.execute(delete(WebSession).where(WebSession.key == key))
    bump(db)


def count_sessions(db: Session, user_id: int, now: float) -> int:
    """In how many browsers a user is signed in."""
    live = select(func.count()).where(WebSession.user_id == user_id, WebSession.expires_at > now)
    return db.scalar(live) or 0
