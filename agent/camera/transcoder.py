"""Pictures from a decoder made into streams of our own: told their colours, turned upright, encoded."""

import time
from collections.abc import Iterator
from fractions import Fraction

import av

from agent.camera import color
from agent.camera.duo import Duo
from agent.camera.losses import Losses
from agent.camera.upright import Upright
from agent.errors import CameraError
from agent.model.media import StreamName, Unit


class Transcoder:
    """Whatever fails of one picture is left out and counted; the next one is tried again."""

    def __init__(self, duo: Duo, losses: Losses, matrix: int, rotate: int = 0) -> None:
        """`matrix` is that of pictures that do not name theirs."""
        main = duo.formats["main"]
        self._duo, self._losses, self._matrix = duo, losses, matrix
        self._upright = Upright(main.width_px, main.height_px, rotate)

    def units(
        self, frame: av.VideoFrame, pixel_shape: Fraction | None, capture_us: int
    ) -> Iterator[tuple[StreamName, Unit]]:
        """What comes of one picture. Raises CameraError where too many in a row failed."""
        color.label(frame, self._matrix)
        try:
            yield from self._duo.encode(self._upright.make(frame, pixel_shape), capture_us)
        except (av.FFmpegError, ValueError, CameraError) as exc:
            self._losses.bad(exc, time.monotonic())
        else:
            self._losses.good()
