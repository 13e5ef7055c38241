"""When motion begins, goes on and is over: every state and every change of state. Pure."""

from dataclasses import dataclass, field
from enum import Enum

from agent.motion.detector import Motion


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
    score: float = 0.0

    def add(self, motion: Motion) -> None:
        self.last_us = motion.at_us
        self.zones.update(motion.zones)
        self.score = max(self.score, motion.score)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a sample, or the passing of time, made of it."""

    begun: Episode | None = None
    ended: Episode | None = None
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

    def on(self, motion: Motion) -> Turn:
        """Take what a sample showed."""
        if not motion.is_moving:
            return self.tick(motion.at_us)
        self.last_us = motion.at_us
        before, self.phase = self.phase, Phase.ACTIVE
        if self._now is not None and motion.at_us - self._now.last_us < self._gone_us:
            self._now.add(motion)
            return Turn(has_changed=before is not Phase.ACTIVE)
        ended = self._now  # of a camera that gave no picture meanwhile
        self._now = Episode(motion.at_us, motion.at_us)
        self._now.add(motion)
        return Turn(begun=self._now, ended=ended, has_changed=True)

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
