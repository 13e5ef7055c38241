"""Runs a camera on demand, from the event loop: carries out what its supervisor decides."""

import asyncio
import contextlib
import dataclasses
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from agent.camera.luma import LumaTap, OnLuma, OnSightings, ignore
from agent.camera.outlet import Outlet
from agent.camera.run import HungError, Run, call_in_thread
from agent.camera.source import Camera, Formats, OnUnit
from agent.camera.supervision import Patience, Phase, Signal, Supervisor
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.event import EventKind
from agent.model.media import STREAMS, EncoderDemand, Need, StreamFormat, StreamName
from agent.model.motion import Luma
from agent.model.sections import CameraSection, StreamSection, StreamsSection
from agent.model.signal import CameraState
from agent.model.threads import call_soon

log = logging.getLogger(__name__)

Details = dict[str, str | int | float | bool]
DEFAULT_PATIENCE = Patience()


class Capture:
    """Runs one camera for those who watch it, as `Supervisor` says. For the event loop's thread only.

    The first viewer of any stream starts the camera; it stops `settings.linger_s` after the last one has
    left. A camera that fails or falls silent is restarted, with a growing pause, while somebody watches.
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
        self.kind = ""
        self.has_stamp = False
        self.formats: Formats = {}
        """Of the running camera's streams, or of its last run's."""
        self.frames = 0
        self._open_camera = open_camera
        self._settings = settings
        self._on_unit, self._on_state, self._on_event = on_unit, on_state, on_event
        self.most_bps: dict[StreamName, int] = {
            "main": settings.bitrate_bps,
            "preview": settings.preview.bitrate_bps,
        }
        self._outlets = {
            stream: Outlet(EncoderDemand(self.most_bps[stream], is_active=False)) for stream in STREAMS
        }
        self._supervisor = Supervisor(patience, settings.linger_s, _jitter)
        self._stop_s, self.first_picture_s = patience.stop_s, patience.start_s + patience.first_s
        self._work: dict[Phase, Callable[[], Awaitable[None]]] = {
            Phase.PROBING: self._probe,
            Phase.RESTING: self._wait,
            Phase.OPENING: self._open,
            Phase.STARTING: self._start,
            Phase.AWAITING: self._wait,
            Phase.LIVE: self._wait,
            Phase.STOPPING: self._stop,
            Phase.CLEARING: self._stop,
            Phase.FAILED: self._wait,
        }
        self._camera: Camera | None = None
        self._running: Camera | None = None
        """The same, while its pictures count."""
        self._run: Run | None = None
        self._unstopped: Run | None = None
        """From before its start until its stop has returned, or is given up."""
        self._dropped_before = 0
        self._lookers = 0
        self._epoch = -1
        self._changed = asyncio.Event()
        self._is_asked = False
        """To restart."""
        self._failure: Exception | None = None

    @property
    def state(self) -> CameraState:
        """What people are told."""
        return self._supervisor.state

    @property
    def problem(self) -> str:
        """Why the state is `failed`, and what to do."""
        return self._supervisor.problem

    def section(self) -> CameraSection:
        """What the device's state says of the camera."""
        return CameraSection(self.state, self.kind, self.problem, self.has_stamp)

    def streams_section(self) -> StreamsSection:
        """What it says of the streams."""
        made = {
            stream: StreamSection(of.width_px, of.height_px, of.fps, self.most_bps[stream])
            for stream, of in self.formats.items()
        }
        return StreamsSection(**made)

    @property
    def dropped(self) -> int:
        """Pictures that came damaged or before a keyframe, or that the event loop was too late for."""
        handovers = self._run.handovers.values() if self._run else ()
        damaged = self._running.damaged if self._running else 0
        return self._dropped_before + damaged + sum(handover.dropped for handover in handovers)

    @property
    def is_watched(self) -> bool:
        """Somebody wants pictures."""
        return self._lookers > 0 or any(outlet.watchers for outlet in self._outlets.values())

    @property
    def forced_keyframes(self) -> int:
        """Keyframes of main that came when they were asked for."""
        return self._outlets["main"].gate.answered

    @property
    def quiet_s(self) -> float:
        """Since the last picture, and since this supervisor last did something."""
        return self._supervisor.quiet_s(_now_s())

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
        self._watch(stream, 1)
        try:
            yield
        finally:
            self._watch(stream, -1)

    @contextlib.contextmanager
    def looking(self, tap: LumaTap, on_luma: OnLuma, on_sightings: OnSightings = ignore) -> Iterator[None]:
        """Keep the camera running inside the block, and look at its pictures; nothing is encoded for it."""
        soon = partial(call_soon, asyncio.get_running_loop())
        tap.want(partial(soon, self._note_luma, on_luma), partial(soon, on_sightings))
        self._lookers += 1
        self._note_wanted()
        try:
            yield
        finally:
            tap.want(None)
            self._lookers -= 1
            self._note_wanted()

    def demand(self, stream: StreamName, bitrate_bps: int, fps_share: float, scale: float) -> None:
        """What a stream's encoder is to make, from the next picture on; see `EncoderDemand`."""
        outlet = self._outlets[stream]
        wanted = dataclasses.replace(outlet.demand, bitrate_bps=bitrate_bps, fps_share=fps_share, scale=scale)
        if wanted != outlet.demand:
            outlet.demand = wanted
            self._note_fps()
            if self._running:
                self._running.apply(stream, wanted)

    def hold(self, stream: StreamName, *, is_held: bool) -> None:
        """Whether the next pictures are left out before the encoder; for less than `Patience.silence_s`."""
        outlet = self._outlets[stream]
        outlet.hold(is_held=is_held)
        if self._running:
            self._running.apply(stream, outlet.demand)

    def made_bps(self, stream: StreamName) -> int | None:
        """What the encoder makes of its demand: less where the scene needs less; None while not known."""
        return self._outlets[stream].made_bps

    def request_keyframe(self, stream: StreamName, need: Need) -> None:
        """An IDR as soon as the last forced one is old enough for this need; many requests are one."""
        self._outlets[stream].gate.request(need, _now_s())
        self._force_keyframe_when_due(stream)

    def restart(self) -> bool:
        """Stop the camera, and start it again for those who watch; False where it does not run."""
        self._is_asked = self._running is not None
        self._changed.set()
        return self._is_asked

    async def run(self) -> None:
        """Run until cancelled, and stop the camera then.

        Raises CameraError when the camera stays silent over `Patience.silent_restarts` restarts.
        """
        supervisor = self._supervisor
        supervisor.begin(_now_s())
        try:
            while supervisor.phase is not Phase.ENDED:
                await self._work[supervisor.phase]()
        finally:
            await self._release(self._stop_s)
        restarts = supervisor.silences - 1
        raise CameraError(f"{restarts} restarts did not help: {supervisor.error}") from supervisor.error

    # What the runner does in each phase, until the supervisor is in another one, or may be.

    async def _probe(self) -> None:
        await self._open()
        if self._supervisor.phase is Phase.RESTING:
            self._on_state(self.state, self.problem)  # now it is known which camera it is

    async def _open(self) -> None:
        try:
            if self._camera is None:
                self._take(await call_in_thread("camera-open", self._limit_s(), self._open_camera))
        except CameraError as exc:
            self._say_failed(exc)
        else:
            self._say(Signal.OPENED)

    def _take(self, camera: Camera) -> None:
        if self.kind not in ("", camera.kind):
            # What was pulled out must not be replaced: by another camera, or by the demo's picture.
            raise CameraError(f"the {self.kind} camera is gone: check that it is attached")
        self._camera, self.kind, self.has_stamp = camera, camera.kind, camera.has_stamp

    async def _start(self) -> None:
        camera = self._camera
        assert camera is not None
        loop = asyncio.get_running_loop()
        self._epoch += 1
        self._failure, self._is_asked = None, False
        run = self._run = self._unstopped = Run(
            camera,
            wake=lambda: call_soon(loop, self._deliver),
            on_failure=lambda run, error: call_soon(loop, self._note_failure, run, error),
        )
        demands = {stream: outlet.demand for stream, outlet in self._outlets.items()}
        try:
            start = partial(run.start, demands)
            self.formats = await call_in_thread("camera-start", self._limit_s(), start)
        except CameraError as exc:
            self._say_failed(exc)
            return
        self._running = camera
        self._say(Signal.STARTED)
        self._activate()
        self._note_fps()
        for stream, outlet in self._outlets.items():
            if outlet.demand != demands[stream]:
                camera.apply(stream, outlet.demand)
        self._deliver()

    async def _wait(self) -> None:
        if self._running and self._failure:
            error = CameraError(str(self._failure))
            error.__cause__ = self._failure
            self._say(Signal.BROKE, error)
        elif self._running and self._is_asked:
            self._is_asked = False
            self._say(Signal.ASKED)
        elif signal := self._supervisor.brought(_now_s()):
            silence = f"no picture from the {self.kind} camera for {self._supervisor.silence_s:g} s"
            self._say(signal, CameraError(silence) if signal is Signal.SILENT else None)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._supervisor.wait_s(_now_s())):
                    await self._changed.wait()
            self._changed.clear()

    async def _stop(self) -> None:
        if await self._release(self._limit_s()):
            self._say(Signal.STOPPED)
        else:
            self._say(Signal.HUNG, HungError(f"the {self.kind} camera does not stop"))

    async def _release(self, limit_s: float) -> bool:
        """Stop what was started; False where that did not end in time, and what it holds is left behind."""
        run = self._unstopped
        if run is None:
            return True
        run.end()
        self._dropped_before, self._run, self._running = self.dropped, None, None
        for outlet in self._outlets.values():
            outlet.cancel_timer()
            outlet.gate.stopped()
        try:
            await call_in_thread("camera-stop", limit_s, run.stop)
        except CameraError as exc:
            self._camera = None  # whatever it holds, it keeps; the next start opens another one
            log.warning(f"camera: {exc}; it is left behind")
        self._unstopped = None
        return self._camera is not None

    def _limit_s(self) -> float:
        """Until a call that begins now is one that hangs."""
        return self._supervisor.wait_s(_now_s()) or 0.0

    def _say_failed(self, error: CameraError) -> None:
        self._say(Signal.HUNG if isinstance(error, HungError) else Signal.BROKE, error)

    def _say(self, signal: Signal, error: CameraError | None = None) -> None:
        """Tell the supervisor, and tell others what follows."""
        supervisor = self._supervisor
        before = supervisor.phase, supervisor.state, supervisor.problem
        event = supervisor.on(signal, _now_s(), error)
        phase, state, problem = supervisor.phase, supervisor.state, supervisor.problem
        if phase is Phase.FAILED and before[0] is not Phase.FAILED:
            log.warning(f"camera: {problem}; failure {supervisor.failures} in a row")
        if (state, problem) != before[1:]:
            self._on_state(state, problem)
        if event:
            message = problem or f"the {self.kind} camera delivers again"
            self._on_event(event, message, {"kind": self.kind})

    def _watch(self, stream: StreamName, change: int) -> None:
        self._outlets[stream].watchers += change
        self._note_wanted()

    def _note_wanted(self) -> None:
        self._supervisor.watch(is_watched=self.is_watched, now_s=_now_s())
        self._activate()
        self._changed.set()

    def _note_luma(self, on_luma: Callable[[Luma], None], luma: Luma) -> None:
        if self._running is None:
            return
        if not any(outlet.demand.is_active for outlet in self._outlets.values()):
            self._say(Signal.PICTURE)  # of an encoder that is silent it says nothing
        on_luma(luma)

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

    def _note_fps(self) -> None:
        if self.formats:
            self._supervisor.fps = min(
                of.fps * self._outlets[stream].demand.fps_share for stream, of in self.formats.items()
            )

    def _deliver(self) -> None:
        run = self._run
        if run is None or self._running is None:
            return  # pictures that overtake the return of their own start wait for it
        for stream, handover in run.handovers.items():
            for unit in handover.take():
                self.frames += 1
                self._outlets[stream].note(len(unit.data), _now_s())
                if unit.is_keyframe:
                    self._outlets[stream].gate.delivered()
                self._say(Signal.PICTURE)
                self._on_unit(stream, dataclasses.replace(unit, epoch=self._epoch))
            is_broken = handover.keyframe_needed and handover.dropped > 0
            is_live = self._supervisor.phase is Phase.LIVE
            if is_broken and is_live and self._outlets[stream].demand.is_active:
                self.request_keyframe(stream, Need.START)

    def _note_failure(self, run: Run, error: Exception) -> None:
        if run is self._run:
            self._failure = error
            self._changed.set()

    def _force_keyframe_when_due(self, stream: StreamName) -> None:
        outlet = self._outlets[stream]
        outlet.cancel_timer()
        if not self._running:
            return  # a camera starts with a keyframe
        now_s = _now_s()
        if outlet.gate.take(now_s):
            self._running.apply(stream, dataclasses.replace(outlet.demand, keyframe=True))
        elif (due_s := outlet.gate.due_s()) is not None:
            loop = asyncio.get_running_loop()
            outlet.timer = loop.call_later(due_s - now_s, self._force_keyframe_when_due, stream)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _jitter() -> float:
    return random.uniform(0.5, 1)  # noqa: S311  # spreads load, keeps no secret
