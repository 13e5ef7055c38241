"""Who is to be told of what. Pure: the time is an argument, in Unix seconds.

A rule is for cameras that its user may watch, and says which events, when, and how often. Whether the user
may still watch is asked when something is sent: see `deliveries.py`.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agent.model.event import Severity
from agent.model.ids import Id
from agent.model.signal import Code

log = logging.getLogger(__name__)

MAX_CAMERAS, MAX_CHOICES, MAX_CHANNELS = 256, 64, 16
DAY_S = 86_400
STALE_S: dict[str, float] = {"info": 3600.0}
STALE_ERROR_S = 86_400.0
"""What is older is not told: a camera whose link was away all day would tell of each cat that passed. What is
wrong is worth knowing later, too."""
_RANKS: dict[str, int] = {"info": 0, "warning": 1, "error": 2}


def rank(severity: str) -> int:
    """The higher, the worse; what a newer device says counts as a warning."""
    return _RANKS.get(severity, 1)


@lru_cache(64)
def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def is_known_zone(name: str) -> bool:
    """Asked where a rule is set, and not where it is read: a portal on another machine may know fewer."""
    return name == "UTC" or zone_of(name).key == name


Minute = Annotated[int, Field(ge=0, lt=24 * 60)]
Zone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]
Words = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]{1,64}$")]
GroupName = Annotated[str, StringConstraints(max_length=128)]


ChannelId = Annotated[int, Field(ge=0, lt=2**31)]
"""What the database's integer holds."""


class _Part(BaseModel):
    # What a newer portal has written beside is left alone.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Hours(_Part):
    """On which days, and from when until when, by the rule's time zone."""

    days: tuple[Annotated[int, Field(ge=0, le=6)], ...] = Field(default=(0, 1, 2, 3, 4, 5, 6), max_length=7)
    """0 is Monday. A night belongs to the day on which it begins."""
    begins: Minute = 0
    """Minute of the day."""
    ends: Minute = 0
    """Not after `begins` is on the next day; the same is a whole day."""


class Escalation(_Part):
    """Whom to tell beside, where nobody looks."""

    after_s: Annotated[int, Field(ge=60, le=DAY_S)] = 600
    channel: ChannelId


class RuleSpec(_Part):
    """What a rule says, as it stands in the store."""

    cameras: tuple[Id, ...] = Field(default=(), max_length=MAX_CAMERAS)
    groups: tuple[GroupName, ...] = Field(default=(), max_length=MAX_CHOICES)
    """Neither: every camera that its user may watch."""
    kinds: tuple[Code, ...] = Field(default=(), max_length=MAX_CHOICES)
    """These, whatever their severity."""
    at_least: Severity | None = None
    """And whatever is at least this severe. Neither: everything."""
    labels: tuple[Words, ...] = Field(default=(), max_length=MAX_CHOICES)
    zones: tuple[Words, ...] = Field(default=(), max_length=MAX_CHOICES)
    """Where they are set, motion counts only with one of these labels, and in one of these zones."""
    hours: Hours | None = None
    zone: Zone = "UTC"
    cooldown_s: Annotated[int, Field(ge=0, le=DAY_S)] = 60
    """So long the same kind of the same camera is not told again."""
    digest_s: Annotated[int, Field(ge=0, le=DAY_S)] = 0
    """So long events are gathered into one message; 0 tells each at once."""
    offline_for_s: Annotated[int, Field(ge=0, le=DAY_S)] = 120
    """A camera that is back sooner never went offline."""
    channels: tuple[ChannelId, ...] = Field(default=(), max_length=MAX_CHANNELS)
    escalation: Escalation | None = None


@lru_cache(256)
def read_spec(text: str, rule: int) -> RuleSpec | None:
    """A rule as it stands in the store; None where it cannot be read: one shall not silence all others.

    It is said once, for each look at an event reads all rules.
    """
    try:
        return RuleSpec.model_validate_json(text)
    except ValidationError as exc:
        log.warning(
            "rule %d cannot be read, and tells nothing: set it anew: %s", rule, exc.errors()[0]["msg"]
        )
        return None


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, as far as rules look at it."""

    device: str
    kind: str
    severity: str
    at: float
    groups: Collection[str] = frozenset()
    """Of which the camera is."""
    labels: Collection[str] = frozenset()
    zones: Collection[str] = frozenset()
    away_s: float | None = None
    """Of `online`: how long it was away."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a rule remembers of one kind of event of one camera."""

    told_at: float
    skipped: int = 0
    """How many were held back since."""


Reason = Literal["", "other", "old", "hours", "snoozed", "blink", "cooldown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with one event by one rule."""

    reason: Reason = ""
    """Why it is not told; empty where it is."""
    wait_s: float = 0.0
    """How long it may yet turn out to be nothing."""

    @property
    def tells(self) -> bool:
        """Whether it is told."""
        return not self.reason


def happening_of(
    device: str, kind: str, severity: str, at: float, details: dict[str, Any], groups: Collection[str]
) -> Happening:
    """What cameras put into details, as far as it has the shape that it ought to have."""
    away_s = details.get("away_s")
    return Happening(
        device,
        kind,
        severity,
        at,
        groups,
        _names(details.get("label")),
        _names(details.get("zones")),
        float(away_s) if isinstance(away_s, int | float) else None,
    )


def known_of(event: Happening, details: dict[str, Any]) -> Happening:
    """The same as it was told before more was seen of it."""
    return replace(event, labels=_names(details.get("known_label")), zones=_names(details.get("known_zones")))


def _names(said: Any) -> frozenset[str]:
    names = said if isinstance(said, list) else str(said or "").split(",")
    return frozenset(str(name).strip() for name in names if str(name).strip())


def covers(rule: RuleSpec, event: Happening) -> bool:
    """Whether a rule is for this camera."""
    if not rule.cameras and not rule.groups:
        return True
    return event.device in rule.cameras or any(name in event.groups for name in rule.groups)


def wants(rule: RuleSpec, event: Happening) -> bool:
    """Whether a rule is for what happened."""
    if event.kind == "motion" and not _is_seen_where(rule, event):
        return False
    if not rule.kinds and rule.at_least is None:
        return True
    is_severe = rule.at_least is not None and rank(event.severity) >= rank(rule.at_least)
    return event.kind in rule.kinds or is_severe


def is_within(hours: Hours, zone: str, at: float) -> bool:
    """Whether a time is in these hours; one that a change of clocks repeats is in them twice."""
    local = datetime.fromtimestamp(at, zone_of(zone))
    day, minute = local.weekday(), local.hour * 60 + local.minute
    if hours.begins < hours.ends:
        return day in hours.days and hours.begins <= minute < hours.ends
    return (day in hours.days and minute >= hours.begins) or (
        (day - 1) % 7 in hours.days and minute < hours.ends
    )


def judge(
    rule: RuleSpec, event: Happening, memory: Memory | None, snoozed_until: float, now: float
) -> Verdict:
    """Whether an event is told now. Cheap where the rule is for something else: that is nearly always so."""
    if reason := _reason(rule, event, snoozed_until, now):
        return Verdict(reason)
    rests_s = max(0.0, memory.told_at + rule.cooldown_s - now) if memory and memory.told_at <= now else 0.0
    if event.kind == "offline":  # it may be back at once; and where it is not, nobody may miss it
        return Verdict(wait_s=max(0.0, event.at + rule.offline_for_s - now, rests_s))
    return Verdict("cooldown") if rests_s else Verdict()


def _reason(rule: RuleSpec, event: Happening, snoozed_until: float, now: float) -> Reason:
    if not covers(rule, event) or not wants(rule, event):
        return "other"
    reasons: tuple[tuple[Reason, bool], ...] = (
        ("old", now - event.at > STALE_S.get(event.severity, STALE_ERROR_S)),
        ("blink", event.kind == "online" and (event.away_s or 0.0) < rule.offline_for_s),
        # By when it happened: what was cut off at night and comes in the morning is still of the night.
        ("hours", rule.hours is not None and not is_within(rule.hours, rule.zone, event.at)),
        ("snoozed", now < snoozed_until),
    )
    return next((reason for reason, is_so in reasons if is_so), "")


def _is_seen_where(rule: RuleSpec, event: Happening) -> bool:
    if rule.labels and not any(label in event.labels for label in rule.labels):
        return False
    return not rule.zones or any(zone in event.zones for zone in rule.zones)
