"""What to try, and when, where a modem no longer leads to the portal. Pure: a state and a clock.

A round goes up the rungs, each with its pause for proof, until there is a path again. After a round comes a
rest that doubles; after 20 minutes a reboot, then after 40, up to six hours. Each step has its bound a day.

The day is counted in time that agents of this device have lived, which is kept on disk with the counts: a
wall clock steps by years where a board has no battery, and a monotonic one begins anew with each boot. Lived
time is never ahead of the real one, so a bound that holds by it holds. A disk that forgets with each boot (an
overlay in memory, a damaged card) has it begin at 0 each time, so a reboot waits until it is old enough.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, with_config

ModemStep = Literal["renew-bearer", "cycle-radio", "reset-modem", "reauthorize-usb", "power-cycle"]
Step = Literal[ModemStep, "reboot"]
Hindrance = Literal["", "sim-missing", "sim-locked", "denied", "no-coverage", "plan-spent"]
"""Why no step can help: each only costs the SIM its attempts to attach."""

OBSERVE_S = 30.0
"""A cell is changed, a tunnel ends: what comes back by itself needs no step."""
START_S = 120.0
"""From the agent's start: a modem that gets its power with the board takes a minute or so."""
WELL_S = 600.0
"""With a path for so long an outage is over for good: before, the next goes on with the longer rests."""
REST_S, MAX_REST_S = 600.0, 6 * 3600.0
REBOOT_AFTER_S = 1200.0
DAY_S = 86_400.0
REBOOTS_A_DAY = 4
MOST_ROUNDS = 1000
"""Nobody counts further: the rests are as long as they become."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step, how long the path may take to be there after it, and how often a day it may be taken."""

    step: ModemStep
    proof_s: float
    per_day: int


RUNGS = (
    Rung("renew-bearer", 15, 48),
    Rung("cycle-radio", 20, 24),  # a cell and a bearer, once the radio is on again
    Rung("reset-modem", 60, 12),  # an EC25 is back on USB after 18 s, and in its network after 30 to 50
    Rung("reauthorize-usb", 45, 8),  # no start of the modem, only its ports and its bearer
    Rung("power-cycle", 90, 6),
)
"""To power in about 200 s: a modem that only power cures needs another minute, and five are too many."""
GENTLE: frozenset[Step] = frozenset({"renew-bearer", "cycle-radio"})
"""Tried without a proof that the modem is at fault: they cost seconds of a path that is none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ladder is told each time."""

    has_path: bool
    has_media: bool = False
    """A viewer is being sent pictures, so something carries them."""
    is_at_fault: bool = True
    """Something says so of the modem, and not only the portal's silence; else only GENTLE steps are taken."""
    hindrance: Hindrance = ""
    able: frozenset[Step] = frozenset(get_args(ModemStep)) | {"reboot"}
    """The steps that this device has the means for, now."""


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Taken:
    """A step of the last day."""

    step: Step
    at_s: Annotated[float, Field(ge=0)]
    """In lived time."""


MAX_TAKEN = 128
"""All of a day, with as many reboots as the settings may allow."""


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Memory:
    """What outlives the agent and the boot."""

    lived_s: Annotated[float, Field(ge=0, le=1e10)] = 0.0
    taken: Annotated[tuple[Taken, ...], Field(max_length=MAX_TAKEN)] = ()
    steps: Annotated[int, Field(ge=0)] = 0
    """All that were ever taken."""
    last_step: Step | Literal[""] = ""
    rounds: Annotated[int, Field(ge=0, le=MOST_ROUNDS)] = 0
    """Since there was last a path for good; and the reboots among them."""
    reboots: Annotated[int, Field(ge=0, le=MOST_ROUNDS)] = 0
    rebooted_s: Annotated[float, Field(ge=0)] = 0.0
    """When the last of these was, in lived time."""


@dataclass(frozen=True, slots=True)
class Take:
    """Do this step, then say `on_taken`."""

    step: Step


@dataclass(frozen=True, slots=True)
class Held:
    """It would be time for a step, and none can help."""

    hindrance: Hindrance


@dataclass(frozen=True, slots=True)
class Recovered:
    """There is a path again."""

    after: Step | Literal[""]
    """The last step before; empty where it came back by itself."""
    lost_for_s: float
    """Since the agent's start, where it was a reboot."""


class Ladder:
    """One modem's. Times are monotonic and never go back."""

    def __init__(
        self, now_s: float, memory: Memory | None = None, *, reboots_a_day: int = REBOOTS_A_DAY
    ) -> None:
        """`memory` is what the last agent left, or None."""
        self._memory = _sound(memory or Memory())
        self._reboots_a_day = reboots_a_day
        self._started_s = self._aged_s = now_s
        self._well_since_s: float | None = None
        self._lost_at_s: float | None = None
        self._lost_lived_s = 0.0
        """From here the time to a reboot counts: hindrances do not."""
        self._due_s = now_s
        self._rung = 0
        self._rest_until_s: float | None = None
        """The round is over, and this long none begins."""
        self._after: Step | Literal[""] = ""
        self._is_held = False
        self._suspected_s: float | None = None
        """When the modem was last at fault, in this outage."""
        self._told: Hindrance = ""
        if self._memory.last_step == "reboot" and self._memory.rebooted_s == self._memory.lived_s:
            self._lose(now_s)  # the agent before was ended by it
            self._after = "reboot"

    @property
    def memory(self) -> Memory:
        """To be kept."""
        return self._memory

    @property
    def is_lost(self) -> bool:
        """There is no path."""
        return self._lost_at_s is not None

    def decide(self, now_s: float, facts: Facts) -> Take | Held | Recovered | None:
        """What to do now; asked every few seconds."""
        self._age(now_s)
        if facts.has_path:
            return self._on_path(now_s)
        self._well_since_s = None
        if self._lost_at_s is None:
            self._lose(now_s)
        if facts.is_at_fault:
            if self._suspected_s is None or now_s - self._suspected_s >= REBOOT_AFTER_S:
                self._suspect()
            self._suspected_s = now_s
        if now_s < self._due_s:
            return None
        if facts.has_media or facts.hindrance:
            return self._hold(facts)
        if self._is_held:
            self._let_go(now_s)
            return None
        step = self._next(now_s, facts.able if facts.is_at_fault else facts.able & GENTLE)
        return None if step is None else self._take(now_s, step)

    def on_taken(self, now_s: float, *, is_done: bool) -> None:
        """The step was done, and its proof begins; or it could not be done, and the next is due at once."""
        proofs_s: Mapping[str, float] = {rung.step: rung.proof_s for rung in RUNGS}
        self._due_s = now_s + (proofs_s.get(self._after, START_S) if is_done else 0)

    def taken_today(self) -> Mapping[Step, int]:
        """How often each step was taken within the last day."""
        return Counter(each.step for each in self._memory.taken)

    def has_left(self, step: ModemStep) -> bool:
        """The step may be taken once more within this day."""
        (bound,) = (rung.per_day for rung in RUNGS if rung.step == step)
        return self.taken_today().get(step, 0) < bound

    def _on_path(self, now_s: float) -> Recovered | None:
        if self._well_since_s is None:
            self._well_since_s = now_s
        if now_s - self._well_since_s >= WELL_S and (self._memory.rounds or self._memory.reboots):
            self._memory = replace(self._memory, rounds=0, reboots=0)
        if self._lost_at_s is None:
            return None
        recovered = Recovered(self._after, now_s - self._lost_at_s)
        self._lost_at_s, self._is_held, self._told, self._after = None, False, "", ""
        return recovered

    def _lose(self, now_s: float) -> None:
        self._lost_at_s, self._lost_lived_s = now_s, self._memory.lived_s
        self._rung, self._rest_until_s, self._suspected_s = 0, None, None
        self._due_s = max(now_s + OBSERVE_S, self._started_s + START_S)

    def _suspect(self) -> None:
        """The modem counts as at fault: what was left out is due, and the time to a reboot begins.

        Once, unless it looked well for as long: one that is up now and then would never get its reboot.
        """
        gentle = len(GENTLE)
        self._rung = gentle if self._rest_until_s is not None else min(self._rung, gentle)
        self._rest_until_s = None
        self._lost_lived_s = self._memory.lived_s

    def _hold(self, facts: Facts) -> Held | None:
        self._is_held = True
        if facts.hindrance == self._told:
            return None
        self._told = facts.hindrance
        return Held(facts.hindrance) if facts.hindrance else None

    def _let_go(self, now_s: float) -> None:
        """What hindered is over: the path may come back by itself."""
        self._is_held, self._told = False, ""
        self._due_s = now_s + OBSERVE_S
        self._lost_lived_s = self._memory.lived_s

    def _next(self, now_s: float, able: frozenset[Step]) -> Step | None:
        if self._rest_until_s is not None and now_s >= self._rest_until_s:
            self._rung, self._rest_until_s = 0, None
        while self._rest_until_s is None and self._rung < len(RUNGS):
            rung = RUNGS[self._rung]
            self._rung += 1
            if rung.step in able and self.has_left(rung.step):
                return rung.step
        if self._rest_until_s is None:
            self._rest_until_s = now_s + _doubled(REST_S, self._memory.rounds)
            self._memory = replace(self._memory, rounds=min(self._memory.rounds + 1, MOST_ROUNDS))
        can_reboot = "reboot" in able and self.taken_today().get("reboot", 0) < self._reboots_a_day
        return "reboot" if can_reboot and self._is_reboot_due() else None

    def _is_reboot_due(self) -> bool:
        """Never by a record that is younger than a reboot's share of the day: each boot may lose it."""
        memory = self._memory
        if memory.lived_s < DAY_S / self._reboots_a_day:
            return False
        waited_s = memory.lived_s - max(self._lost_lived_s, memory.rebooted_s)
        return waited_s >= _doubled(REBOOT_AFTER_S, memory.reboots)

    def _take(self, now_s: float, step: Step) -> Take:
        """Counted before it is done: a reboot leaves no time for it after."""
        memory = replace(
            self._memory,
            taken=(*self._memory.taken, Taken(step, self._memory.lived_s)),
            steps=self._memory.steps + 1,
            last_step=step,
        )
        if step == "reboot":
            reboots = min(memory.reboots + 1, MOST_ROUNDS)
            memory = replace(memory, reboots=reboots, rebooted_s=memory.lived_s)
        self._memory, self._after, self._due_s = memory, step, now_s
        return Take(step)

    def _age(self, now_s: float) -> None:
        lived_s = self._memory.lived_s + max(0.0, now_s - self._aged_s)
        self._aged_s = now_s
        recent = tuple(each for each in self._memory.taken if lived_s - each.at_s < DAY_S)
        self._memory = replace(self._memory, lived_s=lived_s, taken=recent)


def _doubled(first_s: float, times: int) -> float:
    return min(first_s * 2.0 ** min(times, 16), MAX_REST_S)


def _sound(memory: Memory) -> Memory:
    """What says of a step that it is yet to be taken was damaged: it counts as taken now."""
    lived_s = memory.lived_s
    taken = tuple(replace(each, at_s=min(each.at_s, lived_s)) for each in memory.taken)
    return replace(memory, taken=taken, rebooted_s=min(memory.rebooted_s, lived_s))
