"""A video file as a camera: decoded, encoded again, and looped for ever.

Encoding again costs CPU, and is the only way in which a file obeys like a camera: it takes any bitrate, gives
a keyframe when one is asked for, joins its loops without a glitch, and no bit of an unknown file reaches a
browser.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.camera import film
from agent.camera.duo import Duo
from agent.camera.losses import Losses
from agent.camera.masking import Masking
from agent.camera.pace import Stamps
from agent.camera.projector import Projector, seconds_to
from agent.camera.source import Demands, Formats, OnUnit
from agent.camera.transcoder import Transcoder
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.clock import now_us

MAX_WIDTH_PX, MAX_HEIGHT_PX = 1920, 1080
HOLD_S = 1 / film.MIN_FPS
"""A picture that stands for longer is sent again, so that who joins sees it soon."""
DAMAGED_IN_A_ROW = 1000
"""A file is read much faster than it plays: a long damaged stretch is passed in a moment."""


def fit(width_px: int, height_px: int) -> tuple[int, int]:
    """The largest even size of this shape within the limits; never larger than the picture is."""
    scale = min(1, MAX_WIDTH_PX / width_px, MAX_HEIGHT_PX / height_px)
    return max(16, round(width_px * scale) & ~1), max(16, round(height_px * scale) & ~1)


class ReplayCamera:
    """See `agent.camera.source.Camera`. Plays at the speed of the file's stamps."""

    kind = "replay"
    has_stamp = False

    def __init__(self, settings: CameraSettings, path: str, masking: Masking | None = None) -> None:
        """Raise CameraError where there is no such file, or nobody can tell."""
        self._settings = settings
        self._masking = masking or Masking()
        self._path = Path(path)
        self._projector = Projector("camera-replay")
        self.apply, self.stop = self._projector.apply, self._projector.stop
        self._losses = Losses(DAMAGED_IN_A_ROW)
        try:
            is_there = self._path.is_file()
        except OSError as exc:  # a folder on the way is closed to us
            raise CameraError(f"replay: {path}: {exc.strerror}") from exc
        if not is_there:
            raise CameraError(f"replay: there is no file {path}")

    @property
    def damaged(self) -> int:
        return self._losses.total

    def start(self, demands: Demands, on_unit: OnUnit, on_failure: Callable[[Exception], None]) -> Formats:
        facts, settings = film.probe(self._path), self._settings
        most_fps = settings.fps or film.MAX_FPS
        width, height = fit(facts.width_px, facts.height_px)
        width, height = settings.width_px or width, settings.height_px or height
        self._masking.begin(f"{self._path}, {facts.width_px}x{facts.height_px}, as {width}x{height}")
        duo = Duo(settings, width, height, min(facts.fps, most_fps), demands, self._masking)
        losses = self._losses = Losses(DAMAGED_IN_A_ROW)
        transcoder = Transcoder(duo, losses, facts.matrix, settings.rotate)

        def show(stopping: threading.Event) -> None:
            shown: film.Picture | None = None
            for picture, due_us in self._due(facts, losses, most_fps):
                while shown and seconds_to(due_us) > HOLD_S:
                    if stopping.wait(HOLD_S):
                        return
                    emit(shown)
                if stopping.wait(seconds_to(due_us)):
                    return
                emit(picture)
                shown = picture

        def emit(picture: film.Picture) -> None:
            for stream, unit in transcoder.units(*picture, now_us()):
                on_unit(stream, unit)

        return self._projector.start(duo, show, on_failure)

    def _due(self, facts: film.Film, losses: Losses, most_fps: float) -> Iterator[tuple[film.Picture, int]]:
        """The pictures and when each is due, loop after loop. Raises CameraError where one has none."""
        stamps = Stamps(now_us(), facts.interval_s, most_fps)
        while True:
            count = 0
            stamps.rewind()
            for picture in film.pictures(self._path, losses):
                count += 1
                due_us = stamps.due_us(picture[0].time, now_us())
                if due_us is not None:
                    yield picture, due_us
            if not count:
                raise film.no_picture(self._path, losses)
