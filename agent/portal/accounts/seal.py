"""Secrets, encrypted: a copy of the database shows nobody's codes, nor where anybody is told of what.

AES-256-GCM (NIST SP 800-38D) under a key in a file of `portal.state_dir`. Each secret is bound to its user,
or to what else it is of: what is copied from one row to another is no good there.
"""

import base64
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.errors import ConfigError, PortalError
from agent.model.disk import make_private_folder, read_private, write_private
from agent.portal.store import Store
from agent.portal.tables import Revision, User

KEY_FILE = "authenticator-key"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_PREFIX = "1:"
"""Of this way of sealing, so that another one can follow."""
_MOVED = "-"
"""What stands where the secret stood: a portal of before, which still runs beside this one, takes it for an
authenticator whose codes are all wrong, and nothing for none at all."""
_MAX_NAMES = 10

log = logging.getLogger(__name__)


class SealError(PortalError):
    """A sealed secret was changed, belongs to another user, or to another key."""


class Seal:
    """The key, and what it does."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, user: User, secret: str) -> None:
        """Give a user this secret."""
        user.totp_sealed, user.totp_secret = self.close_text(secret, _bound_to(user)), _MOVED

    def open(self, user: User) -> str:
        """The user's secret. Raises SealError."""
        return self.open_text(user.totp_sealed or "", _bound_to(user), f"the authenticator of {user.name}")

    def close_text(self, secret: str, bound_to: bytes) -> str:
        """Seal a text; it opens for what it is bound to, and for nothing else."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), bound_to)
        return _PREFIX + base64.b64encode(sealed).decode()

    def open_text(self, sealed: str, bound_to: bytes, what: str) -> str:
        """The text again. Raises SealError, which says `what` it was."""
        try:
            if not sealed.startswith(_PREFIX):
                raise ValueError("no such way of sealing")  # noqa: TRY301  told below like a bad one
            data = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound_to).decode()
        except (InvalidTag, ValueError) as exc:
            raise SealError(f"{what} is not sealed by {KEY_FILE}") from exc

    def fits(self, user: User) -> bool:
        """Whether this key sealed the user's secret."""
        try:
            self.open(user)
        except SealError:
            return False
        return True


def open_seal(store: Store, folder: Path) -> Seal:
    """The key in there, made at the first call; what a portal of before left in the clear is sealed by it.

    Raises PortalError or ConfigError, also where the key is lost and authenticators need it: all their codes
    would be wrong.
    """

    def work(db: Session) -> tuple[Seal, int]:
        # The row is locked, so that of several portals that start at once one makes the key.
        db.scalars(select(Revision).with_for_update()).one()
        sealed = db.scalars(select(User).where(User.totp_sealed.is_not(None)).order_by(User.name)).all()
        seal = _load(folder, sealed)
        if sealed and not any(map(seal.fits, sealed)):
            raise PortalError(_lost(folder, "is another one than sealed the authenticators of", sealed))
        plain = db.scalars(select(User).where(User.totp_secret != _MOVED)).all()
        for user in plain:
            seal.close(user, user.totp_secret or "")
        return seal, len(plain)

    seal, moved = store.run_here(work)
    if moved:
        store.wipe_deleted()
        log.info("the secrets of %d authenticators are encrypted now, by %s", moved, folder / KEY_FILE)
    return seal


def _load(folder: Path, sealed: Sequence[User]) -> Seal:
    file = folder / KEY_FILE
    if not file.exists():
        if sealed:
            raise PortalError(_lost(folder, "is lost, and it sealed the authenticators of", sealed))
        make_private_folder(folder)
        write_private(file, base64.b64encode(AESGCM.generate_key(bit_length=8 * _KEY_BYTES)) + b"\n")
    try:
        key = base64.b64decode(read_private(file).strip(), validate=True)
    except ConfigError as exc:
        raise ConfigError(f"{file}: {exc}") from exc
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise PortalError(f"{file}: must hold {_KEY_BYTES} bytes in base64: bring it back from a copy")
    return Seal(key)


def _lost(folder: Path, what: str, users: Sequence[User]) -> str:
    names = ", ".join(user.name for user in users[:_MAX_NAMES])
    more = f" and {len(users) - _MAX_NAMES} more" if len(users) > _MAX_NAMES else ""
    return (
        f"portal.state_dir {folder}: {KEY_FILE} {what} {names}{more}: bring it back from a copy. Without "
        "one, each of them needs a new link: pinhole portal user reset-link NAME --without-code"
    )


def _bound_to(user: User) -> bytes:
    return f"totp of user {user.id}".encode()
