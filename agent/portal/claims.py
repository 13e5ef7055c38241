"""How a device becomes known: a claim code that works once, then its certificate, again and again."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Float, String, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.errors import PortalError
from agent.portal.authority import Authority
from agent.portal.registry import Device, TakenError, add_device, count_up, revoke_device
from agent.portal.store import Table
from agent.portal.tables import DEVICE_CHARS, KEY_CHARS, NAME_CHARS

CODE_CHARS = 20
_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Without 0 O 1 L I, which people mix up; 20 of them are 99 bits."""
RENEW_SHARE = 1 / 3
"""A certificate is replaced when this share of its life is left."""
KEEP_S = 30 * 86400.0
"""Claim codes that are over are forgotten after this."""


class ClaimError(PortalError):
    """A device is not let in; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Claim(Table):
    """One code; the code itself is stored nowhere."""

    __tablename__ = "claims"

    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    """SHA-256 of the code, in hex."""
    device: Mapped[str | None] = mapped_column(String(DEVICE_CHARS))
    """The one device that may use it, also in place of an older key; None for any new one."""
    made_by: Mapped[str] = mapped_column(String(NAME_CHARS))
    expires_at: Mapped[float] = mapped_column(Float)
    used_by: Mapped[str | None] = mapped_column(String(DEVICE_CHARS))
    name: Mapped[str | None] = mapped_column(String(NAME_CHARS))
    """What the camera will be called; None leaves that to the camera, once."""


class DeviceCertificate(Table):
    """One that a device got."""

    __tablename__ = "device_certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)
    """In hex."""
    device: Mapped[str] = mapped_column(String(DEVICE_CHARS), index=True)
    public_key: Mapped[bytes] = mapped_column()
    pem: Mapped[bytes] = mapped_column()
    issued_at: Mapped[float] = mapped_column(Float)
    not_after: Mapped[float] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a device gets."""

    device: str
    certificate: bytes
    not_after: float
    is_new: bool
    by: str
    """Who made its claim code."""


def make_claim(
    db: Session, device: str | None, *, by: str, now: float, lifetime_s: float, name: str | None = None
) -> str:
    """A new code, as people read it: `ABCDE-FGHJK-MNPQR-STUVW`."""
    db.execute(delete(Claim).where(Claim.expires_at < now - KEEP_S))
    code = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_CHARS))
    db.add(Claim(key=_key(code), device=device, made_by=by, expires_at=now + lifetime_s, name=name))
    return "-".join(code[i : i + 5] for i in range(0, CODE_CHARS, 5))


def known_cameras(db: Session) -> set[str]:
    """Every name that was enrolled, or that a claim code was made for."""
    claimed = select(Claim.device).where(Claim.device.is_not(None))
    return {*db.scalars(select(Device.id)), *(name for name in db.scalars(claimed) if name)}


def enroll(
    db: Session, authority: Authority, device: str, public_key: bytes, code: str | None, now: float
) -> Enrolled:
    """Let a device in by its code, or give one that is in a certificate that is fresh enough.

    The same request may come again: what it got before it gets again. Raises ClaimError.
    """
    known = db.get(Device, device)
    is_known = known is not None and known.public_key == public_key and known.revoked_at is None
    by = known.enrolled_by if known and is_known else _use_code(db, device, public_key, code, now)
    newest = db.scalars(
        select(DeviceCertificate)
        .where(
            DeviceCertificate.device == device,
            DeviceCertificate.public_key == public_key,
            DeviceCertificate.revoked_at.is_(None),
        )
        .order_by(DeviceCertificate.issued_at.desc())
        .limit(1)
    ).first()
    if newest is None or newest.not_after - now < (newest.not_after - newest.issued_at) * RENEW_SHARE:
        made = authority.issue_device(device, public_key)
        newest = DeviceCertificate(
            serial=f"{made.serial:x}",
            device=device,
            public_key=public_key,
            pem=made.pem,
            issued_at=now,
            not_after=made.not_after,
        )
        db.add(newest)
    return Enrolled(device, newest.pem, newest.not_after, is_new=not is_known, by=by)


def revoke(db: Session, device: str, now: float) -> None:
    """Its key and all its certificates count no more. Raises PortalError where there is none of this name."""
    revoke_device(db, device, now)
    _revoke_certificates(db, device, now)


def revoked_serials(db: Session, now: float, kept_out: Collection[str] = ()) -> list[int]:
    """Of certificates that would still be valid; with all of those devices that are kept out for now."""
    rows = select(DeviceCertificate.serial).where(
        or_(DeviceCertificate.revoked_at.is_not(None), DeviceCertificate.device.in_(kept_out)),
        DeviceCertificate.not_after > now,
    )
    return [int(serial, 16) for serial in db.scalars(rows)]


def has_certificates(db: Session) -> bool:
    """Whether cameras that may come in hold certificates of our authority."""
    held = select(DeviceCertificate.serial).where(DeviceCertificate.revoked_at.is_(None)).limit(1)
    return db.scalar(held) is not None


def _use_code(db: Session, device: str, public_key: bytes, code: str | None, now: float) -> str:
    claim = db.get(Claim, _key(code)) if code else None
    if claim is None or claim.used_by is not None or claim.expires_at < now:
        why = "is unknown, expired or used: make a new one: pinhole portal claim" if code else "is needed"
        raise ClaimError("bad-code", f"the claim code {why}")
    if claim.device not in (None, device):
        raise ClaimError(
            "other-device", f"the claim code is not for {device}: set device.id, or make another"
        )
    try:
        with db.begin_nested():  # a code that is refused is not used up
            _take(db, claim.key, device)
            add_device(
                db,
                device,
                public_key,
                by=claim.made_by,
                now=now,
                replace=claim.device is not None,
                name=claim.name,
            )
    except ClaimError:
        raise
    except PortalError as exc:
        raise ClaimError("taken" if isinstance(exc, TakenError) else "bad-name", str(exc)) from exc
    except IntegrityError as exc:  # PostgreSQL lets two look at once, and one write
        raise ClaimError(
            "taken", f"another camera is being enrolled as {device}: choose another device.id, or try again"
        ) from exc
    _revoke_certificates(db, device, now)  # of a key that was replaced
    return claim.made_by


def _take(db: Session, key: str, device: str) -> None:
    """One statement: of two that ask at once, the second finds it used (PostgreSQL reads without a lock)."""
    unused = update(Claim).where(Claim.key == key, Claim.used_by.is_(None)).values(used_by=device)
    if db.scalar(unused.returning(Claim.key)) is None:
        raise ClaimError("bad-code", "the claim code is used: make a new one: pinhole portal claim")


def _revoke_certificates(db: Session, device: str, now: float) -> None:
    db.execute(
        update(DeviceCertificate)
        .where(DeviceCertificate.device == device, DeviceCertificate.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    count_up(db)


def _key(code: str) -> str:
    """People type codes: case, spaces and dashes do not matter."""
    plain = "".join(char for char in code.upper() if char.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
