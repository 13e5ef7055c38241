"""The devices that the portal knows: who was enrolled with which key, and who was revoked.

A revoked device is forgotten by nobody: its name stays taken until a claim code is made for it by name.
"""

from sqlalchemy import Float, Integer, Select, String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.errors import PortalError
from agent.model.ids import is_id
from agent.portal.store import Store, Table
from agent.portal.tables import DEVICE_CHARS

RESERVED = ("keys", "portal")
"""What no new device may be called, or begin with and a dash: a level of our topics that is no device, and
what may be taken for a portal, whose client ids began with `pinhole-portal-` once."""


class TakenError(PortalError):
    """There is a camera of this name already."""


class Device(Table):
    """One camera, by the key that it made itself."""

    __tablename__ = "devices"

    id: Mapped[str] = mapped_column(String(DEVICE_CHARS), primary_key=True)
    public_key: Mapped[bytes] = mapped_column()
    """Ed25519, 32 bytes."""
    enrolled_at: Mapped[float] = mapped_column(Float)
    enrolled_by: Mapped[str] = mapped_column(String(128))
    """Who made the claim code."""
    revoked_at: Mapped[float | None] = mapped_column(Float)
    name: Mapped[str | None] = mapped_column(String(128))
    """What people call it; None until it is claimed by a name or has said its own. See `names.py`."""


class DeviceRevision(Table):
    """One row: a number that grows with every change of a device, so that all portals look again."""

    __tablename__ = "device_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer)


class Registry:
    """The devices' keys in memory, as the database had them at the last `refresh`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1
        self._version: int | None = None
        self._keys: dict[str, bytes] = {}
        self.names: dict[str, str | None] = {}
        """Of every camera that was ever enrolled; None for one that has no name yet."""

    def key_of(self, device: str) -> bytes | None:
        """The public key of a device that may speak; None where it is unknown or revoked."""
        return self._keys.get(device)

    async def refresh(self, *, sure: bool = True) -> frozenset[str]:
        """Take in what another program changed; returns whose key counts no more. Raises StoreError.

        Unless it must be `sure`, PostgreSQL's word counts that nothing has changed.
        """
        version = self._store.version(sure=sure)
        if version is not None and version == self._version:
            return frozenset()
        revision, found = await self._store.run(self._read)
        self._version = version
        if found is None:
            return frozenset()
        keys = {row.id: row.public_key for row in found if row.revoked_at is None}
        self.names = {row.id: row.name for row in found}
        gone = frozenset(device for device, key in self._keys.items() if keys.get(device) != key)
        self._revision, self._keys = revision, keys
        return gone

    def _read(self, db: Session) -> tuple[int, list[Device] | None]:
        revision = db.scalar(device_revision()) or 0
        if revision == self._revision:
            return revision, None
        return revision, list_devices(db)


def add_device(
    db: Session,
    device: str,
    public_key: bytes,
    *,
    by: str,
    now: float,
    replace: bool = False,
    name: str | None = None,
) -> None:
    """Take a device in, or again.

    Raises TakenError where its id is another key's, unless `replace`, and PortalError where it can be none.
    """
    if not is_id(device) or device.lower().split("-")[0] in RESERVED:
        raise PortalError(f"{device!a} cannot be a camera's id: choose another device.id")
    known = db.get(Device, device)
    if known is None:
        db.add(Device(id=device, public_key=public_key, enrolled_at=now, enrolled_by=by, name=name))
    elif (known.public_key != public_key or known.revoked_at is not None) and not replace:
        raise TakenError(
            f"there is a camera {device} already, with another key or revoked: choose another device.id, "
            f"or make a claim code for this very camera: pinhole portal claim --device {device}"
        )
    else:
        known.name = name or known.name
        known.public_key, known.enrolled_at, known.enrolled_by, known.revoked_at = public_key, now, by, None
    count_up(db)


def revoke_device(db: Session, device: str, now: float) -> None:
    """From now on it may not speak. Raises PortalError where there is none of this name."""
    known = db.get(Device, device)
    if known is None:
        raise PortalError(f"there is no camera {device}")
    if known.revoked_at is None:
        known.revoked_at = now
        count_up(db)


def revoked_since(db: Session, since: float) -> frozenset[str]:
    """Who was shut out after a time, in Unix seconds."""
    return frozenset(db.scalars(select(Device.id).where(Device.revoked_at >= since)))


def find_device(db: Session, device: str) -> Device | None:
    """One of them, also where it is revoked."""
    return db.get(Device, device)


def list_devices(db: Session) -> list[Device]:
    """All of them, by name."""
    return list(db.scalars(select(Device).order_by(Device.id)))


def device_revision() -> Select[int]:
    """Finds the number that grows with every change of a device."""
    return select(DeviceRevision.number)


def count_up(db: Session) -> None:
    """Say that something changed; see `Registry.refresh`."""
    db.execute(update(DeviceRevision).values(number=DeviceRevision.number + 1))
