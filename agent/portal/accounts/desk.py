"""What the command line does with accounts, cameras and keys.

Each act is one transaction with its entries in the audit log's table; then they are in the log's file too.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol, Self, TypeVar

from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from agent.config import PortalSettings
from agent.portal import names
from agent.portal.accounts import ledger, passkeys, users
from agent.portal.accounts.access import Role, parse_role
from agent.portal.accounts.audit_file import add_lines, read_links
from agent.portal.accounts.chain import DETAIL_CHARS, GENESIS, Entry, faults
from agent.portal.accounts.passkeys import PasskeyView
from agent.portal.accounts.passwords import STRONG, check_new
from agent.portal.accounts.strength import words_of
from agent.portal.accounts.users import AccountError, UserView
from agent.portal.claims import known_cameras, make_claim, revoke
from agent.portal.store import Store, open_store
from agent.portal.tables import User

T = TypeVar("T")
ACTOR = "command line"

log = logging.getLogger(__name__)


class Note(Protocol):
    """Has the audit log say what was done."""

    def __call__(self, action: str, device: str = "", detail: str = "") -> None: ...


class SigningKey(Protocol):
    """A key by its id."""

    @property
    def kid(self) -> str: ...


class SigningKeys(Protocol):
    """The portal's signing keys."""

    def rotate(self) -> SigningKey:
        """Make a new one."""

    def retire(self, kid: str) -> None:
        """Let one count no more."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a look at the whole audit log found."""

    entries: int
    lines: int
    faults: list[str]


class Desk:
    """Blocks. Every method raises AccountError where it cannot be done."""

    def __init__(
        self,
        store: Store,
        hasher: PasswordHasher = STRONG,
        site_words: Collection[str] = (),
        audit_file: Path | None = None,
    ) -> None:
        """Without `audit_file` the audit log has its table alone."""
        self._store = store
        self._hasher = hasher
        self._site_words = site_words
        self._audit_file = audit_file

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: PortalSettings) -> Iterator[Self]:
        """The accounts of these settings. Raises StoreError."""
        store = open_store(settings)
        try:
            yield cls(store, site_words=words_of(settings.public_url or ""), audit_file=settings.audit_file)
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

        def work(db: Session, note: Note) -> str | None:
            user = users.add(db, name, _role(role), time.time(), stored)
            for camera in cameras:
                users.grant(db, user, "viewer", camera=camera)
            for group in groups:
                users.grant(db, user, "viewer", group=group)
            user.awaits_company = company
            note("user-added", detail=f"{user.name} {role or ''}")
            return None if stored or company else users.new_link(db, user, time.time())

        return self._act(work)

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

        def work(db: Session, note: Note) -> None:
            users.put_group(db, name, wanted)
            note("group-set", detail=f"{name}: {', '.join(wanted)}")

        self._act(work)

    def remove_group(self, name: str) -> None:
        """Forget a group, and with it what it granted."""

        def work(db: Session, note: Note) -> None:
            users.remove_group(db, name)
            note("group-removed", detail=name)

        self._act(work)

    def rename_camera(self, device: str, name: str) -> str:
        """Call a camera so; returns the name as it is kept. Raises PortalError."""
        kept = names.check_name(name)

        def work(db: Session, note: Note) -> str:
            note("renamed", device, f"{names.rename(db, device, name)} is now {kept}")
            return kept

        return self._act(work)

    def make_claims(
        self, devices: Sequence[str | None], *, lifetime_s: float, name: str | None = None
    ) -> list[str]:
        """A claim code for each camera, None for any."""

        def work(db: Session, note: Note) -> list[str]:
            now, codes = time.time(), []
            for one in devices:
                codes.append(make_claim(db, one, by=ACTOR, now=now, lifetime_s=lifetime_s, name=name))
                note("claim-made", one or "", name or "")
            return codes

        return self._act(work)

    def revoke_camera(self, device: str) -> None:
        """Shut a camera out. Raises PortalError."""

        def work(db: Session, note: Note) -> None:
            revoke(db, device, time.time())
            note("revoked", device)

        self._act(work)

    def rotate_key(self, keys: SigningKeys) -> str:
        """Have the portal sign with a new key; its id. Raises ConfigError."""

        def work(_db: Session, note: Note) -> str:
            kid = keys.rotate().kid
            note("key-made", detail=kid)
            return kid

        return self._act(work)

    def retire_key(self, keys: SigningKeys, kid: str) -> None:
        """Let a signing key count no more. Raises ConfigError."""

        def work(_db: Session, note: Note) -> None:
            keys.retire(kid)
            note("key-retired", detail=kid)

        self._act(work)

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
        def run(db: Session, note: Note) -> T:
            result = work(db, users.find(db, name))
            note("user-changed", detail=f"{name} {words}")
            return result

        return self._act(run)

    def _act(self, work: Callable[[Session, Note], T]) -> T:
        """Do it, with what it notes, or not at all."""
        entries: list[Entry] = []

        def note(action: str, device: str = "", detail: str = "") -> None:
            entries.append(Entry(time.time(), ACTOR, action, device, detail=detail[:DETAIL_CHARS]))

        def run(db: Session) -> T:
            result = work(db, note)
            ledger.append(db, entries)
            return result

        result = self._store.run_here(run)
        if self._audit_file and (fault := add_lines(self._audit_file, entries)):
            log.warning("%s: entries are in the table alone: %s", self._audit_file, fault)
        return result


def _role(text: str | None) -> Role | None:
    role = parse_role(text)
    if text is not None and role is None:
        raise AccountError(f"{text!r} is no role: viewer, operator or admin.")
    return role
