"""What the command line does with accounts; each act is one transaction, and in the audit log's table."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Self, TypeVar

from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from agent.config import PortalSettings
from agent.portal import names
from agent.portal.accounts import ledger, passkeys, users
from agent.portal.accounts.access import Role, parse_role
from agent.portal.accounts.audit_file import read_links
from agent.portal.accounts.chain import GENESIS, Entry, faults
from agent.portal.accounts.passkeys import PasskeyView
from agent.portal.accounts.passwords import STRONG, check_new
from agent.portal.accounts.strength import words_of
from agent.portal.accounts.users import AccountError, UserView
from agent.portal.claims import known_cameras, make_claim, revoke
from agent.portal.store import Store, open_store
from agent.portal.tables import User

T = TypeVar("T")
ACTOR = "command line"


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a look at the whole audit log found."""

    entries: int
    lines: int
    faults: list[str]


class Desk:
    """Blocks. Every method raises AccountError where it cannot be done."""

    def __init__(
        self, store: Store, hasher: PasswordHasher = STRONG, site_words: Collection[str] = ()
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._site_words = site_words

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: PortalSettings) -> Iterator[Self]:
        """The accounts of these settings. Raises StoreError."""
        store = open_store(settings)
        try:
            yield cls(store, site_words=words_of(settings.public_url or ""))
        finally:
            store.close()

    def add_user(
        self,
        name: str,
        role: str | None,
        *,
        cameras: Iterable[str] = (),
        groups: Iterable[str] = (),
        password: str | None = None,
        company: bool = False,
    ) -> str | None:
        """Add a user who watches these cameras and groups.

        Returns the token of a one-time link, where they neither have a password nor a company account.
        """
        stored = self._hash(name, password) if password is not None else None

        def work(db: Session) -> str | None:
            user = users.add(db, name, _role(role), time.time(), stored)
            for camera in cameras:
                users.grant(db, user, "viewer", camera=camera)
            for group in groups:
                users.grant(db, user, "viewer", group=group)
            user.awaits_company = company
            _note(db, "user-added", f"{user.name} {role or ''}")
            return None if stored or company else users.new_link(db, user, time.time())

        return self._store.run_here(work)

    def users(self) -> list[UserView]:
        """Every user."""
        return self._store.run_here(users.views)

    def set_password(self, name: str, password: str) -> None:
        """Set a password; the user is signed out everywhere."""
        stored = self._hash(name, password)
        self._change(name, "password", lambda db, user: users.set_password(db, user, stored))

    def set_role(self, name: str, role: str) -> None:
        """What a user may do with every camera; `none` leaves what is granted."""
        wanted = None if role == "none" else _role(role)
        self._change(name, f"role {role}", lambda db, user: users.set_role(db, user, wanted))

    def grant(self, name: str, role: str, *, camera: str | None, group: str | None) -> None:
        """Let a user do with one camera or group what a role may."""
        wanted = _role(role)
        assert wanted is not None
        self._change(
            name,
            f"grant {role} of {camera or group}",
            lambda db, user: users.grant(db, user, wanted, camera=camera, group=group),
        )

    def revoke(self, name: str, *, camera: str | None, group: str | None) -> None:
        """Take a grant away."""

        def work(db: Session, user: User) -> None:
            if not users.revoke(db, user, camera=camera, group=group):
                raise AccountError(f"{user.name} has no grant for {camera or group}.")

        self._change(name, f"revoke {camera or group}", work)

    def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Shut a user out, or let one in again."""
        words = "disabled" if disabled else "enabled"
        self._change(name, words, lambda db, user: users.set_disabled(db, user, disabled))

    def remove(self, name: str) -> None:
        """Forget a user."""
        self._change(name, "removed", users.remove)

    def entry_link(self, name: str) -> str:
        """The token of a link that signs this user in, once."""
        return self._change(name, "sign-in link", lambda db, user: users.new_entry(db, user, time.time()))

    def reset_link(self, name: str, *, without_code: bool) -> str:
        """The token of a link for a new password."""

        def work(db: Session, user: User) -> str:
            if without_code:
                users.remove_code(db, user)
            return users.new_link(db, user, time.time())

        return self._change(name, f"reset link{', without code' if without_code else ''}", work)

    def passkeys(self, name: str) -> list[PasskeyView]:
        """A user's passkeys."""
        return self._store.run_here(lambda db: passkeys.of_user(db, users.find(db, name)))

    def remove_passkey(self, name: str, passkey_id: int) -> str:
        """Forget one passkey, and sign its user out everywhere; returns what it was called."""

        def work(db: Session, user: User) -> str:
            users.end_sessions(db, user)
            return passkeys.remove(db, user, passkey_id)

        return self._change(name, f"passkey {passkey_id} removed", work)

    def remove_passkeys(self, name: str) -> int:
        """Forget all of a user's passkeys; returns how many there were."""
        return self._change(name, "passkeys removed", passkeys.remove_all)

    def check_cameras(self, names: Iterable[str]) -> None:
        """Raises AccountError that names each camera that is neither enrolled nor claimed by its name."""
        known = self._store.run_here(known_cameras)
        unknown = sorted(set(names) - known)
        if not unknown:
            return
        near = [found[0] for name in unknown if (found := get_close_matches(name, known, 1))]
        hint = f": did you mean {near[0]}?" if near else "."
        listed = ", ".join(sorted(known)[:20]) or "none"
        raise AccountError(
            f"There is no camera {', '.join(unknown)}{hint} There are: {listed}. "
            "For one that is still to come, make its claim code first: pinhole portal claim --device ID"
        )

    def groups(self) -> dict[str, list[str]]:
        """Every group with its cameras."""
        return self._store.run_here(users.groups)

    def put_group(self, name: str, cameras: Iterable[str]) -> None:
        """Make a group, or say anew which cameras are in it."""
        wanted = tuple(cameras)

        def work(db: Session) -> None:
            users.put_group(db, name, wanted)
            _note(db, "group-set", f"{name}: {', '.join(wanted)}")

        self._store.run_here(work)

    def remove_group(self, name: str) -> None:
        """Forget a group, and with it what it granted."""

        def work(db: Session) -> None:
            users.remove_group(db, name)
            _note(db, "group-removed", name)

        self._store.run_here(work)

    def verify_audit(self, file: Path) -> AuditReport:
        """Whether the audit log's table and this file hold together. Raises AccountError."""
        try:
            links = list(read_links(file))
        except OSError as exc:
            raise AccountError(f"portal.audit_file {file}: {exc.strerror}") from exc
        begins = links[0].previous if links else GENESIS

        def work(db: Session) -> AuditReport:
            count, found = ledger.verify(db)
            found += faults(links, begins)
            return AuditReport(count, len(links), found + ledger.missing(db, links, time.time()))

        return self._store.run_here(work)

    def _hash(self, name: str, password: str) -> str:
        check_new(password, name, self._site_words)
        return self._hasher.hash(password)

    def _change(self, name: str, words: str, work: Callable[[Session, User], T]) -> T:
        def run(db: Session) -> T:
            result = work(db, users.find(db, name))
            _note(db, "user-changed", f"{name} {words}")
            return result

        return self._store.run_here(run)


def rename_camera(db: Session, device: str, name: str) -> str:
    """Call a camera so, and say so in the audit log; returns the name as it is kept. Raises PortalError."""
    former, kept = names.rename(db, device, name), names.check_name(name)
    ledger.append(db, [Entry(time.time(), ACTOR, "renamed", device, detail=f"{former} is now {kept}")])
    return kept


def make_claims(
    db: Session, devices: Sequence[str | None], *, lifetime_s: float, name: str | None = None
) -> list[str]:
    """A claim code for each camera, None for any, and say so in the audit log."""
    now = time.time()
    codes = [make_claim(db, one, by=ACTOR, now=now, lifetime_s=lifetime_s, name=name) for one in devices]
    ledger.append(db, [Entry(now, ACTOR, "claim-made", one or "", detail=name or "") for one in devices])
    return codes


def revoke_camera(db: Session, device: str) -> None:
    """Shut a camera out, and say so in the audit log. Raises PortalError."""
    now = time.time()
    revoke(db, device, now)
    ledger.append(db, [Entry(now, ACTOR, "revoked", device)])


def _role(text: str | None) -> Role | None:
    role = parse_role(text)
    if text is not None and role is None:
        raise AccountError(f"{text!r} is no role: viewer, operator or admin.")
    return role


def _note(db: Session, action: str, detail: str) -> None:
    ledger.append(db, [Entry(time.time(), ACTOR, action, detail=detail[:400])])
