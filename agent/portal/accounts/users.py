"""Users, groups and grants: functions of a database session, for the portal and the command line alike."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from agent.errors import PortalError
from agent.model.ids import is_id
from agent.portal.accounts import recovery
from agent.portal.accounts.access import Access, Role, parse_role, stronger
from agent.portal.accounts.tokens import CLOCK_SLACK_S, key_of, new_token
from agent.portal.tables import (
    Grant,
    Group,
    GroupCamera,
    KnownBrowser,
    OneTimeLink,
    Passkey,
    Revision,
    User,
    WebSession,
)

LINK_LIFETIME_S = 24 * 3600.0
MAX_USERS = 10_000
MAX_GROUPS = 1_000
MAX_CAMERAS = 4096
MAX_BROWSERS = 16
"""That are known of one user."""
_LINK_IS_OVER = "This link has been used or is too old. Ask for a new one."
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}")
_GROUP = re.compile(r"[^\W_][\w .,&()+-]{0,127}")


class AccountError(PortalError):
    """What was asked for cannot be done; the message says why."""


class UnknownError(AccountError):
    """There is no such user, group or link."""


@dataclass(frozen=True, slots=True)
class GrantView:
    """One grant: for a camera or for a group."""

    role: str
    camera: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as administrators see one."""

    name: str
    role: str | None
    disabled: bool
    has_password: bool
    has_code: bool
    is_company: bool
    created_at: float
    grants: tuple[GrantView, ...]
    passkeys: int = 0


def bump(db: Session) -> None:
    """Make every portal look again at who may do what."""
    db.execute(update(Revision).values(number=Revision.number + 1))


def revision(db: Session) -> int:
    """Grows with every change of who may do what."""
    return db.scalars(select(Revision.number)).one()


def find(db: Session, name: str) -> User:
    """Raises UnknownError."""
    user = db.scalars(select(User).where(User.name == name.casefold())).one_or_none()
    if user is None:
        raise UnknownError(f"There is no user {name!r}.")
    return user


def add(db: Session, name: str, role: Role | None, now: float, password_hash: str | None = None) -> User:
    """Raises AccountError where the name is taken or cannot be one."""
    name = name.casefold()
    if not _NAME.fullmatch(name):
        raise AccountError(
            "A user name has letters, digits and . _ @ + - only, and begins with a letter or digit."
        )
    if db.scalar(select(User.id).where(User.name == name)) is not None:
        raise AccountError(f"There is a user {name!r} already.")
    if (db.scalar(select(func.count()).select_from(User)) or 0) >= MAX_USERS:
        raise AccountError(f"There are {MAX_USERS} users already.")
    user = User(name=name, role=_role(role), password_hash=password_hash, created_at=now)
    db.add(user)
    db.flush()
    return user


def set_role(db: Session, user: User, role: Role | None) -> None:
    """Change what a user may do with every camera. Raises AccountError for the last administrator."""
    if role != "admin":
        _keep_an_admin(db, user)
    user.role = _role(role)
    bump(db)


def set_disabled(db: Session, user: User, disabled: bool) -> None:
    """Shut a user out, at once, or let one in again. Raises AccountError for the last administrator."""
    if disabled:
        _keep_an_admin(db, user)
        end_sessions(db, user)
        db.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user.id))
    user.disabled = disabled
    bump(db)


def set_password(db: Session, user: User, password_hash: str, keep_session: str | None = None) -> None:
    """Store a new password; every other session of the user ends."""
    user.password_hash, user.awaits_company = password_hash, False
    db.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user.id))
    end_sessions(db, user, keep_session)


def remove_code(db: Session, user: User) -> None:
    """Let a user sign in without the authenticator, which may be lost."""
    user.totp_secret, user.totp_sealed, user.totp_step = None, None, 0
    recovery.forget(db, user)


def remove(db: Session, user: User) -> None:
    """Forget a user. Raises AccountError for the last administrator."""
    _keep_an_admin(db, user)
    db.delete(user)
    bump(db)


def end_sessions(db: Session, user: User, keep: str | None = None) -> int:
    """Sign a user out everywhere, but for one session; returns how many ended."""
    ended = db.execute(
        delete(WebSession).where(WebSession.user_id == user.id, WebSession.key != (keep or ""))
    )
    bump(db)
    return int(getattr(ended, "rowcount", 0))


def new_link(db: Session, user: User, now: float) -> str:
    """Make the token with which a user chooses a password, once, within a day; a former one is void."""
    db.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user.id))
    token = new_token()
    db.add(OneTimeLink(key=key_of(token), user_id=user.id, expires_at=now + LINK_LIFETIME_S))
    return token


def user_of_link(db: Session, token: str, now: float) -> User:
    """Raises UnknownError where the link is used, void, too old or made up."""
    link = db.get(OneTimeLink, key_of(token))
    is_good = link is not None and now < link.expires_at <= now + LINK_LIFETIME_S + CLOCK_SLACK_S
    user = db.get(User, link.user_id) if link is not None and is_good else None
    if user is None or user.disabled:
        raise UnknownError(_LINK_IS_OVER)
    return user


def take_link(db: Session, token: str, now: float) -> User:
    """As `user_of_link`, and the link is used: in one statement, so that of two at once one comes in."""
    user = user_of_link(db, token, now)
    used = delete(OneTimeLink).where(OneTimeLink.key == key_of(token)).returning(OneTimeLink.key)
    if db.scalar(used) is None:
        raise UnknownError(_LINK_IS_OVER)
    return user


def known_browser(db: Session, name: str, token: str) -> str | None:
    """Its key, where this browser's cookie says that this very user was signed in there before."""
    found = select(KnownBrowser.key).join(User, User.id == KnownBrowser.user_id)
    return db.scalar(found.where(KnownBrowser.key == key_of(token), User.name == name)) if token else None


def browser_key(db: Session, token: str) -> str | None:
    """The same, whoever was signed in there."""
    return db.scalar(select(KnownBrowser.key).where(KnownBrowser.key == key_of(token))) if token else None


def remember_browser(db: Session, user: User, now: float) -> str:
    """A new cookie's value; the oldest of many is forgotten."""
    token = new_token()
    newest = (
        select(KnownBrowser.key)
        .where(KnownBrowser.user_id == user.id)
        .order_by(KnownBrowser.created_at.desc(), KnownBrowser.key)
        .limit(MAX_BROWSERS - 1)
    )
    kept = db.scalars(newest).all()
    db.execute(delete(KnownBrowser).where(KnownBrowser.user_id == user.id, KnownBrowser.key.not_in(kept)))
    db.add(KnownBrowser(key=key_of(token), user_id=user.id, created_at=now))
    return token


def new_entry(db: Session, user: User, now: float) -> str:
    """Make the token that signs a user in, once, within a day; no password can be chosen with it."""
    token = new_token()
    db.add(OneTimeLink(key=_entry_key(token), user_id=user.id, expires_at=now + LINK_LIFETIME_S))
    return token


def take_entry(db: Session, token: str, now: float) -> User:
    """Use it up, in one statement. Raises UnknownError where it is used, too old or made up."""
    link = delete(OneTimeLink).where(OneTimeLink.key == _entry_key(token), OneTimeLink.expires_at > now)
    used = link.where(OneTimeLink.expires_at <= now + LINK_LIFETIME_S + CLOCK_SLACK_S)
    owner = db.scalar(used.returning(OneTimeLink.user_id))
    user = db.get(User, owner) if owner is not None else None
    if user is None or user.disabled:
        raise UnknownError("This link has been used or is too old. Sign in with your password.")
    return user


def _entry_key(token: str) -> str:
    return key_of(f"enter {token}")


def first_link(db: Session, now: float) -> str | None:
    """Where nobody can sign in yet: make the administrator `admin`, and a link to choose its password."""
    can_sign_in = User.password_hash.is_not(None) | User.subject.is_not(None)
    # The row is locked, so that two portals that start at once make one administrator.
    db.scalars(select(Revision).with_for_update()).one()
    if db.scalar(select(User.id).where(can_sign_in).limit(1)) is not None:
        return None
    admin = db.scalars(select(User).where(User.role == "admin", User.disabled.is_(False)).limit(1)).first()
    return new_link(db, admin or add(db, "admin", "admin", now), now)


def grant(
    db: Session, user: User, role: Role, *, camera: str | None = None, group: str | None = None
) -> None:
    """Let a user do with one camera, or with a group, what a role may; replaces a former grant for it."""
    if (camera is None) == (group is None):
        raise AccountError("A grant is for one camera or for one group.")
    if camera is not None and not is_id(camera):
        raise AccountError(f"{camera!r} is no camera's id: letters, digits, - and _ only.")
    revoke(db, user, camera=camera, group=group)
    group_id = find_group(db, group).id if group is not None else None
    db.add(Grant(user_id=user.id, role=_role(role), device=camera, group_id=group_id))
    bump(db)


def revoke(db: Session, user: User, *, camera: str | None = None, group: str | None = None) -> bool:
    """Take a grant away; False where there was none."""
    target = (
        Grant.device == camera if camera is not None else Grant.group_id == find_group(db, group or "").id
    )
    ended = db.execute(delete(Grant).where(Grant.user_id == user.id, target))
    bump(db)
    return bool(getattr(ended, "rowcount", 0))


def find_group(db: Session, name: str) -> Group:
    """Raises UnknownError."""
    group = db.scalars(select(Group).where(Group.name == name)).one_or_none()
    if group is None:
        raise UnknownError(f"There is no group {name!r}.")
    return group


def put_group(db: Session, name: str, cameras: Iterable[str]) -> None:
    """Make a group, or say anew which cameras are in it."""
    wanted = sorted(set(cameras))
    if not _GROUP.fullmatch(name):
        raise AccountError("A group's name begins with a letter or digit and has at most 128 characters.")
    if len(wanted) > MAX_CAMERAS or not all(map(is_id, wanted)):
        raise AccountError("A camera's id has letters, digits, - and _ only.")
    group = db.scalars(select(Group).where(Group.name == name)).one_or_none()
    if group is None:
        if (db.scalar(select(func.count()).select_from(Group)) or 0) >= MAX_GROUPS:
            raise AccountError(f"There are {MAX_GROUPS} groups already.")
        group = Group(name=name)
        db.add(group)
        db.flush()
    db.execute(delete(GroupCamera).where(GroupCamera.group_id == group.id))
    db.add_all(GroupCamera(group_id=group.id, device=camera) for camera in wanted)
    bump(db)


def remove_group(db: Session, name: str) -> None:
    """Forget a group, and with it what it granted."""
    db.delete(find_group(db, name))
    bump(db)


def groups(db: Session) -> dict[str, list[str]]:
    """Every group with its cameras."""
    found: dict[str, list[str]] = {name: [] for name in db.scalars(select(Group.name).order_by(Group.name))}
    rows = db.execute(
        select(Group.name, GroupCamera.device)
        .join(GroupCamera, GroupCamera.group_id == Group.id)
        .order_by(GroupCamera.device)
    )
    for name, device in rows:
        found[name].append(device)
    return found


def views(db: Session) -> list[UserView]:
    """Every user with their grants, by name."""
    grants: dict[int, list[GrantView]] = {}
    rows = db.execute(
        select(Grant.user_id, Grant.role, Grant.device, Group.name)
        .outerjoin(Group, Group.id == Grant.group_id)
        .order_by(Grant.id)
    )
    for user_id, role, device, group in rows:
        grants.setdefault(user_id, []).append(GrantView(role, device, group))
    counts = select(Passkey.user_id, func.count()).group_by(Passkey.user_id)
    passkeys: dict[int, int] = dict(db.execute(counts).all())
    return [
        UserView(
            name=user.name,
            role=user.role,
            disabled=user.disabled,
            has_password=user.password_hash is not None,
            has_code=user.totp_secret is not None,
            is_company=user.subject is not None,
            created_at=user.created_at,
            grants=tuple(grants.get(user.id, ())),
            passkeys=passkeys.get(user.id, 0),
        )
        for user in db.scalars(select(User).order_by(User.name))
    ]


def access_of(db: Session, user: User) -> Access:
    """What a user may do, now."""
    cameras: dict[str, Role] = {}
    rows = db.execute(
        select(Grant.role, Grant.device, GroupCamera.device)
        .outerjoin(GroupCamera, GroupCamera.group_id == Grant.group_id)
        .where(Grant.user_id == user.id)
    )
    for role, own, of_group in rows:
        device = own or of_group
        best = stronger(cameras.get(device), parse_role(role))
        if device is not None and best is not None:
            cameras[device] = best
    return Access(parse_role(user.role), cameras)


def _role(role: str | None) -> str | None:
    if role is not None and parse_role(role) is None:
        raise AccountError("A role is one of viewer, operator, admin.")
    return role


def _keep_an_admin(db: Session, user: User) -> None:
    if user.role != "admin" or user.disabled:
        return
    others = select(User.id).where(User.role == "admin", User.disabled.is_(False), User.id != user.id)
    if db.scalar(others.limit(1)) is None:
        raise AccountError(f"{user.name} is the only administrator: make another one first.")
