"""A camera tried for a moment, on its own: what it delivers, and what encodes it."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agent.camera.run import HungError, Run, call_in_thread
from agent.camera.source import Camera, Demands
from agent.errors import CameraError
from agent.model.media import EncoderDemand, StreamFormat
from agent.model.threads import call_soon

OPEN_S = 5.0
START_S = 8.0
STOP_S = 3.0
X264_MARK = b"x264 - core"
"""libx264 writes its name into the SEI of its first picture; no hardware encoder does."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out of a camera within a stretch of time."""

    kind: str
    format: StreamFormat
    frames: int
    keyframes: int
    fps: float
    bitrate_bps: float
    start_ms: float
    """From the start of the camera to its first picture."""
    is_software: bool
    """libx264 on the CPU made this."""


async def try_camera(open_camera: Callable[[], Camera], bitrate_bps: int, seconds: float) -> Trial:
    """Run it for so long from its first picture, and release it. Raises CameraError.

    Takes `OPEN_S`, twice `START_S`, `STOP_S` and the `seconds` at most, even where a driver hangs.
    """
    camera = await call_in_thread("camera-open", OPEN_S, open_camera)
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    failures: list[Exception] = []

    def on_failure(_run: Run, error: Exception) -> None:
        failures.append(error)
        call_soon(loop, changed.set)

    run = Run(camera, wake=lambda: call_soon(loop, changed.set), on_failure=on_failure)
    started_s = loop.time()
    try:
        demand = EncoderDemand(bitrate_bps)
        demands: Demands = {"main": demand, "preview": replace(demand, is_active=False)}
        formats = await call_in_thread("camera-start", START_S, partial(run.start, demands))
        tally = await _watch(run, changed, failures, seconds)
    finally:
        run.end()
        with contextlib.suppress(HungError):  # its thread is left behind; what it was about has been told
            await call_in_thread("camera-stop", STOP_S, run.stop)
    return tally.trial(camera.kind, formats["main"], started_s)


@dataclass(slots=True)
class _Tally:
    first_s: float | None = None
    last_s: float = 0.0
    frames: int = 0
    keyframes: int = 0
    size_bytes: int = 0
    is_software: bool = False

    def trial(self, kind: str, stream_format: StreamFormat, started_s: float) -> Trial:
        first_s = self.first_s or started_s
        lasted_s = max(self.last_s - first_s, 1e-3)
        return Trial(
            kind=kind,
            format=stream_format,
            frames=self.frames,
            keyframes=self.keyframes,
            fps=(self.frames - 1) / lasted_s,
            bitrate_bps=self.size_bytes * 8 / lasted_s,
            start_ms=(first_s - started_s) * 1000,
            is_software=self.is_software,
        )


async def _watch(run: Run, changed: asyncio.Event, failures: list[Exception], seconds: float) -> _Tally:
    tally = _Tally()
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + START_S  # to the first picture
    while (left_s := ends_s - loop.time()) > 0:
        try:
            async with asyncio.timeout(left_s):
                await changed.wait()
        except TimeoutError:
            break
        changed.clear()
        if failures:
            raise CameraError(str(failures[0])) from failures[0]
        for unit in run.handovers["main"].take():
            tally.last_s = loop.time()
            if tally.first_s is None:
                tally.first_s = tally.last_s
                ends_s = tally.first_s + seconds
            tally.frames += 1
            tally.keyframes += unit.is_keyframe
            tally.size_bytes += len(unit.data)
            tally.is_software |= unit.is_keyframe and X264_MARK in unit.data
    if tally.first_s is None:
        raise CameraError(f"no picture within {START_S:g} s of its start: check its cable")
    return tally
