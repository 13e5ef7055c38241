"""Signed-in browsers. A session is a row in the store, so it ends everywhere when the row goes."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from agent.model.grant import LINK_PREFIX
from agent.model.text import printable
from agent.portal.accounts.access import Access, CodeRule, Identity
from agent.portal.accounts.tokens import CLOCK_SLACK_S, key_of, new_token
from agent.portal.accounts.users import UnknownError, access_of, bump
from agent.portal.tables import Share, User, WebSession

SESSION_LIFETIME_S = 30 * 86400.0
ADMIN_IDLE_S, IDLE_S = 12 * 3600.0, 7 * 86400.0
"""Without a request or a WebSocket in that time a session is over (OWASP ASVS 5.0, 7.3.1): an administrator's
within a night, others' within a week, for they see cameras and change nothing."""
SEEN_EVERY_S = 300.0
"""So seldom is it written down."""
MAX_SESSIONS_PER_OWNER = 64
"""Of one user, or of one share link; the oldest goes."""


def open_session(
    db: Session,
    owner: User | Share,
    now: float,
    *,
    address: str = "",
    browser: str = "",
    has_factor: bool = False,
    rule: CodeRule = "nobody",
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
        key=key_of(token),
        created_at=now,
        expires_at=expires_at,
        address=address[:64],
        browser=printable(browser)[:200],
        seen_at=now,
        confirmed_at=now,
        has_factor=has_factor,
    )
    if isinstance(owner, User):
        row.user_id = owner.id
    else:
        row.share_id, row.expires_at = owner.id, min(expires_at, owner.expires_at)
    db.add(row)
    db.flush()
    return token, identities(db, [row.key], now, rule)[row.key]


def identities(
    db: Session, keys: Collection[str], now: float, rule: CodeRule = "nobody"
) -> dict[str, Identity]:
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
            if now - session.seen_at > _idle_s(access.is_admin):
                continue
            needs_factor = not session.has_factor and access.must_have_factor(rule)
            found[session.key] = Identity(
                session.key,
                user.name,
                Access() if needs_factor else access,
                session.expires_at,
                user_id=user.id,
                seen_at=session.seen_at,
                confirmed_at=session.confirmed_at,
                needs_factor=needs_factor,
            )
        elif share is not None and share.expires_at > now:
            access = Access(cameras={share.device: "viewer"})
            name = f"{LINK_PREFIX}{share.label}"
            found[session.key] = Identity(
                session.key,
                name,
                access,
                session.expires_at,
                share_id=share.id,
                seen_at=session.seen_at,
            )
    return found


def locked_owner(db: Session, key: str) -> User | None:
    """Whose session this is; None where it has ended."""
    owner = db.scalar(select(WebSession.user_id).where(WebSession.key == key).with_for_update())
    return db.get(User, owner) if owner is not None else None


def end_session(db: Session, key: str) -> None:
    """Sign one browser out."""
    db.execute(delete(WebSession).where(WebSession.key == key))
    bump(db)


def note_seen(db: Session, keys: Collection[str], now: float) -> None:
    """These sessions are in use."""
    db.execute(update(WebSession).where(WebSession.key.in_(keys)).values(seen_at=now))


def confirm(db: Session, key: str, now: float) -> None:
    """Its user has shown again who they are."""
    db.execute(update(WebSession).where(WebSession.key == key).values(confirmed_at=now))


@dataclass(frozen=True, slots=True)
class SessionView:
    """One browser where a user is signed in, as that user sees it."""

    id: str
    browser: str
    address: str
    created_at: float
    seen_at: float


def of_user(db: Session, user: User, now: float) -> list[SessionView]:
    """Where a user is signed in, the newest first."""
    mine = select(WebSession).where(WebSession.user_id == user.id, WebSession.expires_at > now)
    idle_s = _idle_s(user.role == "admin")
    return [
        SessionView(id_of(row.key), row.browser, row.address, row.created_at, row.seen_at)
        for row in db.scalars(mine.order_by(WebSession.created_at.desc(), WebSession.key))
        if now - row.seen_at <= idle_s
    ]


def end_one(db: Session, user: User, session_id: str) -> None:
    """Sign a user out in one browser. Raises UnknownError."""
    mine = select(WebSession.key).where(WebSession.user_id == user.id)
    keys = [key for key in db.scalars(mine) if id_of(key) == session_id]
    if not keys:
        raise UnknownError("That browser is signed out already.")
    end_session(db, keys[0])


def id_of(key: str) -> str:
    """By which a user names one of their own sessions; nothing can be done with it without signing in."""
    return key[:16]


def _idle_s(is_admin: bool) -> float:
    return ADMIN_IDLE_S if is_admin else IDLE_S
