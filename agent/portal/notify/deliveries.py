"""What waits to be told: taken with a lease, and told at least once by whichever portal takes it.

Functions of a database session. A portal that is killed between taking and telling leaves a lease behind;
when that is over another one takes the message again, and its number has the receiver show it once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter
from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.orm import Session

from agent.portal import events
from agent.portal.accounts.access import Access, CodeRule
from agent.portal.accounts.factors import owns_factor
from agent.portal.accounts.users import access_of
from agent.portal.notify.rules import read_spec
from agent.portal.notify.tables import (
    ERROR_CHARS,
    NotifyChannel,
    NotifyDelivery,
    NotifyLook,
    NotifyMemory,
    NotifyRule,
)
from agent.portal.notify.words import Item
from agent.portal.tables import User

LEASE_S = 60.0
"""Longer than any channel may take to carry a message."""
PAUSES_S = (5.0, 15.0, 60.0, 300.0, 900.0, 1800.0)
"""Between tries; the last is repeated."""
LIFETIME_S, TEST_LIFETIME_S = 6 * 3600.0, 60.0
"""After that it is given up: it is no news any more."""
MAX_WAITING = 100
"""Of one channel; what comes beyond is not told there."""
MAX_ITEMS = 40
KEPT_S, KEPT_OF_CHANNEL = 14 * 86_400.0, 100

_ITEMS = TypeAdapter(list[Item])
_TOO_MANY = "Too many messages wait for this channel."


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that this portal is to tell now."""

    id: int
    lease: str
    kind: str
    channel: int
    channel_kind: str
    sealed: str
    bound_to: bytes
    """What the channel's secrets are sealed for."""
    owner: str
    """Whom the channel reaches."""
    user_id: int
    access: Access
    """What that user may do now."""
    items: tuple[Item, ...]
    more: int
    zone: str
    attempts: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a try."""

    error: str = ""
    """In words, for the channel's owner; empty where it was taken."""
    retry_after_s: float | None = None
    """When the other side would be asked again."""
    is_final: bool = False
    """No other try would do."""
    is_gone: bool = False
    """The channel is no more: its owner has taken it away at the other end."""


def put(
    db: Session,
    channel: int,
    kind: str,
    items: Sequence[Item],
    now: float,
    *,
    rule: int | None = None,
    wait_s: float = 0.0,
) -> int:
    """Have something told; returns its number, or 0 where too much waits for this channel already."""
    if _waiting_of(db, channel) >= MAX_WAITING:
        db.execute(update(NotifyChannel).where(NotifyChannel.id == channel).values(error=_TOO_MANY))
        return 0
    lifetime_s = LIFETIME_S if rule is not None else TEST_LIFETIME_S
    row = NotifyDelivery(
        channel_id=channel,
        rule_id=rule,
        kind=kind,
        items=_ITEMS.dump_json(list(items)).decode(),
        more=0,
        created_at=now,
        due_at=now + wait_s,
        expires_at=now + wait_s + lifetime_s,
        state="waiting",
    )
    db.add(row)
    db.flush()
    return row.id


def put_into_digest(db: Session, channel: int, rule: int, item: Item, now: float, digest_s: float) -> None:
    """Add to the message that gathers for this channel, or begin one."""
    gathering = (
        select(NotifyDelivery)
        .where(NotifyDelivery.channel_id == channel, NotifyDelivery.rule_id == rule)
        .where(NotifyDelivery.kind == "digest", NotifyDelivery.state == "waiting")
        .where(NotifyDelivery.due_at > now, NotifyDelivery.attempts == 0)
        .order_by(NotifyDelivery.id.desc())
        .limit(1)
        .with_for_update()
    )
    row = db.scalars(gathering).first()
    if row is None:
        put(db, channel, "digest", [item], now, rule=rule, wait_s=digest_s)
        return
    items = _ITEMS.validate_json(row.items)
    if len(items) >= MAX_ITEMS:
        row.more += 1
    else:
        row.items = _ITEMS.dump_json([*items, item]).decode()


def take(
    db: Session, now: float, lease: str, limit: int, *, busy: Collection[int], rule: CodeRule = "nobody"
) -> list[Taken]:
    """Up to so many that are due, one of each channel, leased to the caller.

    Nothing is taken for channels that are `busy`. What its reader may not watch any more, or nobody has to
    be told any more, is dropped here and now.
    """
    due = (
        select(NotifyDelivery)
        .where(NotifyDelivery.state == "waiting", NotifyDelivery.due_at <= now)
        .where(NotifyDelivery.leased_until <= now, NotifyDelivery.channel_id.not_in(busy))
        .order_by(NotifyDelivery.due_at, NotifyDelivery.id)
        .limit(8 * limit)
        .with_for_update(skip_locked=True)
    )
    taken: list[Taken] = []
    seen = set[int]()
    for row in db.scalars(due).all():
        if row.channel_id in seen or len(taken) >= limit:
            continue
        if row.expires_at <= now:
            _give_up(row, row.error or "It waited for too long.", now)
            continue
        found = _look_at(db, row, now, rule)
        if isinstance(found, str):
            row.state, row.done_at, row.error = "dropped", now, found
            continue
        row.lease, row.leased_until = lease, now + LEASE_S
        row.attempts += 1
        seen.add(row.channel_id)
        taken.append(replace(found, lease=lease, attempts=row.attempts))
    return taken


def finish(db: Session, taken: Taken, outcome: Outcome, now: float) -> bool:
    """Note what became of a try; False where the lease was over and another portal has it."""
    # First the channel: whoever takes it away does so in this order, and neither waits for the other.
    channel = db.get(NotifyChannel, taken.channel, with_for_update=True)
    mine = select(NotifyDelivery).where(NotifyDelivery.id == taken.id, NotifyDelivery.lease == taken.lease)
    row = db.scalars(mine.with_for_update()).first()
    if channel is None or row is None or row.state != "waiting":
        return False
    row.lease, row.leased_until = "", 0.0
    if not outcome.error:
        row.state, row.done_at, row.error = "sent", now, ""
        channel.sent_at, channel.failing_since, channel.error = now, None, ""
        return True
    row.error = channel.error = outcome.error[:ERROR_CHARS]
    channel.failing_since = channel.failing_since or now
    if outcome.is_gone:
        db.delete(channel)
        return True
    pause_s = max(pause_of(row.attempts), outcome.retry_after_s or 0.0)
    row.due_at = now + pause_s
    if outcome.is_final or row.due_at >= row.expires_at:
        _give_up(row, outcome.error, now)
    return True


def pause_of(attempts: int) -> float:
    """How long to wait after so many tries."""
    return PAUSES_S[min(max(1, attempts), len(PAUSES_S)) - 1]


def next_due(db: Session, busy: Collection[int]) -> float | None:
    """When something is to be told next by channels that are not `busy`; also what others have taken."""
    is_waiting = and_(NotifyDelivery.state == "waiting", NotifyDelivery.channel_id.not_in(busy))
    least = select(func.min(NotifyDelivery.due_at)).where(is_waiting)
    found = db.scalar(least.where(NotifyDelivery.leased_until == 0.0))
    leased = select(func.min(NotifyDelivery.leased_until)).where(is_waiting)
    over = db.scalar(leased.where(NotifyDelivery.leased_until > 0.0))
    return min((at for at in (found, over) if at is not None), default=None)


def waiting(db: Session) -> int:
    """How many are to be told yet."""
    count = select(func.count()).select_from(NotifyDelivery).where(NotifyDelivery.state == "waiting")
    return db.scalar(count) or 0


def prune(db: Session, now: float) -> None:
    """Forget what was told long ago."""
    old = NotifyDelivery.created_at < now - KEPT_S
    db.execute(delete(NotifyDelivery).where(old, NotifyDelivery.state != "waiting"))
    many = (
        select(NotifyDelivery.channel_id)
        .where(NotifyDelivery.state != "waiting")
        .group_by(NotifyDelivery.channel_id)
        .having(func.count() > KEPT_OF_CHANNEL)
    )
    for channel in db.scalars(many).all():
        done = select(NotifyDelivery.id).where(NotifyDelivery.channel_id == channel)
        ordered = done.where(NotifyDelivery.state != "waiting").order_by(NotifyDelivery.id.desc())
        cut = db.scalar(ordered.offset(KEPT_OF_CHANNEL).limit(1))
        if cut is not None:
            gone = delete(NotifyDelivery).where(NotifyDelivery.channel_id == channel)
            db.execute(gone.where(NotifyDelivery.id <= cut, NotifyDelivery.state != "waiting"))
    db.execute(delete(NotifyMemory).where(NotifyMemory.told_at < now - KEPT_S))


def note_look(db: Session, user_id: int, now: float) -> None:
    """A user looks at the dashboard, or has said that they have seen what was told."""
    changed = db.execute(update(NotifyLook).where(NotifyLook.user_id == user_id).values(at=now))
    if not getattr(changed, "rowcount", 0):
        db.add(NotifyLook(user_id=user_id, at=now))


def _look_at(db: Session, row: NotifyDelivery, now: float, rule: CodeRule) -> Taken | str:
    """What is to be told of it at this very moment; or why nothing is."""
    channel = db.get(NotifyChannel, row.channel_id)
    assert channel is not None, "deliveries go with their channel"
    reader = db.get(User, channel.user_id)
    assert reader is not None, "channels go with their user"
    made_by = db.get(NotifyRule, row.rule_id) if row.rule_id is not None else None
    access = _access_of(db, reader, rule)
    if access is None:
        return "Its reader may not sign in."
    if row.kind != "confirm" and not channel.is_confirmed:
        return "The address was not confirmed."
    if channel.kind == "service" and not access.is_admin:
        return "Its owner is no administrator any more."  # it reaches whatever the portal reaches
    items = _ITEMS.validate_json(row.items)
    if made_by is not None:
        if why := _rests(db, row, channel, made_by, now):
            return why
        seen = [item for item in items if access.may(item.device, "watch")]
        items = [item for item in seen if _is_still_news(db, item)]
        if not items:
            return "The camera was back in time." if seen else "Its reader may not watch the camera."
        if row.kind == "event":
            _remember_offline(db, made_by.id, items, now)
    spec = read_spec(made_by.spec, made_by.id) if made_by else None
    return Taken(
        row.id,
        "",
        row.kind,
        channel.id,
        channel.kind,
        channel.sealed,
        bound_to(channel.key, channel.user_id),
        reader.name,
        reader.id,
        access,
        tuple(items),
        row.more,
        spec.zone if spec else "UTC",
        0,
        row.expires_at,
    )


def _rests(db: Session, row: NotifyDelivery, channel: NotifyChannel, rule: NotifyRule, now: float) -> str:
    """Why a rule has nothing told by a channel now; empty where it has."""
    if channel.user_id != rule.user_id and not channel.is_open:
        return "The channel's owner takes nothing of others any more."
    if now < rule.snoozed_until or not rule.is_on:
        return "The rule rests."
    if row.kind == "escalation" and _has_looked(db, rule.user_id, row.created_at):
        return "Somebody has looked."
    return ""


def _access_of(db: Session, user: User, rule: CodeRule) -> Access | None:
    """What a user may do; None for who could not even sign in."""
    if user.disabled:
        return None
    access = access_of(db, user)
    must_have = user.password_hash is not None and access.must_have_factor(rule)
    return None if must_have and not owns_factor(db, user) else access


def _has_looked(db: Session, user_id: int, since: float) -> bool:
    look = db.get(NotifyLook, user_id)
    return look is not None and look.at >= since


def _is_still_news(db: Session, item: Item) -> bool:
    return item.kind != "offline" or events.is_still_away(db, item.device, item.event_id)


def _remember_offline(db: Session, rule: int, items: Sequence[Item], now: float) -> None:
    """Only now is it told, for it might have been back in time."""
    for item in items:
        if item.kind == "offline":
            remember(db, rule, item.device, item.kind, now)


def remember(db: Session, rule: int, device: str, kind: str, now: float) -> None:
    """A rule tells of this now."""
    row = db.get(NotifyMemory, (rule, device, kind))
    if row is None:
        db.add(NotifyMemory(rule_id=rule, device=device, kind=kind, told_at=now, skipped=0))
    else:
        row.told_at, row.skipped = now, 0


def _give_up(row: NotifyDelivery, words: str, now: float) -> None:
    row.state, row.done_at, row.error = "failed", now, words[:ERROR_CHARS]


def _waiting_of(db: Session, channel: int) -> int:
    count = select(func.count()).select_from(NotifyDelivery).where(NotifyDelivery.channel_id == channel)
    return db.scalar(count.where(NotifyDelivery.state == "waiting")) or 0


def bound_to(key: str, user_id: int) -> bytes:
    """What a channel's secrets are sealed for: copied to another user's they are no good."""
    return f"channel {key} of user {user_id}".encode()


def items_of(row: NotifyDelivery) -> list[Item]:
    """The events of a message."""
    return _ITEMS.validate_json(row.items)
