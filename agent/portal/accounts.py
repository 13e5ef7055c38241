"""Who may come in: one shared password for now, behind the seam where accounts will stand."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Protocol

from agent.config import read_secret
from agent.errors import PortalError

SESSION_LIFETIME_S = 30 * 86400
MAX_PASSWORD_CHARS = 256
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without 0 o 1 l i, which people mix up
_SHARED_USER = "viewer"


class Accounts(Protocol):
    """Turns a password into a session token, and a token into a user. `now` is Unix time in seconds."""

    def sign_in(self, password: str, now: float) -> str | None:
        """Return a new token, or None where the password is wrong."""

    def user_of(self, token: str, now: float) -> str | None:
        """Whose token this is, or None where it is forged, damaged or expired."""


class SharedPassword:
    """Everybody who knows the password is the same user.

    A token is `expiry.user.mac` with HMAC-SHA256 (RFC 2104). The key comes from the password alone: portals
    that share the password file accept each other's tokens, and a changed password signs everybody out.
    """

    def __init__(self, password: str) -> None:
        # scrypt (RFC 7914) makes guessing the password from a stolen token slow.
        self._key = hashlib.scrypt(
            password.encode(), salt=b"pinhole portal session 1", n=2**14, r=8, p=1, dklen=32
        )
        self._digest = _digest(password)

    def sign_in(self, password: str, now: float) -> str | None:
        if not hmac.compare_digest(self._digest, _digest(password)):
            return None
        claim = f"{int(now) + SESSION_LIFETIME_S}.{_SHARED_USER}"
        return f"{claim}.{self._mac(claim)}"

    def user_of(self, token: str, now: float) -> str | None:
        claim, _, mac = token.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(self._mac(claim), mac):
            return None
        expires_at, _, user = claim.partition(".")
        return user if now < int(expires_at) else None

    def _mac(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode(), hashlib.sha256).hexdigest()


def load_or_make_password(path: Path) -> str:
    """Read the shared password; where there is no file, make one with mode 0600.

    Raises ConfigError or PortalError where the file cannot be used.
    """
    try:
        if not path.exists():
            _write_once(path, _new_password())
    except OSError as exc:
        raise PortalError(f"portal.password_file {path}: cannot make it: {exc.strerror}") from exc
    password = read_secret(path).strip()
    if not 1 <= len(password) <= MAX_PASSWORD_CHARS or not password.isprintable():
        raise PortalError(
            f"portal.password_file {path}: must hold one line of 1 to {MAX_PASSWORD_CHARS} characters"
            " (delete the file to have a password made)"
        )
    return password


def _new_password() -> str:
    """16 characters in four groups: 79 bits, easy to read out and to type."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def _write_once(path: Path, password: str) -> None:
    """Write in full or not at all; where another portal was faster, its file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(password + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(part)
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)


def _digest(password: str) -> bytes:
    # Hashed first, so that the comparison takes the same time for every length.
    return hashlib.sha256(password.encode()).digest()
