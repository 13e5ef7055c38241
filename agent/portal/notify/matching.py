"""Has the rules look at each event, once: what they want told is then in the store, and survives us."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.portal import events
from agent.portal.accounts.access import Access
from agent.portal.accounts.users import access_of
from agent.portal.events import Kept
from agent.portal.notify import deliveries
from agent.portal.notify.rules import (
    Happening,
    Memory,
    RuleSpec,
    happening_of,
    judge,
    known_of,
    read_spec,
    wants,
)
from agent.portal.notify.tables import NotifyChannel, NotifyMemory, NotifyRule, NotifyState
from agent.portal.notify.words import DETAILS, Item
from agent.portal.tables import Group, GroupCamera, User

BATCH = 64
"""Events in one transaction."""


def judge_new(db: Session, now: float) -> int:
    """Look at the oldest events that no portal has looked at; returns how many there were.

    One portal at a time, for what a rule has told decides what it tells next.
    """
    db.scalars(select(NotifyState).with_for_update()).one()
    found = events.take_unjudged(db, BATCH, now)
    if not found:
        return 0
    rules = _Rules(db, {event.device for event in found})
    for event in found:
        if event.kind != events.ENDED:  # an end without its beginning is no news
            rules.look_at(event, now)
    return len(found)


class _Rules:
    """All rules, and what they have to know, for one batch of events."""

    def __init__(self, db: Session, devices: Iterable[str]) -> None:
        self._db = db
        rows = db.execute(
            select(NotifyRule, User).join(User, User.id == NotifyRule.user_id)
            .where(NotifyRule.is_on.is_(True), User.disabled.is_(False)).order_by(NotifyRule.id)
        )  # fmt: skip
        read = [(rule, user, read_spec(rule.spec, rule.id)) for rule, user in rows]
        self._rules = [(rule, user, spec) for rule, user, spec in read if spec is not None]
        self._groups: dict[str, set[str]] = {}
        members = select(GroupCamera.device, Group.name).join(Group, Group.id == GroupCamera.group_id)
        for device, name in db.execute(members.where(GroupCamera.device.in_(list(devices)))):
            self._groups.setdefault(device, set()).add(name)
        self._access: dict[int, Access] = {}
        self._channels: dict[int, NotifyChannel | None] = {}

    def look_at(self, event: Kept, now: float) -> None:
        """Have told what somebody wants to know of it."""
        groups = self._groups.get(event.device, set())
        kind = events.FOLLOWS.get(event.kind, event.kind)
        happening = happening_of(event.device, kind, event.severity, event.at, event.details, groups)
        before = known_of(happening, event.details) if kind != event.kind else None
        for rule, user, spec in self._rules:
            if before and wants(spec, before):
                continue  # it was for this rule when it began
            # Without a memory first: most rules are for something else, and the store need not be asked.
            if judge(spec, happening, None, rule.snoozed_until, now).tells and self._may_watch(user, event):
                self._tell(rule, spec, happening, event, now)

    def _tell(self, rule: NotifyRule, spec: RuleSpec, happening: Happening, event: Kept, now: float) -> None:
        row = self._db.get(NotifyMemory, (rule.id, event.device, happening.kind))
        memory = Memory(row.told_at, row.skipped) if row else None
        verdict = judge(spec, happening, memory, rule.snoozed_until, now)
        if not verdict.tells:
            if row is not None and verdict.reason == "cooldown":
                row.skipped += 1
            return
        item = _item(event, happening.kind, memory.skipped if memory else 0)
        for channel in spec.channels:
            if not self._is_own(channel, rule):
                continue
            if spec.digest_s:
                deliveries.put_into_digest(self._db, channel, rule.id, item, now, spec.digest_s)
            else:
                deliveries.put(self._db, channel, "event", [item], now, rule=rule.id, wait_s=verdict.wait_s)
        if spec.escalation and self._channel(spec.escalation.channel):
            wait_s = verdict.wait_s + spec.digest_s + spec.escalation.after_s
            deliveries.put(
                self._db, spec.escalation.channel, "escalation", [item], now, rule=rule.id, wait_s=wait_s
            )
        if event.kind != "offline" or spec.digest_s:
            deliveries.remember(self._db, rule.id, event.device, happening.kind, now)

    def _may_watch(self, user: User, event: Kept) -> bool:
        if user.id not in self._access:
            self._access[user.id] = access_of(self._db, user)
        return self._access[user.id].may(event.device, "watch")

    def _channel(self, channel: int) -> NotifyChannel | None:
        if channel not in self._channels:
            self._channels[channel] = self._db.get(NotifyChannel, channel)
        return self._channels[channel]

    def _is_own(self, channel: int, rule: NotifyRule) -> bool:
        found = self._channel(channel)
        return found is not None and found.user_id == rule.user_id


def _item(event: Kept, kind: str, skipped: int) -> Item:
    details = {name: event.details[name] for name in DETAILS if name in event.details}
    return Item(
        event.device,
        event.event_id,
        kind,
        event.severity,
        event.at,
        event.message,
        event.is_time_known,
        details,
        skipped,
        has_picture=event.thumbnail is not None,
    )
