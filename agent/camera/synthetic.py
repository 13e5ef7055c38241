"""The moving test picture as a camera: no hardware, yet encoded, paced and controlled like the others."""

import threading
import time
from collections.abc import Callable

from agent.camera.duo import Duo
from agent.camera.masking import Masking
from agent.camera.pace import Pace
from agent.camera.picture import TestPicture
from agent.camera.projector import Projector, seconds_to
from agent.camera.source import Demands, Formats, OnUnit
from agent.config import CameraSettings
from agent.model.clock import now_us

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 30.0


class SyntheticCamera:
    """See `agent.camera.source.Camera`."""

    kind = "synthetic"
    has_stamp = True
    damaged = 0

    def __init__(self, settings: CameraSettings, masking: Masking | None = None) -> None:
        self._settings = settings
        self._masking = masking or Masking()
        self._width, self._height = settings.width_px or WIDTH_PX, settings.height_px or HEIGHT_PX
        self._fps = settings.fps or FPS
        # Painted when the camera is chosen: at a viewer's click its 50 ms would hold up the answer.
        self._picture = TestPicture(self._width, self._height, self._fps)
        self._projector = Projector("camera-synthetic")
        self.apply, self.stop = self._projector.apply, self._projector.stop

    def start(self, demands: Demands, on_unit: OnUnit, on_failure: Callable[[Exception], None]) -> Formats:
        fps, picture = self._fps, self._picture
        self._masking.begin("test picture")
        duo = Duo(self._settings, self._width, self._height, fps, demands, self._masking)

        def show(stopping: threading.Event) -> None:
            begun_us = now_us()
            pace = Pace(begun_us, fps)
            while not stopping.wait(seconds_to(pace.due_us)):
                capture_us = now_us()
                if duo.wants(capture_us):
                    frame = picture.draw(capture_us - begun_us, time.time_ns() // 1_000_000)
                    for stream, unit in duo.encode(frame, capture_us):
                        on_unit(stream, unit)
                pace.advance(now_us())

        return self._projector.start(duo, show, on_failure)
