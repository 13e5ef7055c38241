"""The events of all cameras in the store: each once, however often it is told, and to however many portals.

A camera fills its own share and no more: of each, the newest 2000 are kept, for 90 days.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    Index,
    Integer,
    String,
    UniqueConstraint,
    and_,
    delete,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.model.event import KINDS, Event, EventKind
from agent.model.signal import BareEvent
from agent.model.text import printable
from agent.portal.store import Table
from agent.portal.tables import DEVICE_CHARS

KEPT_OF_DEVICE, KEPT_S = 2000, 90 * 86400.0
CLOCKS_AGREE_S = 120.0
"""As long as a message may wait at the broker. A clock that is further off is set right by ours."""
_CODE_CHARS, _ID_CHARS, _TEXT_CHARS = 40, 80, 512
SEEN, ENDED = "motion-seen", "motion-ended"
FOLLOWS = {SEEN: "motion", ENDED: "motion"}
"""Kinds that say more of one of another kind, which their detail `begun` names: what was seen of it since,
and when it was over."""
_OF_FOLLOWING = frozenset({"begun", "seconds", "known_label", "known_zones"})
"""Details that are no part of what they follow."""
_OWN = "portal:"
"""Begins the ids of the portal's own events; no id of a device has a colon."""
_BARE = "bare:"


class EventRow(Table):
    """One event of one camera."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    device: Mapped[str] = mapped_column(String(DEVICE_CHARS))
    event_id: Mapped[str] = mapped_column(String(_ID_CHARS))
    kind: Mapped[str] = mapped_column(String(_CODE_CHARS))
    severity: Mapped[str] = mapped_column(String(_CODE_CHARS))
    concerns: Mapped[str] = mapped_column(String(_CODE_CHARS))
    at: Mapped[float] = mapped_column(Float)
    until: Mapped[float | None] = mapped_column(Float)
    is_time_known: Mapped[bool] = mapped_column()
    """Whether `at` is right; else it is the latest that it can have been."""
    received_at: Mapped[float] = mapped_column(Float, index=True)
    message: Mapped[str] = mapped_column(String(_TEXT_CHARS))
    thumbnail: Mapped[str | None] = mapped_column(String(_TEXT_CHARS))
    details: Mapped[str] = mapped_column(String())
    """JSON."""
    judged_at: Mapped[float | None] = mapped_column(Float)
    """When the rules of `notify/` looked at it; None where they have yet to."""

    __table_args__ = (
        Index(
            "ix_events_unjudged",
            "id",
            sqlite_where=text("judged_at IS NULL"),
            postgresql_where=text("judged_at IS NULL"),
        ),
        UniqueConstraint("device", "event_id"),
        Index("ix_events_device_at", "device", "at", "id"),
        Index("ix_events_at", "at", "id"),
        Index("ix_events_kind_at", "kind", "at", "id"),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as the store has it; times are Unix seconds by the portal's clock."""

    device: str
    event_id: str
    kind: str
    severity: str
    concerns: str
    at: float
    until: float | None
    is_time_known: bool
    received_at: float
    message: str
    thumbnail: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events somebody asks for; what is None or empty matches all."""

    devices: Collection[str] | None = None
    kind: str = ""
    since: float | None = None
    until: float | None = None
    """Beyond the range."""
    before: tuple[float, int] | None = None
    """`at` and row of the last one of the page before."""
    limit: int = 50


def kept_of(device: str, event: Event, said_at: float, now: float) -> Kept:
    """An event that a device told now, by our clock."""
    behind_s = now - said_at
    is_running = event.clock == "running"
    agrees = abs(behind_s) <= CLOCKS_AGREE_S
    shift_s = behind_s if is_running and not agrees else 0.0

    def ours(at: float) -> float:
        return round(max(0.0, min(now, at + shift_s)), 3)

    return Kept(
        device,
        event.id,
        event.kind,
        event.severity,
        event.concerns,
        ours(event.at),
        None if event.until is None else ours(event.until),
        agrees if is_running else event.clock == "set",
        now,
        printable(event.message),
        None if event.thumbnail is None else printable(event.thumbnail),
        event.details,
    )


def kept_bare(device: str, event: BareEvent, digest: str, now: float) -> Kept:
    """An event of an agent without a journal; `digest` of the message stands for the id that it has not."""
    about = KINDS[event.kind]
    return Kept(
        device,
        f"{_BARE}{digest}",
        event.kind,
        about.severity,
        about.concerns,
        round(min(now, event.at), 3),
        None,
        abs(now - event.at) <= CLOCKS_AGREE_S,
        now,
        printable(event.message),
        None,
        event.details,
    )


def add(db: Session, new: Iterable[Kept]) -> set[tuple[str, str]]:
    """Take events in, in their order; returns device and id of those that were not there.

    What says more of another becomes a part of that, where it is here. Where rules have looked at that
    before, what was seen since stays for them as an event of its own, which no page shows.
    """
    new = list(new)
    added = _insert(db, [event for event in new if event.kind not in FOLLOWS])
    for event in new:
        if event.kind in FOLLOWS:
            added |= _follow(db, event)
    return added


def _follow(db: Session, event: Kept) -> set[tuple[str, str]]:
    named = EventRow.device == event.device, EventRow.event_id == str(event.details.get("begun"))
    asked = select(EventRow).where(*named, EventRow.kind == FOLLOWS[event.kind])
    # Locked: no portal's rules look at it meanwhile.
    row = db.scalars(asked.with_for_update().execution_options(populate_existing=True)).first()
    if row is None:
        return _insert(db, [event])
    if event.kind == ENDED:
        if row.until is None:  # told again, it changes nothing
            row.until = max(row.at, event.at)
            _learn(db, row, event)
        return set()
    added = _insert(db, [event], judged_at=event.received_at if row.judged_at is None else None)
    if added and row.until is None:
        row.message = event.message
        _learn(db, row, event)
    return added


def _learn(db: Session, row: EventRow, event: Kept) -> None:
    learned = {name: value for name, value in event.details.items() if name not in _OF_FOLLOWING}
    row.details = json.dumps(json.loads(row.details) | learned)
    db.flush()


def _insert(db: Session, new: Iterable[Kept], judged_at: float | None = None) -> set[tuple[str, str]]:
    changed = {"judged_at": judged_at}
    rows = [
        {name: getattr(event, name) for name in Kept.__slots__}
        | {"details": json.dumps(event.details)}
        | changed
        for event in new
    ]
    if not rows:
        return set()
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    added = insert(EventRow).values(rows).on_conflict_do_nothing()
    return {(device, one) for device, one in db.execute(added.returning(EventRow.device, EventRow.event_id))}


def add_presence(db: Session, device: str, *, is_online: bool, is_first: bool, now: float) -> None:
    """A camera came or went; `is_first` where that is the first that this start of the portal hears of it.

    Several portals see the same; the number of the event in its id has one of them note it.
    """
    kind: EventKind = "online" if is_online else "offline"
    newest = (
        select(EventRow)
        .where(EventRow.device == device, EventRow.event_id.startswith(_OWN))
        .order_by(EventRow.id.desc())
        .limit(1)
    )
    last = db.scalars(newest).first()
    if last.kind == kind if last else is_first:
        return
    number = int(last.event_id.removeprefix(_OWN)) + 1 if last else 1
    about = KINDS[kind]
    details = {"away_s": round(max(0.0, now - last.at))} if last and is_online else {}
    event = Kept(
        device, f"{_OWN}{number}", kind, about.severity, about.concerns, now, None,
        # Who went or came while no portal was there did so at a time that nobody knows.
        not is_first, now, "", None, details,
    )  # fmt: skip
    add(db, [event])


def prune(db: Session, devices: Iterable[str], now: float) -> None:
    """Forget what is too old, and of these devices what is too many."""
    db.execute(delete(EventRow).where(EventRow.received_at < now - KEPT_S))
    for device in devices:
        for kinds in (EventRow.kind != SEEN, EventRow.kind == SEEN):  # what no page shows pushes out nothing
            own = select(EventRow.id).where(EventRow.device == device, kinds).order_by(EventRow.id.desc())
            cut = db.scalar(own.offset(KEPT_OF_DEVICE).limit(1))
            if cut is not None:
                db.execute(delete(EventRow).where(EventRow.device == device, kinds, EventRow.id <= cut))


def find(db: Session, wanted: Filter) -> list[tuple[int, Kept]]:
    """Those that match with their rows, the newest first."""
    query = select(EventRow).order_by(EventRow.at.desc(), EventRow.id.desc()).limit(wanted.limit)
    if wanted.devices is not None:
        query = query.where(EventRow.device.in_(wanted.devices))
    query = query.where(EventRow.kind == wanted.kind if wanted.kind else EventRow.kind != SEEN)
    if wanted.since is not None:
        query = query.where(EventRow.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(EventRow.at < wanted.until)
    if wanted.before is not None:
        at, row = wanted.before
        query = query.where(or_(EventRow.at < at, and_(EventRow.at == at, EventRow.id < row)))
    return [(row.id, _kept(row)) for row in db.scalars(query)]


def take_unjudged(db: Session, limit: int, now: float) -> list[Kept]:
    """The oldest that no rule has looked at yet: they are the caller's, and nobody else gets them again."""
    waiting = select(EventRow).where(EventRow.judged_at.is_(None)).order_by(EventRow.id).limit(limit)
    rows = db.scalars(waiting.with_for_update(skip_locked=True)).all()
    for row in rows:
        row.judged_at = now
    return [_kept(row) for row in rows]


def is_still_away(db: Session, device: str, event_id: str) -> bool:
    """Whether this `offline` is the last that is known of a camera's coming and going."""
    newest = (
        select(EventRow.event_id)
        .where(EventRow.device == device, EventRow.event_id.startswith(_OWN))
        .order_by(EventRow.id.desc())
        .limit(1)
    )
    return db.scalar(newest) == event_id


def latest(db: Session) -> list[Kept]:
    """The newest of all cameras, the oldest first: for who looks at them now."""
    return [event for _, event in reversed(find(db, Filter(limit=100)))]


def _kept(row: EventRow) -> Kept:
    values = {name: getattr(row, name) for name in Kept.__slots__}
    return Kept(**values | {"details": json.loads(row.details)})
