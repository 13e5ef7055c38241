"""What the store cannot tell: which portal serves a camera's uploads, and how much it has sent today.

Of several portals on one database one answers a camera, so that it gets its URLs once. Where a row is lost,
another portal answers as well, which is harmless, and the day is counted anew.
"""

from sqlalchemy import BigInteger, Float, Integer, String, case, delete, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.portal.store import Table
from agent.portal.tables import DEVICE_CHARS

HELD_S = 60.0
"""For so long a portal that was killed keeps others from answering."""
DAY_S = 86400
LEAST_BYTES = 1_000_000
"""A file counts for as many at least, since a store takes money for each request too."""
PORTAL_CHARS = 32


class UploadRow(Table):
    """Of one camera."""

    __tablename__ = "uploads"

    device: Mapped[str] = mapped_column(String(DEVICE_CHARS), primary_key=True)
    portal: Mapped[str] = mapped_column(String(PORTAL_CHARS))
    held_until: Mapped[float] = mapped_column(Float)
    """Until then `portal` answers, and no other."""
    day: Mapped[int] = mapped_column(Integer)
    """The day, from 1970 on, that `bytes` were begun on."""
    bytes: Mapped[int] = mapped_column(BigInteger)


def take(db: Session, device: str, portal: str, now: float) -> bool:
    """Whether this portal answers the camera, for a while."""
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = {"device": device, "portal": portal, "held_until": 0.0, "day": 0, "bytes": 0}
    db.execute(insert(UploadRow).values(row).on_conflict_do_nothing())
    is_free = or_(
        UploadRow.portal == portal,
        UploadRow.held_until < now,
        UploadRow.held_until > now + 2 * HELD_S,  # by a clock that was ahead
    )
    taken = db.execute(
        update(UploadRow)
        .where(UploadRow.device == device, is_free)
        .values(portal=portal, held_until=now + HELD_S)
        .returning(UploadRow.device)
    )
    return taken.first() is not None


def charge(db: Session, device: str, size_bytes: int, most_bytes: int, now: float) -> bool:
    """Count a file; False, and nothing is counted, where that would be too much for today.

    Below 0 it takes back what was counted of a file that was not begun after all.
    """
    today = int(now // DAY_S)
    counted_bytes = max(abs(size_bytes), LEAST_BYTES) * (1 if size_bytes > 0 else -1)
    sum_bytes = case((UploadRow.day == today, UploadRow.bytes), else_=0) + counted_bytes
    # What is taken back may have been counted yesterday. The sum stands first: of its type is the whole.
    sum_bytes = case((sum_bytes > 0, sum_bytes), else_=0)
    counted = db.execute(
        update(UploadRow)
        .where(UploadRow.device == device, sum_bytes <= most_bytes)
        .values(day=today, bytes=sum_bytes)
        .returning(UploadRow.device)
    )
    return counted.first() is not None


def forget(db: Session, device: str) -> None:
    """Whoever enrols under its name is another camera."""
    db.execute(delete(UploadRow).where(UploadRow.device == device))
