"""Whether the agent is alive, and one line about how it is. Pure: every cell is in its test."""

from dataclasses import dataclass
from datetime import UTC, datetime

from agent.model.clock import EARLIEST_UNIX_S
from agent.model.signal import CameraState

LIVE_SILENCE_S = 10.0
"""It has failed by then: the supervisor acts after 3 s or 5 frames, and its stop takes 3 s at most."""
STEP_S = 60.0
"""The longest that the camera's supervisor waits, pauses and time-outs together, before it does something."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the parts say of themselves at one moment."""

    ended: str
    """Which task that has to last has ended; empty while all live."""
    is_connected: bool
    broker: str
    """Where the broker is, or why it is not reached."""
    camera: CameraState
    camera_kind: str
    problem: str
    is_watched: bool
    quiet_s: float
    """Since the last picture, and since the camera's supervisor last did something."""
    start_s: float
    """How long the camera may take until its first picture."""
    viewers: int
    now_unix_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`words` is one line for `systemctl status`."""

    is_alive: bool
    words: str


def judge(vitals: Vitals) -> Verdict:
    """Alive while every task is, and pictures flow, the camera rests on purpose, or its supervisor works.

    A camera or a broker that is missing does not make an agent dead: it is degraded, and goes on trying.
    """
    words = _words(vitals)
    if vitals.ended:
        return Verdict(is_alive=False, words=f"ending; {vitals.ended}; {words}")
    if _is_stuck(vitals):
        return Verdict(is_alive=False, words=f"stuck; {words}")
    is_whole = vitals.is_connected and vitals.camera != "failed" and vitals.now_unix_s >= EARLIEST_UNIX_S
    return Verdict(is_alive=True, words=f"{'serving' if is_whole else 'degraded'}; {words}")


def _words(vitals: Vitals) -> str:
    camera = f"camera {vitals.camera}" + (f" ({vitals.camera_kind})" if vitals.camera_kind else "")
    parts = [
        f"broker connected ({vitals.broker})" if vitals.is_connected else f"no broker: {vitals.broker}",
        f"{camera}: {vitals.problem}" if vitals.problem else camera,
        f"{vitals.viewers} viewer{'' if vitals.viewers == 1 else 's'}",
    ]
    if vitals.now_unix_s < EARLIEST_UNIX_S:
        said = datetime.fromtimestamp(vitals.now_unix_s, UTC)
        parts.append(f"the clock is not set: it says {said:%Y-%m-%d}")
    return "; ".join(parts)


def _is_stuck(vitals: Vitals) -> bool:
    if vitals.camera in ("live", "starting"):
        return vitals.quiet_s > (LIVE_SILENCE_S if vitals.camera == "live" else _step_s(vitals))
    return vitals.is_watched and vitals.quiet_s > _step_s(vitals)


def _step_s(vitals: Vitals) -> float:
    return max(STEP_S, 2 * vitals.start_s)
