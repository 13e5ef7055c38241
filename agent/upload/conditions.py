"""Whether recordings may be sent now, and what they wait for. Pure."""

from dataclasses import dataclass
from typing import Literal

from agent.model.hours import Hours

Why = Literal["", "clock", "hours", "viewer", "signal", "plan", "disk", "store"]
"""As in `UploadSection.why`; empty where nothing is in the way."""
Signal = Literal["any", "weak", "fair", "good"]
_SIGNALS = ("poor", "weak", "fair", "good")
"""As the section `modem` has them, the worst first."""
QUIET_S = 5.0
"""After the last viewer has left: who reloads a page is back within that."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings allow."""

    hours: tuple[Hours, ...] = ()
    """None are all."""
    least_signal: Signal = "any"
    plan_bytes: int | None = None
    """Of a month's data, by whatever sends: from there on recordings wait. None: no plan bounds it."""


@dataclass(frozen=True, slots=True)
class Now:
    """How things stand."""

    weekday: int
    """0 is Monday, as in `minute` in the device's local time."""
    minute: int
    is_clock_set: bool
    viewers: int
    left_s: float
    """How long ago the last viewer left."""
    signal: str = ""
    """Of the modem that carries it; empty where there is none, or it does not tell."""
    used_bytes: int = 0
    """Of this month's data."""


def why_not(rules: Rules, now: Now) -> Why:
    """What is in the way. What a person can least change comes last."""
    if now.viewers or now.left_s < QUIET_S:
        return "viewer"
    if not now.is_clock_set:  # hours would be wrong, and an object's name has its date
        return "clock"
    if rules.hours and not any(one.covers(now.weekday, now.minute) for one in rules.hours):
        return "hours"
    if rules.plan_bytes is not None and now.used_bytes >= rules.plan_bytes:
        return "plan"
    if rules.least_signal != "any" and now.signal in _SIGNALS:
        is_enough = _SIGNALS.index(now.signal) >= _SIGNALS.index(rules.least_signal)
        return "" if is_enough else "signal"
    return ""
