"""The tables of accounts. Times are Unix seconds; others' secrets are stored hashed."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from agent.portal.store import Table

NAME_CHARS = 128
DEVICE_CHARS = 64
KEY_CHARS = 64
"""SHA-256 of a random token, in hex."""


def _owner(target: str, *, optional: bool = False, primary: bool = False) -> Mapped[int]:
    """A row that goes with the one it belongs to."""
    return mapped_column(
        ForeignKey(target, ondelete="CASCADE"), nullable=optional, primary_key=primary, index=not primary
    )


class User(Table):
    """Somebody who signs in."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARS), unique=True)
    """In lower case, so that nobody can pose as `Admin`."""
    role: Mapped[str | None] = mapped_column(String(16))
    """What the user may do with every camera: viewer, operator, admin; None where grants decide alone."""
    password_hash: Mapped[str | None] = mapped_column(String(256))
    totp_secret: Mapped[str | None] = mapped_column(String(64))
    """Only whether there is one: the secret itself is in `totp_sealed`."""
    totp_sealed: Mapped[str | None] = mapped_column(String(160))
    """The authenticator's secret, encrypted: see `accounts/seal.py`."""
    totp_step: Mapped[int] = mapped_column(Integer, default=0)
    """The newest time step whose code was used: each works once (RFC 6238 section 5.2)."""
    issuer: Mapped[str | None] = mapped_column(String(256))
    subject: Mapped[str | None] = mapped_column(String(256))
    """Who this is at the company's OpenID provider."""
    awaits_company: Mapped[bool] = mapped_column(default=False)
    """Added for whoever has this name at the provider; nobody else's account is taken over by a name."""
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[float] = mapped_column(Float)

    __table_args__ = (UniqueConstraint("issuer", "subject"),)


class Group(Table):
    """Cameras that are granted together."""

    __tablename__ = "camera_groups"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARS), unique=True)


class GroupCamera(Table):
    """A camera in a group."""

    __tablename__ = "group_cameras"

    group_id: Mapped[int] = _owner("camera_groups.id", primary=True)
    device: Mapped[str] = mapped_column(String(DEVICE_CHARS), primary_key=True)


class Grant(Table):
    """What a user may do with one camera, or with each camera of one group."""

    __tablename__ = "grants"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _owner("users.id")
    role: Mapped[str] = mapped_column(String(16))
    device: Mapped[str | None] = mapped_column(String(DEVICE_CHARS))
    group_id: Mapped[int | None] = _owner("camera_groups.id", optional=True)

    __table_args__ = (
        UniqueConstraint("user_id", "device"),
        UniqueConstraint("user_id", "group_id"),
        CheckConstraint("(device IS NULL) <> (group_id IS NULL)", name="one_target"),
    )


class Share(Table):
    """A link with which anybody may watch one camera for a while."""

    __tablename__ = "shares"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_CHARS), unique=True)
    device: Mapped[str] = mapped_column(String(DEVICE_CHARS))
    label: Mapped[str] = mapped_column(String(NAME_CHARS))
    made_by: Mapped[str] = mapped_column(String(NAME_CHARS))
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float)
    opened: Mapped[int] = mapped_column(Integer, default=0)
    """How many browsers opened it."""


class WebSession(Table):
    """A signed-in browser, or one that opened a share link. It ends when its row goes."""

    __tablename__ = "web_sessions"

    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    user_id: Mapped[int | None] = _owner("users.id", optional=True)
    share_id: Mapped[int | None] = _owner("shares.id", optional=True)
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float)
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(200))
    seen_at: Mapped[float] = mapped_column(Float)
    """Of its last request or WebSocket, up to five minutes late."""
    confirmed_at: Mapped[float] = mapped_column(Float)
    """When its user last showed who they are."""
    has_factor: Mapped[bool] = mapped_column(default=False)
    """It was begun, or continued, with more than a password."""

    __table_args__ = (CheckConstraint("(user_id IS NULL) <> (share_id IS NULL)", name="one_owner"),)


class KnownBrowser(Table):
    """A browser where a user was signed in once: its wrong passwords count apart from everybody else's."""

    __tablename__ = "known_browsers"

    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    user_id: Mapped[int] = _owner("users.id")
    created_at: Mapped[float] = mapped_column(Float)


class RecoveryCode(Table):
    """Stands once for a user's authenticator, which may be lost."""

    __tablename__ = "recovery_codes"

    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    user_id: Mapped[int] = _owner("users.id")


class Passkey(Table):
    """A public key whose private half a user's phone, computer or security key holds."""

    __tablename__ = "passkeys"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _owner("users.id")
    name: Mapped[str] = mapped_column(String(64))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(1024))
    """In COSE, RFC 9052 section 7."""
    sign_count: Mapped[int] = mapped_column(BigInteger)
    """The authenticator's own count of signatures at the last one; many always say 0."""
    transports: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(Float)
    used_at: Mapped[float | None] = mapped_column(Float)


class PasskeyChallenge(Table):
    """What a passkey was asked to sign and has not signed yet."""

    __tablename__ = "passkey_challenges"

    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(96), index=True)
    """Who asked for it: a session, a known browser, or an address."""
    expires_at: Mapped[float] = mapped_column(Float, index=True)


class OneTimeLink(Table):
    """Lets a user choose a new password, once."""

    __tablename__ = "one_time_links"

    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    user_id: Mapped[int] = _owner("users.id")
    expires_at: Mapped[float] = mapped_column(Float)


class CompanySignIn(Table):
    """A browser that was sent to the company's provider and has not come back yet."""

    __tablename__ = "company_sign_ins"

    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    """Hash of `state`."""
    browser: Mapped[str] = mapped_column(String(KEY_CHARS))
    """Hash of the cookie of the browser that left: nobody else may come back in its place."""
    nonce: Mapped[str] = mapped_column(String(64))
    verifier: Mapped[str] = mapped_column(String(128))
    """PKCE's code_verifier (RFC 7636)."""
    expires_at: Mapped[float] = mapped_column(Float)


class Attempt(Table):
    """Wrong passwords of late, by user name or by address."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_at: Mapped[float] = mapped_column(Float, index=True)


class AuditEntry(Table):
    """Who did what, when and from where."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float] = mapped_column(Float, index=True)
    actor: Mapped[str] = mapped_column(String(NAME_CHARS), index=True)
    action: Mapped[str] = mapped_column(String(32))
    device: Mapped[str] = mapped_column(String(DEVICE_CHARS), index=True)
    """Empty where it concerns no camera."""
    address: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(String(400))
    previous: Mapped[str | None] = mapped_column(String(KEY_CHARS))
    """The hash of the entry before; None in entries from before there was a chain."""
    hash: Mapped[str | None] = mapped_column(String(KEY_CHARS))


class AuditChain(Table):
    """One row: both ends of the audit log's chain."""

    __tablename__ = "audit_chain"

    id: Mapped[int] = mapped_column(primary_key=True)
    head: Mapped[str] = mapped_column(String(KEY_CHARS))
    """The newest entry's hash."""
    anchor: Mapped[str] = mapped_column(String(KEY_CHARS))
    """What the oldest entry that is kept has before it."""
    anchor_id: Mapped[int] = mapped_column(Integer)
    """Entries up to this one are not in the chain, or were forgotten."""
    since: Mapped[float] = mapped_column(Float)
    """Entries up to this time may be missing."""


class Revision(Table):
    """One row: a number that grows with every change of who may do what, so that all portals look again."""

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
