"""Second factors: which there are, and that who must have one keeps it."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from agent.portal.accounts.access import CodeRule
from agent.portal.accounts.users import AccountError, access_of
from agent.portal.tables import User, WebSession


def has_factor(user: User) -> bool:
    """Whether there is more than a password."""
    return user.totp_secret is not None


def gain_factor(db: Session, session: str) -> None:
    """Whoever is signed in there has just shown a second factor."""
    db.execute(update(WebSession).where(WebSession.key == session).values(has_factor=True))


def check_kept(db: Session, user: User, rule: CodeRule) -> None:
    """Refuse what took the last factor of somebody who must have one. Raises AccountError.

    Who has no password signs in at the company alone, which answers for it.
    """
    is_bound = user.password_hash is not None and access_of(db, user).must_have_factor(rule)
    if is_bound and not has_factor(user):
        raise AccountError(
            "Your role asks for a second factor, and this is your only one: set another up in its place."
        )
