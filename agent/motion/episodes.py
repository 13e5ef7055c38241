"""When motion begins, goes on and is over: every state and every change of state. Pure."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum

from agent.motion.detector import Motion

MAX_NEWS = 8
"""Of one event, after its beginning: of all zones and labels together there are few more."""
NEWS_GAP_US = 1_000_000
"""A thing that walks from zone to zone is in two of them for a moment."""


class Phase(Enum):
    """What there is now."""

    IDLE = "idle"
    ACTIVE = "active"
    """Something moves, or did less than `quiet_s` ago."""
    ENDING = "ending"
    """It was quiet for `quiet_s`; what moves before the merge gap is over belongs to the same event."""


@dataclass(slots=True)
class Episode:
    """One event of motion."""

    begun_us: int
    last_us: int
    """When something was last seen to move."""
    zones: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    score: float = 0.0
    told_zones: frozenset[str] = frozenset()
    """What people know of it, ..."""
    told_labels: frozenset[str] = frozenset()
    told_us: int = 0
    news: int = 0
    """... and how often they were told more."""

    def add(self, motion: Motion) -> None:
        self.last_us = motion.at_us
        self.zones.update(motion.zones)
        self.score = max(self.score, motion.score)

    def has_news(self, now_us: int) -> bool:
        """A label is told at once, a zone once the last is a second old."""
        is_due = now_us - self.told_us >= NEWS_GAP_US and not self.zones <= self.told_zones
        return self.news < MAX_NEWS and (is_due or not self.labels <= self.told_labels)

    def note_told(self, now_us: int) -> None:
        """People know all of it."""
        self.told_zones, self.told_labels = frozenset(self.zones), frozenset(self.labels)
        self.told_us, self.news = now_us, self.news + 1


@dataclass(frozen=True, slots=True)
class Turn:
    """What a sample, or the passing of time, made of it."""

    begun: Episode | None = None
    ended: Episode | None = None
    seen: Episode | None = None
    """More is known of it than was told."""
    has_changed: bool = False
    """Whether people are shown something else."""


NOTHING = Turn()


class Episodes:
    """One camera's."""

    def __init__(self, quiet_s: float, merge_s: float) -> None:
        """An event ends once it was quiet for the longer of the two."""
        self.phase = Phase.IDLE
        self.last_us: int | None = None
        """When something last moved."""
        self._quiet_us, self._gone_us = round(quiet_s * 1e6), round(max(quiet_s, merge_s) * 1e6)
        self._now: Episode | None = None

    @property
    def labels(self) -> frozenset[str]:
        """What moves, as far as that is known."""
        return frozenset(self._now.labels) if self._now else frozenset()

    def on(self, motion: Motion, labels: AbstractSet[str] = frozenset()) -> Turn:
        """Take what a sample showed, and the labels of what moves in it."""
        if not motion.is_moving:
            return self.tick(motion.at_us)
        self.last_us = motion.at_us
        before, self.phase = self.phase, Phase.ACTIVE
        if self._now is not None and motion.at_us - self._now.last_us < self._gone_us:
            self._now.add(motion)
            return self._learned(labels, motion.at_us, has_changed=before is not Phase.ACTIVE)
        ended = self._now  # of a camera that gave no picture meanwhile
        self._now = Episode(motion.at_us, motion.at_us, labels=set(labels))
        self._now.add(motion)
        return Turn(begun=self._now, ended=ended, has_changed=True)

    def label(self, labels: AbstractSet[str], now_us: int) -> Turn:
        """What moves, or has just moved, is known to be such."""
        return NOTHING if self._now is None else self._learned(labels, now_us)

    def tick(self, now_us: int) -> Turn:
        """So late it is, and nothing moves: also where no picture comes."""
        if self._now is None:
            return NOTHING
        quiet_us = now_us - self._now.last_us
        if quiet_us >= self._gone_us:
            return self.end()
        if self.phase is Phase.ACTIVE and quiet_us >= self._quiet_us:
            self.phase = Phase.ENDING
            return Turn(has_changed=True)
        return NOTHING

    def end(self) -> Turn:
        """Whatever there is, is over."""
        ended, self._now, self.phase = self._now, None, Phase.IDLE
        return Turn(ended=ended, has_changed=ended is not None)

    def _learned(self, labels: AbstractSet[str], now_us: int, *, has_changed: bool = False) -> Turn:
        assert self._now is not None
        has_changed |= not labels <= self._now.labels
        self._now.labels |= labels
        seen = self._now if self._now.has_news(now_us) else None
        return Turn(seen=seen, has_changed=has_changed)
