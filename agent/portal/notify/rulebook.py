"""What users say about how they are told: their rules and channels. Functions of a database session.

A user sees and changes their own. What leads to somebody, and what signs, is sealed.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from agent.model.text import printable
from agent.portal.accounts.access import Access
from agent.portal.accounts.seal import Seal
from agent.portal.accounts.users import AccountError, UnknownError
from agent.portal.notify.deliveries import bound_to, items_of
from agent.portal.notify.rules import RuleSpec, is_known_zone, read_spec
from agent.portal.notify.tables import NotifyChannel, NotifyDelivery, NotifyRule
from agent.portal.notify.words import title_of
from agent.portal.tables import NAME_CHARS, Grant, Group, User

MAX_CHANNELS, MAX_RULES = 16, 32
"""Of one user."""
SHOWN_DELIVERIES = 50
DEFAULT_NAME = "My cameras"
UNTOLD = "This rule tells nobody: it has no channel."
UNCONFIRMED = "This rule tells nobody yet: enter the code that was mailed to its address."
KINDS = ("push", "mail", "webhook", "service")


def views(db: Session, user_id: int, access: Access) -> dict[str, Any]:
    """All that a user's page of notifications shows."""
    channels = db.scalars(
        select(NotifyChannel).where(NotifyChannel.user_id == user_id).order_by(NotifyChannel.id)
    ).all()
    rules = db.scalars(select(NotifyRule).where(NotifyRule.user_id == user_id).order_by(NotifyRule.id)).all()
    others = db.execute(
        select(NotifyChannel, User.name)
        .join(User, User.id == NotifyChannel.user_id)
        .where(NotifyChannel.is_open.is_(True), NotifyChannel.user_id != user_id, User.disabled.is_(False))
        .order_by(User.name, NotifyChannel.id)
    ).all()
    return {
        "channels": [_channel(one) for one in channels],
        "others": [{"id": one.id, "user": name, "name": one.name, "kind": one.kind} for one, name in others],
        "rules": [_rule(one, channels, {other.id for other, _ in others}) for one in rules],
        "groups": groups_of(db, user_id, access),
        "deliveries": _deliveries(db, [one.id for one in channels]),
    }


def groups_of(db: Session, user_id: int, access: Access) -> list[str]:
    """The groups that a user may name: for who sees every camera all, for others those granted to them."""
    query = select(Group.name).order_by(Group.name)
    if access.everywhere is None:
        query = query.join(Grant, Grant.group_id == Group.id).where(Grant.user_id == user_id)
    return list(db.scalars(query))


def put_rule(
    db: Session, user_id: int, access: Access, rule_id: int | None, name: str, spec: RuleSpec, now: float,
    *, is_on: bool = True,
) -> int:  # fmt: skip
    """Make a rule, or say it anew; returns its number. Raises AccountError."""
    name = _clean(name)
    _check(db, user_id, access, spec)
    if is_on and not spec.channels and spec.escalation is None:
        raise AccountError(f"{UNTOLD} Choose where it tells you, or turn the rule off.")
    if rule_id is None:
        count = select(func.count()).select_from(NotifyRule).where(NotifyRule.user_id == user_id)
        if (db.scalar(count) or 0) >= MAX_RULES:
            raise AccountError(f"You have {MAX_RULES} rules already: remove some.")
        row = NotifyRule(user_id=user_id, created_at=now)
        db.add(row)
    else:
        row = _own_rule(db, user_id, rule_id)
    row.name, row.is_on, row.spec = name, is_on, spec.model_dump_json(exclude_defaults=True)
    db.flush()
    return row.id


def remove_rule(db: Session, user_id: int, rule_id: int) -> str:
    """Returns its name. Raises UnknownError."""
    row = _own_rule(db, user_id, rule_id)
    db.delete(row)
    return row.name


def snooze(db: Session, user_id: int, rule_id: int | None, until: float) -> None:
    """Have one rule, or all of a user, tell nothing until then; 0 ends it. Raises UnknownError."""
    if rule_id is None:
        db.execute(update(NotifyRule).where(NotifyRule.user_id == user_id).values(snoozed_until=until))
    else:
        _own_rule(db, user_id, rule_id).snoozed_until = until


def put_channel(
    db: Session, seal: Seal, user_id: int, kind: str, name: str, shown: str, config: dict[str, Any],
    identity: str, now: float, *, former: str = "",
) -> int:  # fmt: skip
    """Add a channel; `identity` tells it from all others. Returns its number. Raises AccountError.

    One that is there is brought up to date: a browser that comes again may have new keys, or another user.
    `former` is what told it from all others before.
    """
    key = _key(kind, identity)
    if former:
        before = select(NotifyChannel).where(NotifyChannel.key == _key(kind, former))
        moved = db.scalars(before.where(NotifyChannel.user_id == user_id)).one_or_none()
        taken = db.scalar(select(NotifyChannel.id).where(NotifyChannel.key == key))
        if moved is not None and taken is None:
            moved.key = key
            db.flush()
    sealed = seal.close_text(json.dumps(config), bound_to(key, user_id))
    row = db.scalars(select(NotifyChannel).where(NotifyChannel.key == key)).one_or_none()
    if row is not None and row.user_id != user_id:
        db.delete(row)  # another user of the same browser: what was for the former is not for this one
        db.flush()
        row = None
    if row is None:
        count = select(func.count()).select_from(NotifyChannel).where(NotifyChannel.user_id == user_id)
        if (db.scalar(count) or 0) >= MAX_CHANNELS:
            raise AccountError(f"You have {MAX_CHANNELS} channels already: remove some.")
        row = NotifyChannel(
            user_id=user_id, kind=kind, key=key, created_at=now, is_confirmed=True, is_open=False,
            error="",
        )  # fmt: skip
        db.add(row)
    row.name, row.shown, row.sealed = _clean(name), shown[:NAME_CHARS], sealed
    row.failing_since, row.error = None, ""
    db.flush()
    return row.id


def remove_channel(db: Session, user_id: int, channel_id: int) -> NotifyChannel:
    """Forget a channel, and what waits for it. Raises UnknownError."""
    row = own_channel(db, user_id, channel_id)
    db.delete(row)
    return row


def remove_by_identity(db: Session, user_id: int, kind: str, identity: str) -> NotifyChannel | None:
    """The same by what tells it from all others; None where there is none."""
    mine = select(NotifyChannel).where(NotifyChannel.key == _key(kind, identity))
    mine = mine.where(NotifyChannel.user_id == user_id)
    row = db.scalars(mine).one_or_none()
    if row is not None:
        db.delete(row)
    return row


def own_channel(db: Session, user_id: int, channel_id: int) -> NotifyChannel:
    """Raises UnknownError, also for another user's."""
    row = db.get(NotifyChannel, channel_id)
    if row is None or row.user_id != user_id:
        raise UnknownError("There is no such channel.")
    return row


def config_of(seal: Seal, channel: NotifyChannel) -> dict[str, Any]:
    """A channel's address and secrets. Raises SealError."""
    text = seal.open_text(channel.sealed, bound_to(channel.key, channel.user_id), f"channel {channel.id}")
    found: dict[str, Any] = json.loads(text)
    return found


def reseal(seal: Seal, channel: NotifyChannel, config: dict[str, Any]) -> None:
    """Say a channel's secrets anew."""
    channel.sealed = seal.close_text(json.dumps(config), bound_to(channel.key, channel.user_id))


def add_default_rule(
    db: Session, user_id: int, access: Access, channel_id: int, zone: str, now: float
) -> None:
    """Errors and motion of all that this user may watch, where no rule of theirs has this channel."""
    rules = db.scalars(select(NotifyRule).where(NotifyRule.user_id == user_id).order_by(NotifyRule.id)).all()
    read = [(rule, read_spec(rule.spec, rule.id)) for rule in rules]
    specs = [(rule, spec) for rule, spec in read if spec is not None]
    if any(channel_id in spec.channels for _, spec in specs):
        return
    known = set(db.scalars(select(NotifyChannel.id).where(NotifyChannel.user_id == user_id)))
    for rule, spec in specs:
        if rule.name == DEFAULT_NAME:
            channels = (*(one for one in spec.channels if one in known), channel_id)
            rule.spec = spec.model_copy(update={"channels": channels}).model_dump_json(exclude_defaults=True)
            return
    spec = RuleSpec(kinds=("motion",), at_least="error", zone=zone, channels=(channel_id,))
    put_rule(db, user_id, access, None, DEFAULT_NAME, spec, now)


def _check(db: Session, user_id: int, access: Access, spec: RuleSpec) -> None:
    if not is_known_zone(spec.zone):
        raise AccountError("No time zone of this name is known here.")
    if not all(access.may(camera, "watch") for camera in spec.cameras):
        raise UnknownError("There is no camera of this name here.")
    if not set(spec.groups) <= set(groups_of(db, user_id, access)):
        raise UnknownError("There is no such group.")
    for channel in spec.channels:
        own_channel(db, user_id, channel)
    if spec.escalation is not None:
        other = db.get(NotifyChannel, spec.escalation.channel)
        if other is None or (other.user_id != user_id and not other.is_open):
            raise UnknownError("There is no such channel to go on to.")


def _own_rule(db: Session, user_id: int, rule_id: int) -> NotifyRule:
    row = db.get(NotifyRule, rule_id)
    if row is None or row.user_id != user_id:
        raise UnknownError("There is no such rule.")
    return row


def _channel(row: NotifyChannel) -> dict[str, Any]:
    names = ("id", "kind", "name", "shown", "is_confirmed", "is_open", "created_at", "sent_at")
    return {name: getattr(row, name) for name in (*names, "failing_since", "error", "key")}


def _rule(row: NotifyRule, own: Sequence[NotifyChannel], others: Collection[int]) -> dict[str, Any]:
    """One that cannot be read stands there as off, so that it can be set anew or removed."""
    spec = read_spec(row.spec, row.id)
    is_on = row.is_on and spec is not None
    return {
        "id": row.id, "name": row.name, "is_on": is_on, "snoozed_until": row.snoozed_until,
        "untold": _untold(spec, own, others) if is_on and spec else "",
        "spec": (spec or RuleSpec()).model_dump(mode="json"),
    }  # fmt: skip


def _untold(spec: RuleSpec, own: Sequence[NotifyChannel], others: Collection[int]) -> str:
    """Why nobody is told; empty where somebody is. Channels go, and another user's may be closed again."""
    wanted = {*spec.channels, *([spec.escalation.channel] if spec.escalation else [])}
    chosen = [one for one in own if one.id in wanted]
    if any(one.is_confirmed for one in chosen) or (spec.escalation and spec.escalation.channel in others):
        return ""
    return UNCONFIRMED if chosen else UNTOLD


def _deliveries(db: Session, channels: list[int]) -> list[dict[str, Any]]:
    newest = (
        select(NotifyDelivery, NotifyChannel.name)
        .join(NotifyChannel, NotifyChannel.id == NotifyDelivery.channel_id)
        .where(NotifyDelivery.channel_id.in_(channels))
        .order_by(NotifyDelivery.id.desc())
        .limit(SHOWN_DELIVERIES)
    )
    names = ("id", "kind", "state", "attempts", "created_at", "due_at", "done_at", "error", "more")
    return [
        {name: getattr(row, name) for name in names}
        | {
            "channel": channel,
            "events": [
                {"device": item.device, "kind": item.kind, "title": title_of(item.kind), "at": item.at}
                for item in items_of(row)
            ],
        }
        for row, channel in db.execute(newest)
    ]


def _key(kind: str, identity: str) -> str:
    return hashlib.sha256(f"{kind} {identity}".encode()).hexdigest()


def _clean(name: str) -> str:
    clean = " ".join(printable(name).split())
    if not 1 <= len(clean) <= 60:
        raise AccountError("Give it a name of 1 to 60 characters.")
    return clean
