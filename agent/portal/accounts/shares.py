"""Links with which anybody may watch one camera for a while, without an account."""

import re
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.portal.accounts.access import Access
from agent.portal.accounts.tokens import key_of, new_token
from agent.portal.accounts.users import AccountError, UnknownError, bump
from agent.portal.tables import NAME_CHARS, Share

MAX_LIFETIME_S = 90 * 86400.0
MAX_SHARES = 1000
MAX_LABEL_CHARS = NAME_CHARS - 10
"""With `link:` before it and a number after it, it is a name in the audit log."""


@dataclass(frozen=True, slots=True)
class ShareView:
    """A link as those see it who may revoke it; its token was shown once."""

    id: int
    device: str
    label: str
    made_by: str
    created_at: float
    expires_at: float
    opened: int


def make(
    db: Session, device: str, label: str, made_by: str, lifetime_s: float, now: float
) -> tuple[str, ShareView]:
    """Make a link; returns its token, which nobody can read again.

    Two for one person are told apart by a number: a camera shares its places out by this name.
    """
    label = re.sub(r"\s+", " ", label).strip()
    if not 1 <= len(label) <= MAX_LABEL_CHARS or not label.isprintable():
        raise AccountError("Say in a few words whom the link is for.")
    if not 60 <= lifetime_s <= MAX_LIFETIME_S:
        raise AccountError("A link is good for one minute to 90 days.")
    db.execute(delete(Share).where(Share.expires_at <= now))
    if (db.scalar(select(func.count()).select_from(Share)) or 0) >= MAX_SHARES:
        raise AccountError(f"There are {MAX_SHARES} links already: revoke some.")
    taken = set(db.scalars(select(Share.label)))
    alike = (f"{label} {number}" for number in range(2, MAX_SHARES + 2))
    label = next(one for one in chain([label], alike) if one not in taken)
    token = new_token()
    share = Share(
        key=key_of(token),
        device=device,
        label=label,
        made_by=made_by,
        created_at=now,
        expires_at=now + lifetime_s,
        opened=0,
    )
    db.add(share)
    db.flush()
    return token, _view(share)


def opened(db: Session, token: str, now: float) -> Share:
    """The link that somebody opens. Raises UnknownError where it is revoked, too old or made up."""
    share = db.scalars(select(Share).where(Share.key == key_of(token), Share.expires_at > now)).one_or_none()
    if share is None:
        raise UnknownError("This link has expired or was revoked. Ask who sent it for a new one.")
    share.opened = Share.opened + 1  # counted by the database, whoever opens it at the same time
    return share


def views(db: Session, access: Access, now: float) -> list[ShareView]:
    """The links of the cameras that somebody operates, newest first."""
    found = db.scalars(select(Share).where(Share.expires_at > now).order_by(Share.id.desc())).all()
    return [_view(share) for share in found if access.may(share.device, "control")]


def revoke(db: Session, share_id: int, access: Access) -> ShareView:
    """Make a link void, at once. Raises UnknownError, also for cameras that this user does not operate."""
    share = db.get(Share, share_id)
    if share is None or not access.may(share.device, "control"):
        raise UnknownError("There is no such link.")
    db.delete(share)
    bump(db)
    return _view(share)


def _view(share: Share) -> ShareView:
    return ShareView(
        share.id, share.device, share.label, share.made_by, share.created_at, share.expires_at, share.opened
    )
