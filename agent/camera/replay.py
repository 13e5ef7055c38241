"""A video file as a camera: decoded, encoded again, and looped for ever.

Encoding again costs CPU, and is the only way in which a file obeys like a camera: it takes any bitrate, gives
a keyframe when one is asked for, joins its loops without a glitch, and no bit of an unknown file reaches a
browser.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av

from agent.camera.duo import Duo
from agent.camera.pace import Pace
from agent.camera.source import Demands, Formats, OnUnit
from agent.camera.worker import Worker
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import EncoderDemand, StreamName

log = logging.getLogger(__name__)

MAX_WIDTH_PX, MAX_HEIGHT_PX = 1920, 1080
MIN_FPS, MAX_FPS = 1.0, 60.0
DEFAULT_FPS = 30.0
"""For a file that does not tell."""


def fit(width_px: int, height_px: int) -> tuple[int, int]:
    """The largest even size of this shape within the limits; never larger than the picture is."""
    scale = min(1, MAX_WIDTH_PX / width_px, MAX_HEIGHT_PX / height_px)
    return max(16, round(width_px * scale) & ~1), max(16, round(height_px * scale) & ~1)


def rate(guessed: Fraction | None, average: Fraction | None) -> float:
    """Frames a second within the limits: FFmpeg's guess, for the average of a raw stream is made up."""
    for known in (guessed, average):
        if known and MIN_FPS <= known <= MAX_FPS:
            return float(known)
    return min(MAX_FPS, max(MIN_FPS, float(guessed or average or DEFAULT_FPS)))


class ReplayCamera:
    """See `agent.camera.source.Camera`. Pictures come at the file's mean rate, whatever its stamps say."""

    kind = "replay"
    has_stamp = False

    def __init__(self, settings: CameraSettings, path: str) -> None:
        """Raise CameraError where there is no such file."""
        self._settings = settings
        self._path = Path(path)
        self._worker: Worker | None = None
        self._duo: Duo | None = None
        if not self._path.is_file():
            raise CameraError(f"replay: there is no file {path}")

    def start(self, demands: Demands, on_unit: OnUnit, on_failure: Callable[[Exception], None]) -> Formats:
        width, height, fps = self._probe()
        duo = Duo(self._settings, width, height, fps, demands)

        def body(stopping: threading.Event) -> None:
            pace = Pace(_now_us(), fps)
            for frame in self._frames():
                if stopping.wait(max(0, pace.due_us - _now_us()) / 1e6):
                    return
                for stream, unit in duo.encode(frame, _now_us()):
                    on_unit(stream, unit)
                pace.advance(_now_us())

        self._duo = duo
        self._worker = Worker("camera-replay", body, on_failure)
        self._worker.start()
        return duo.formats

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        if self._duo:
            self._duo.apply(stream, demand)

    def stop(self) -> None:
        worker, self._worker, self._duo = self._worker, None, None
        if worker:
            worker.stop()

    def _probe(self) -> tuple[int, int, float]:
        """Width, height and rate to encode: the settings', else the file's."""
        with self._open() as container:
            stream = container.streams.video[0]
            fps = self._settings.fps or rate(stream.guessed_rate, stream.average_rate)
            width, height = stream.codec_context.width, stream.codec_context.height
        if width < 16 or height < 16:
            raise CameraError(f"replay: {self._path} has no picture size")
        width, height = fit(width, height)
        return self._settings.width_px or width, self._settings.height_px or height, fps

    def _frames(self) -> Iterator[av.VideoFrame]:
        """The pictures, again and again. Raises CameraError where a whole loop has none."""
        while True:
            count = 0
            with self._open() as container:
                for frame in _decoded(container):
                    count += 1
                    yield frame
            if not count:
                raise CameraError(f"replay: no picture of {self._path} can be decoded")

    def _open(self) -> "av.container.InputContainer":
        try:
            container = av.open(str(self._path), "r")
        except (av.FFmpegError, OSError) as exc:
            raise CameraError(f"replay: {self._path} is not a video file: {exc}") from exc
        if not container.streams.video:
            container.close()
            raise CameraError(f"replay: {self._path} has no video")
        return container


def _decoded(container: "av.container.InputContainer") -> Iterator[av.VideoFrame]:
    """What can be decoded; what cannot is left out, as a player does."""
    stream = container.streams.video[0]
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue
    except av.FFmpegError as exc:
        log.warning(f"replay: the file breaks off: {exc}")


def _now_us() -> int:
    return time.monotonic_ns() // 1000
