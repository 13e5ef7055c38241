"""The audit log's table: entries are chained by the store, so that several portals write one chain."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.portal.accounts.chain import Entry, Link, faults, hash_of, in_ascii
from agent.portal.tables import AuditChain, AuditEntry

KEPT_S, MAX_ROWS = 366 * 86400.0, 500_000
"""How long entries are kept, and how many."""
_BATCH = 1000
LATE_S = 60.0
"""An entry may be in the file this long before it is in the table."""
LOST = "entries-lost"
"""The act by which the file, or the table, says what it lacks itself; the other may have it."""


def append(db: Session, new: Iterable[Entry]) -> None:
    """Add entries at the chain's end; its row is locked, so that two portals take turns."""
    chain = _chain(db)
    for entry in new:
        previous, chain.head = chain.head, hash_of(chain.head, entry)
        db.add(AuditEntry(**asdict(entry), previous=previous, hash=chain.head))
    db.flush()


def prune(db: Session, before: float, now: float) -> None:
    """Forget the oldest entries: from before a time, and beyond 500 000. What is left still holds together.

    The chain is checked as far as it goes; where it is broken, the log keeps saying so.
    """
    chain = _chain(db)
    newest = db.scalar(select(func.max(AuditEntry.id))) or 0
    young = db.scalar(select(func.min(AuditEntry.id)).where(AuditEntry.at >= before))
    # The newest stays in any case: SQLite gives the number of one that is gone to the next.
    cut = max(newest - MAX_ROWS, (newest if young is None else young) - 1)
    if cut > chain.anchor_id:
        found = list(faults(_links(db, chain.anchor_id, cut), chain.anchor))
        last = db.scalars(
            select(AuditEntry).where(AuditEntry.id <= cut).order_by(AuditEntry.id.desc()).limit(1)
        ).first()
        if last is not None and last.hash is not None and last.id > chain.anchor_id:
            chain.anchor, chain.anchor_id = last.hash, last.id
        if found:
            append(db, [Entry(now, "portal", "audit-broken", detail="; ".join(found)[:400])])
    latest = db.scalar(select(func.max(AuditEntry.at)).where(AuditEntry.id <= cut)) or 0.0
    chain.since = max(chain.since, min(latest, now))
    db.execute(delete(AuditEntry).where(AuditEntry.id <= cut))


def verify(db: Session) -> tuple[int, list[str]]:
    """How many entries are chained, and what is wrong with them."""
    if db.scalars(select(AuditChain)).first() is None:
        return 0, ["the row of the chain's beginning and end was removed: restore a copy of the store"]
    chain = _chain(db)
    count = db.scalar(select(func.count()).where(AuditEntry.id > chain.anchor_id)) or 0
    found = list(faults(_links(db, chain.anchor_id), chain.anchor, chain.head))
    # What is forgotten is deleted with it: who moves the beginning alone hides what stands before.
    hidden = select(func.count()).where(AuditEntry.id <= chain.anchor_id, AuditEntry.hash.is_not(None))
    if before := db.scalar(hidden):
        found.append(f"{before} entries stand before the beginning of the chain, which was moved")
    return count, found


def missing(db: Session, links: Iterable[Link], now: float) -> list[str]:
    """Which lines of a portal's file are not in the table, though they should be."""
    if (chain := db.scalars(select(AuditChain)).first()) is None:
        return []
    held = Counter(hash_of("", link.entry) for link in _links(db, chain.anchor_id))
    # What the table says that it forgot, it may have: by age, and where it is full.
    since = chain.since if held.total() > MAX_ROWS // 2 else min(chain.since, now - KEPT_S)
    found = []
    for link in links:
        if since < link.entry.at < now - LATE_S and link.entry.action != LOST:
            key = hash_of("", link.entry)
            if not held[key]:  # or as a database in another encoding has it
                key = hash_of("", in_ascii(link.entry))
            if not held[key]:
                found.append(f"{link.where} is not in the table: {link.entry.actor} {link.entry.action}")
            held[key] -= 1
    return found


def _chain(db: Session) -> AuditChain:
    return db.scalars(select(AuditChain).with_for_update()).one()


def _links(db: Session, after: int, up_to: int | None = None) -> Iterator[Link]:
    rows = select(AuditEntry).where(AuditEntry.id > after).order_by(AuditEntry.id)
    if up_to is not None:
        rows = rows.where(AuditEntry.id <= up_to)
    for row in db.scalars(rows.execution_options(yield_per=_BATCH)):
        yield Link(f"entry {row.id}", entry_of(row), row.previous or "", row.hash or "")


def entry_of(row: AuditEntry) -> Entry:
    """What a row says."""
    return Entry(row.at, row.actor, row.action, row.device, row.address, row.detail)
