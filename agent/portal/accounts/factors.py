"""Second factors: which there are, and that who must have one keeps it."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from agent.portal.accounts.access import CodeRule, Identity
from agent.portal.accounts.users import AccountError, access_of
from agent.portal.tables import Passkey, User, WebSession


def has_factor(user: User) -> bool:
    """Whether a password alone does not let this user in."""
    return user.totp_secret is not None


def owns_factor(db: Session, user: User) -> bool:
    """Whether there is more than a password: an authenticator, or a passkey, which counts as both factors."""
    passkey = select(Passkey.id).where(Passkey.user_id == user.id).limit(1)
    return has_factor(user) or db.scalar(passkey) is not None


def check_shown(db: Session, user: User, who: Identity) -> None:
    """Raises AccountError where somebody has shown less than the role asks for, and has more to show.

    Else a stolen password would be enough to set up a second factor beside the one that was not stolen.
    """
    if who.needs_factor and owns_factor(db, user):
        raise AccountError("You have a second factor: sign in with it before you change any.")


def gain_factor(db: Session, session: str) -> None:
    """Whoever is signed in there has just shown a second factor."""
    db.execute(update(WebSession).where(WebSession.key == session).values(has_factor=True))


def check_kept(db: Session, user: User, rule: CodeRule) -> None:
    """Refuse what took the last factor of somebody who must have one. Raises AccountError.

    Who has no password signs in at the company alone, which answers for it.
    """
    is_bound = user.password_hash is not None and access_of(db, user).must_have_factor(rule)
    if is_bound and not owns_factor(db, user):
        raise AccountError(
            "Your role asks for a second factor, and this is your only one: set another up in its place."
        )
