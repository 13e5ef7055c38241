"""A camera that runs while somebody watches: started, supervised, restarted, stopped by the event loop."""

import asyncio
import contextlib
import dataclasses
import logging
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

from agent.camera.keyframes import KeyframeGate
from agent.camera.run import HungError, Run, call_in_thread, call_soon
from agent.camera.source import Camera, Formats, OnUnit
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import STREAMS, EncoderDemand, StreamFormat, StreamName
from agent.model.signal import CameraState, EventKind

log = logging.getLogger(__name__)

Details = dict[str, str | int | float | bool]


class SilentError(CameraError):
    """The camera runs, and no picture comes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """How long a camera may take."""

    start_s: float = 10
    stop_s: float = 3
    silence_s: float = 3
    silence_frames: int = 5
    """Slow cameras may be silent for this many frame intervals."""
    keyframe_gap_s: float = 0.3
    """The least time between two forced IDRs."""
    back_off_s: float = 1
    """The pause after the second failure in a row; none after the first, twice as long after each more."""
    back_off_max_s: float = 30
    healthy_s: float = 60
    """A failure after this much good video is a first one again."""
    silent_restarts: int = 5
    """When this many restarts in a row brought no picture, only a new process can help (picamera2 #1392)."""


DEFAULT_PATIENCE = Patience()


@dataclasses.dataclass(slots=True)
class Outlet:
    """One stream, as its watchers want it."""

    demand: EncoderDemand
    keyframe_gap_s: dataclasses.InitVar[float]
    watchers: int = 0
    gate: KeyframeGate = dataclasses.field(init=False)
    timer: asyncio.TimerHandle | None = None
    """Until the next forced IDR may come."""
    made_bps: int | None = None
    """What came out in the last whole second; None while that is not known."""
    _made_bytes: int = 0
    _made_since_s: float = 0.0

    def __post_init__(self, keyframe_gap_s: float) -> None:
        self.gate = KeyframeGate(keyframe_gap_s)

    def note(self, size_bytes: int, now_s: float) -> None:
        """A picture came out."""
        self._made_bytes += size_bytes
        elapsed_s = now_s - self._made_since_s
        if elapsed_s >= 1.0:
            self.made_bps = int(self._made_bytes * 8 / elapsed_s) if elapsed_s < 2.0 else None
            self._made_bytes, self._made_since_s = 0, now_s

    def cancel_timer(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None


class Capture:
    """The on-demand life cycle of one camera. All methods and callbacks belong to the event loop's thread.

    The first watcher of any stream starts the camera, `settings.linger_s` after the last one it stops. A
    camera that fails or falls silent is started again, with a growing pause, while somebody watches.
    """

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        settings: CameraSettings,
        on_unit: OnUnit,
        on_state: Callable[[CameraState, str], None],
        on_event: Callable[[EventKind, str, Details], None],
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        """`on_state` takes the state and, where it is `failed`, the problem; `on_event` what happened."""
        self.state: CameraState = "idle"
        self.problem = ""
        self.kind = ""
        self.has_stamp = False
        self.formats: Formats = {}
        """Of the running camera's streams, or of its last run's."""
        self.frames = 0
        self._open_camera = open_camera
        self._settings = settings
        self._on_unit, self._on_state, self._on_event = on_unit, on_state, on_event
        self._patience = patience
        self.most_bps: dict[StreamName, int] = {
            "main": settings.bitrate_bps,
            "preview": settings.preview.bitrate_bps,
        }
        self._outlets = {
            stream: Outlet(EncoderDemand(self.most_bps[stream], is_active=False), patience.keyframe_gap_s)
            for stream in STREAMS
        }
        self._camera: Camera | None = None
        self._running: Camera | None = None
        self._run: Run | None = None
        self._dropped_before = 0
        self._epoch = -1
        self._changed = asyncio.Event()
        self._unwatched_since_s = 0.0
        self._live_since_s: float | None = None
        self._last_unit_s = 0.0
        self._last_step_s = time.monotonic()
        self._failure: Exception | None = None
        self._failures = self._silences = 0
        self._retry_at_s = 0.0

    @property
    def dropped(self) -> int:
        """Pictures that came damaged or before a keyframe, or that the event loop was too late for."""
        handovers = self._run.handovers.values() if self._run else ()
        damaged = self._running.damaged if self._running else 0
        return self._dropped_before + damaged + sum(handover.dropped for handover in handovers)

    @property
    def is_watched(self) -> bool:
        """Somebody wants pictures."""
        return any(outlet.watchers for outlet in self._outlets.values())

    @property
    def forced_keyframes(self) -> int:
        """Keyframes of main that came when they were asked for."""
        return self._outlets["main"].gate.answered

    @property
    def quiet_s(self) -> float:
        """Since the last picture, and since this supervisor last did something."""
        return time.monotonic() - max(self._last_unit_s, self._last_step_s)

    def expected_formats(self) -> Formats:
        """Those of the running camera or of its last run; before the first one, a guess."""
        if self.formats:
            return self.formats
        guess: Formats = {"main": StreamFormat(1280, 720, 30)}
        if self._settings.preview.enabled is not False:
            guess["preview"] = StreamFormat(self._settings.preview.width_px, 360, self._settings.preview.fps)
        return guess

    @contextlib.contextmanager
    def watching(self, stream: StreamName) -> Iterator[None]:
        """Keep the camera running, and this stream encoded, inside the block."""
        if not self.is_watched:
            self._last_step_s = time.monotonic()  # the rest is over: what comes next is due from now
        self._outlets[stream].watchers += 1
        self._activate()
        self._changed.set()
        try:
            yield
        finally:
            self._outlets[stream].watchers -= 1
            self._unwatched_since_s = time.monotonic()
            self._activate()
            self._changed.set()

    def demand(self, stream: StreamName, bitrate_bps: int, fps_share: float, scale: float) -> None:
        """What a stream's encoder is to make, from the next picture on; see `EncoderDemand`."""
        outlet = self._outlets[stream]
        wanted = EncoderDemand(bitrate_bps, False, fps_share, scale, outlet.demand.is_active)
        if wanted != outlet.demand:
            outlet.demand = wanted
            if self._running:
                self._running.apply(stream, wanted)

    def made_bps(self, stream: StreamName) -> int | None:
        """What the encoder makes of its demand: less where the scene needs less; None while not known."""
        return self._outlets[stream].made_bps

    def request_keyframe(self, stream: StreamName) -> None:
        """An IDR as soon as the last forced one is old enough; many requests are one."""
        self._outlets[stream].gate.request()
        self._force_keyframe_when_due(stream)

    def _activate(self) -> None:
        """Encode what somebody watches; while nobody does, what was watched last, for who comes back."""
        if not self.is_watched:
            return
        # Who asks for a stream that this camera has not will get main.
        missing = any(self._outlets[s].watchers for s in STREAMS if s not in self.expected_formats())
        for stream, outlet in self._outlets.items():
            is_active = outlet.watchers > 0 or (stream == "main" and missing)
            if is_active != outlet.demand.is_active:
                outlet.demand = dataclasses.replace(outlet.demand, is_active=is_active)
                if self._running:
                    begins = dataclasses.replace(outlet.demand, keyframe=is_active)
                    self._running.apply(stream, begins)

    async def run(self) -> None:
        """Run until cancelled, and stop the camera then.

        Raises CameraError when the camera stays silent over `Patience.silent_restarts` restarts.
        """
        try:
            await self._open()
        except CameraError as exc:
            self._fail(exc)
        else:
            self._on_state(self.state, self.problem)  # now it is known which camera it is
        while True:
            await self._until_wanted()
            error = await self._run_once()
            if error:
                self._fail(error)
                continue
            self._failures = self._silences = 0
            self._set_state("idle")

    async def _open(self) -> Camera:
        if self._camera is None:
            camera = await call_in_thread("camera-open", self._patience.start_s, self._open_camera)
            if self.kind not in ("", camera.kind):
                # What was pulled out must not be replaced: by another camera, or by the demo's picture.
                raise CameraError(f"the {self.kind} camera is gone: check that it is attached")
            self._camera, self.kind, self.has_stamp = camera, camera.kind, camera.has_stamp
        return self._camera

    async def _until_wanted(self) -> None:
        """Return when somebody watches and the pause after the last failure is over."""
        while True:
            pause_s = self._retry_at_s - time.monotonic()
            if self.is_watched and pause_s <= 0:
                return
            await self._change(pause_s if self.is_watched else None)

    async def _change(self, limit_s: float | None = None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._changed.wait()
        self._changed.clear()

    async def _run_once(self) -> CameraError | None:
        """From a start to the stop after the linger (None), or to a failure."""
        self._epoch += 1
        self._last_step_s = time.monotonic()
        self._live_since_s = self._failure = None
        if not self.problem:
            self._set_state("starting")
        try:
            camera = await self._open()
            await self._started_to_unwanted(camera)
        except CameraError as exc:
            return exc
        return None

    async def _started_to_unwanted(self, camera: Camera) -> None:
        loop = asyncio.get_running_loop()
        run = self._run = Run(
            camera,
            wake=lambda: call_soon(loop, self._deliver),
            on_failure=lambda run, error: call_soon(loop, self._note_failure, run, error),
        )
        demands = {stream: outlet.demand for stream, outlet in self._outlets.items()}
        try:
            start = partial(run.start, demands)
            self.formats = await call_in_thread("camera-start", self._patience.start_s, start)
            self._running = camera
            self._activate()
            for stream, outlet in self._outlets.items():
                if outlet.demand != demands[stream]:
                    camera.apply(stream, outlet.demand)
            self._deliver()
            await self._supervise()
        finally:
            run.end()
            self._dropped_before, self._run, self._running = self.dropped, None, None
            for outlet in self._outlets.values():
                outlet.cancel_timer()
                outlet.gate.stopped()
            await self._stop(run)
        if self._camera is None:
            raise HungError(f"the {self.kind} camera does not stop")

    async def _supervise(self) -> None:
        """Return when nobody has watched for the linger; raise CameraError on a failure or silence."""
        started_s = time.monotonic()
        while True:
            patience = max(self._patience.silence_s, self._patience.silence_frames / self._least_fps())
            now_s = time.monotonic()
            if self._failure:
                raise CameraError(str(self._failure)) from self._failure
            silent_at_s = max(started_s, self._last_unit_s) + patience
            if now_s >= silent_at_s:
                raise SilentError(f"no picture from the {self.kind} camera for {patience:g} s")
            if self.is_watched:
                await self._change(silent_at_s - now_s)
                continue
            linger_ends_s = self._unwatched_since_s + self._settings.linger_s
            if now_s >= linger_ends_s:
                return
            await self._change(min(silent_at_s, linger_ends_s) - now_s)

    def _least_fps(self) -> float:
        return min(
            stream_format.fps * self._outlets[stream].demand.fps_share
            for stream, stream_format in self.formats.items()
        )

    async def _stop(self, run: Run) -> None:
        try:
            await call_in_thread("camera-stop", self._patience.stop_s, run.stop)
        except CameraError as exc:
            self._camera = None  # whatever it holds, it keeps; the next start opens another one
            log.warning(f"camera: {exc}; it is left behind")

    def _deliver(self) -> None:
        run = self._run
        if run is None or self._running is None:
            return  # pictures that overtake the return of their own start wait for it
        for stream, handover in run.handovers.items():
            for unit in handover.take():
                self.frames += 1
                self._last_unit_s = time.monotonic()
                self._outlets[stream].note(len(unit.data), self._last_unit_s)
                if unit.is_keyframe:
                    self._outlets[stream].gate.delivered()
                if self._live_since_s is None:
                    self._went_live()
                self._on_unit(stream, dataclasses.replace(unit, epoch=self._epoch))
            is_broken = handover.keyframe_needed and handover.dropped > 0
            if is_broken and self._outlets[stream].demand.is_active and self._live_since_s is not None:
                self.request_keyframe(stream)

    def _went_live(self) -> None:
        self._live_since_s = self._last_unit_s
        recovered = bool(self.problem)
        self._set_state("live")
        if recovered:
            self._on_event("camera-recovered", f"the {self.kind} camera delivers again", {"kind": self.kind})

    def _note_failure(self, run: Run, error: Exception) -> None:
        if run is self._run:
            self._failure = error
            self._changed.set()

    def _fail(self, error: CameraError) -> None:
        live_s = 0.0 if self._live_since_s is None else time.monotonic() - self._live_since_s
        if live_s >= self._patience.healthy_s:
            self._failures = self._silences = 0
        self._failures += 1
        self._last_step_s = time.monotonic()
        self._silences = self._silences + 1 if isinstance(error, SilentError | HungError) else 0
        self._retry_at_s = time.monotonic() + self._pause_s()
        log.warning(f"camera: {error}; failure {self._failures} in a row")
        outage_known = bool(self.problem)
        self._set_state("failed", str(error))
        if not outage_known:
            self._on_event("camera-failed", str(error), {"kind": self.kind})
        if self._silences > self._patience.silent_restarts:
            raise CameraError(f"{self._silences - 1} restarts did not help: {error}") from error

    def _pause_s(self) -> float:
        if self._failures == 1:
            return 0
        doubled_s = self._patience.back_off_s * 2.0 ** min(self._failures - 2, 16)
        return min(self._patience.back_off_max_s, doubled_s) * random.uniform(0.5, 1)  # noqa: S311  # jitter, not a secret

    def _set_state(self, state: CameraState, problem: str = "") -> None:
        if (state, problem) != (self.state, self.problem):
            self.state, self.problem = state, problem
            self._on_state(state, problem)

    def _force_keyframe_when_due(self, stream: StreamName) -> None:
        outlet = self._outlets[stream]
        outlet.cancel_timer()
        if not self._running:
            return  # a camera starts with a keyframe
        now_s = time.monotonic()
        if outlet.gate.take(now_s):
            self._running.apply(stream, dataclasses.replace(outlet.demand, keyframe=True))
        elif (due_s := outlet.gate.due_s()) is not None:
            loop = asyncio.get_running_loop()
            outlet.timer = loop.call_later(due_s - now_s, self._force_keyframe_when_due, stream)
