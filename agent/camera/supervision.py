"""When a camera is started, stopped, restarted and given up: every state and every change of state.

Pure: the time is an argument, and nothing here calls a camera. What the runner (`capture.py`) has to do
follows from the phase alone; what it saw, it says as a signal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from agent.errors import CameraError
from agent.model.event import EventKind
from agent.model.signal import CameraState


class Phase(Enum):
    """What the camera does, and what the runner does meanwhile."""

    PROBING = "probing"
    """Opened once before anybody watches, to know which camera there is."""
    RESTING = "resting"
    """Nobody watches."""
    OPENING = "opening"
    STARTING = "starting"
    AWAITING = "awaiting"
    """Started; its first picture has not come yet."""
    LIVE = "live"
    STOPPING = "stopping"
    """Nobody watches any more, or somebody wants it restarted."""
    CLEARING = "clearing"
    """Stopped because it failed."""
    FAILED = "failed"
    """Until somebody watches and the pause is over."""
    ENDED = "ended"
    """Only a new process can help (picamera2 #1392)."""


class Signal(Enum):
    """What happened. The last five are brought by time, see `Supervisor.due`."""

    OPENED = "opened"
    STARTED = "started"
    PICTURE = "picture"
    STOPPED = "stopped"
    BROKE = "broke"
    """It refused, or reported a failure."""
    ASKED = "asked"
    """Somebody wants it restarted."""
    HUNG = "hung"
    """A call into the camera did not return in time."""
    SILENT = "silent"
    """It runs, and no picture comes."""
    WANTED = "wanted"
    """Somebody watches, and the pause after the last failure is over."""
    UNWANTED = "unwanted"
    """Nobody has watched for the linger."""
    HOPELESS = "hopeless"
    """Restart after restart brought no picture."""


TRANSITIONS: dict[Phase, dict[Signal, Phase]] = {
    Phase.PROBING: {
        Signal.OPENED: Phase.RESTING,
        Signal.BROKE: Phase.FAILED,
        Signal.HUNG: Phase.FAILED,
    },
    Phase.RESTING: {
        Signal.WANTED: Phase.OPENING,
    },
    Phase.OPENING: {
        Signal.OPENED: Phase.STARTING,
        Signal.BROKE: Phase.FAILED,
        Signal.HUNG: Phase.FAILED,
    },
    Phase.STARTING: {
        Signal.STARTED: Phase.AWAITING,
        Signal.BROKE: Phase.CLEARING,
        Signal.HUNG: Phase.CLEARING,
    },
    Phase.AWAITING: {
        Signal.PICTURE: Phase.LIVE,
        Signal.BROKE: Phase.CLEARING,
        Signal.SILENT: Phase.CLEARING,
        Signal.ASKED: Phase.STOPPING,
        Signal.UNWANTED: Phase.STOPPING,
    },
    Phase.LIVE: {
        Signal.PICTURE: Phase.LIVE,
        Signal.BROKE: Phase.CLEARING,
        Signal.SILENT: Phase.CLEARING,
        Signal.ASKED: Phase.STOPPING,
        Signal.UNWANTED: Phase.STOPPING,
    },
    Phase.STOPPING: {
        Signal.STOPPED: Phase.RESTING,
        Signal.HUNG: Phase.FAILED,
    },
    Phase.CLEARING: {
        Signal.STOPPED: Phase.FAILED,
        Signal.HUNG: Phase.FAILED,
    },
    Phase.FAILED: {
        Signal.WANTED: Phase.OPENING,
        Signal.HOPELESS: Phase.ENDED,
    },
    Phase.ENDED: {},
}
"""A signal that a phase does not list cannot come in it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a camera may take."""

    start_s: float = 10
    """For an open, and for a start."""
    first_s: float = 3
    """Until its first picture."""
    stop_s: float = 3
    silence_s: float = 3
    silence_frames: int = 5
    """Slow cameras may be silent for this many frame intervals."""
    back_off_s: float = 1
    """The pause after the second failure in a row; none after the first, twice as long after each more."""
    back_off_max_s: float = 30
    healthy_s: float = 60
    """A failure after this much good video is a first one again."""
    silent_restarts: int = 5
    """When this many restarts in a row brought no picture, the process ends."""


class Supervisor:
    """The state of one camera: the phase, how often it failed in a row, and what people are told."""

    def __init__(self, patience: Patience, linger_s: float, jitter: Callable[[], float]) -> None:
        """`jitter` gives the share of a pause that is kept, from 0 to 1."""
        self.phase = Phase.PROBING
        self.state: CameraState = "idle"
        self.problem = ""
        """Why it failed, until it delivers again."""
        self.failures = 0
        """In a row."""
        self.silences = 0
        """How often in a row it failed of hanging or of silence."""
        self.fps = 30.0
        """Of the slowest stream."""
        self.error: CameraError | None = None
        """Of the last run that failed."""
        self._patience, self._linger_s, self._jitter = patience, linger_s, jitter
        self._cause: Signal | None = None
        self._is_watched = False
        self._unwatched_since_s = 0.0
        self._step_s = 0.0
        self._picture_s = self._retry_at_s = float("-inf")
        self._live_since_s: float | None = None
        """Since when this run, or the last one, delivers; None where it brought no picture."""

    @property
    def silence_s(self) -> float:
        """How long it may be silent, once it has given a picture."""
        return max(self._patience.silence_s, self._patience.silence_frames / self.fps)

    def quiet_s(self, now_s: float) -> float:
        """Since the last picture or the last change of phase, and since the first viewer came."""
        return now_s - max(self._picture_s, self._step_s)

    def begin(self, now_s: float) -> None:
        """The runner sets to work."""
        self._step_s = now_s

    def watch(self, *, is_watched: bool, now_s: float) -> None:
        """Somebody came or went; `is_watched`: there is still, or again, somebody."""
        if self._is_watched and not is_watched:
            self._unwatched_since_s = now_s
        elif is_watched and not self._is_watched and self.phase in (Phase.RESTING, Phase.FAILED):
            self._step_s = now_s  # the rest is over: what comes next is due from now
        self._is_watched = is_watched

    def due(self) -> Iterator[tuple[float, Signal]]:
        """What time brings in this phase, and when; where several are due, the first in order counts."""
        patience = self._patience
        match self.phase:
            case Phase.RESTING | Phase.FAILED:
                if self.phase is Phase.FAILED and self.silences > patience.silent_restarts:
                    yield self._step_s, Signal.HOPELESS
                if self._is_watched:
                    yield self._retry_at_s, Signal.WANTED
            case Phase.PROBING | Phase.OPENING | Phase.STARTING:
                yield self._step_s + patience.start_s, Signal.HUNG
            case Phase.STOPPING | Phase.CLEARING:
                yield self._step_s + patience.stop_s, Signal.HUNG
            case Phase.AWAITING | Phase.LIVE:
                least_s = patience.first_s if self.phase is Phase.AWAITING else 0.0
                yield max(self._step_s, self._picture_s) + max(self.silence_s, least_s), Signal.SILENT
                if not self._is_watched:
                    yield self._unwatched_since_s + self._linger_s, Signal.UNWANTED
            case Phase.ENDED:
                pass

    def wait_s(self, now_s: float) -> float | None:
        """Until time brings something; None where it never does."""
        at_s = min((at_s for at_s, _ in self.due()), default=None)
        return None if at_s is None else max(0.0, at_s - now_s)

    def brought(self, now_s: float) -> Signal | None:
        """What time has brought by now."""
        return next((signal for at_s, signal in self.due() if at_s <= now_s), None)

    def on(self, signal: Signal, now_s: float, error: CameraError | None = None) -> EventKind | None:
        """Take one signal; `error` says what failed. Returns the event to tell, if it makes one."""
        before, self.phase = self.phase, next_phase(self.phase, signal)
        if signal is Signal.PICTURE:
            self._picture_s = now_s
        if self.phase is before:
            return None
        self._step_s = now_s
        if error and self._cause is None:  # a stop that hangs after a failure is not what it failed of
            self._cause, self.error = signal, error
        match self.phase:
            case Phase.OPENING:
                self._live_since_s = self._cause = None
                self.state = "failed" if self.problem else "starting"
            case Phase.LIVE:
                return self._recover(now_s)
            case Phase.RESTING:
                self._rest()
            case Phase.FAILED:
                return self._fail(now_s)
            case _:
                pass  # what people are told stays as it is
        return None

    def _recover(self, now_s: float) -> EventKind | None:
        had_failed = bool(self.problem)
        self._live_since_s = now_s
        self.state, self.problem = "live", ""
        return "camera-recovered" if had_failed else None

    def _rest(self) -> None:
        if self._live_since_s is not None:  # a run that brought no picture has not shown that all is well
            self.failures = self.silences = 0
        self.state = "failed" if self.problem else "idle"

    def _fail(self, now_s: float) -> EventKind | None:
        had_failed = bool(self.problem)
        if self._live_since_s is not None and now_s - self._live_since_s >= self._patience.healthy_s:
            self.failures = self.silences = 0
        self.failures += 1
        self.silences = self.silences + 1 if self._cause in (Signal.SILENT, Signal.HUNG) else 0
        self._retry_at_s = now_s + self._pause_s()
        self.state, self.problem = "failed", str(self.error)
        return None if had_failed else "camera-failed"

    def _pause_s(self) -> float:
        if self.failures == 1:
            return 0
        doubled_s = self._patience.back_off_s * 2.0 ** min(self.failures - 2, 16)
        return min(self._patience.back_off_max_s, doubled_s) * self._jitter()


def next_phase(phase: Phase, signal: Signal) -> Phase:
    """One cell of the table. Raises LookupError where the runner says what cannot be."""
    try:
        return TRANSITIONS[phase][signal]
    except KeyError:
        raise LookupError(f"{signal.value!r} cannot come while the camera is {phase.value}") from None
