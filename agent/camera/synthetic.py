"""The moving test picture as a camera: no hardware, yet encoded, paced and controlled like the others."""

import threading
import time
from collections.abc import Callable

from agent.camera.duo import Duo
from agent.camera.pace import Pace
from agent.camera.picture import TestPicture
from agent.camera.source import Demands, Formats, OnUnit
from agent.camera.worker import Worker
from agent.config import CameraSettings
from agent.model.media import EncoderDemand, StreamName

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 30.0


class SyntheticCamera:
    """See `agent.camera.source.Camera`."""

    kind = "synthetic"
    has_stamp = True
    damaged = 0

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._width, self._height = settings.width_px or WIDTH_PX, settings.height_px or HEIGHT_PX
        self._fps = settings.fps or FPS
        # Painted when the camera is chosen: at a viewer's click its 50 ms would hold up the answer.
        self._picture = TestPicture(self._width, self._height, self._fps)
        self._worker: Worker | None = None
        self._duo: Duo | None = None

    def start(self, demands: Demands, on_unit: OnUnit, on_failure: Callable[[Exception], None]) -> Formats:
        fps, picture = self._fps, self._picture
        duo = Duo(self._settings, self._width, self._height, fps, demands)

        def body(stopping: threading.Event) -> None:
            pace = Pace(_now_us(), fps)
            while not stopping.wait(max(0, pace.due_us - _now_us()) / 1e6):
                capture_us = _now_us()
                frame = picture.draw(capture_us, time.time_ns() // 1_000_000)
                for stream, unit in duo.encode(frame, capture_us):
                    on_unit(stream, unit)
                pace.advance(_now_us())

        self._duo = duo
        self._worker = Worker("camera-synthetic", body, on_failure)
        self._worker.start()
        return duo.formats

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        if self._duo:
            self._duo.apply(stream, demand)

    def stop(self) -> None:
        worker, self._worker, self._duo = self._worker, None, None
        if worker:
            worker.stop()


def _now_us() -> int:
    return time.monotonic_ns() // 1000
