"""What detection looks at: the brightness of a camera's pictures, made small, a few times a second.

Behind the masks, and before the encoders: nothing is encoded for it, and there is no second capture.
"""

from collections.abc import Callable

import av
from av.video.reformatter import VideoReformatter

from agent.camera.color import LIMITED
from agent.camera.pixels import Layout
from agent.camera.upright import Chain
from agent.errors import CameraError
from agent.model.clock import now_us
from agent.model.labels import Area, Crop, Sightings
from agent.model.motion import Luma

OnLuma = Callable[[Luma], None]
OnSightings = Callable[[Sightings], None]
INTERVAL_US = 200_000
"""Five a second: somebody who runs is in four samples of a fifth of the picture."""
EARLY_US = 20_000
"""A picture that comes so much too early is taken: the next one might be as much too late."""
COLUMNS = 32
"""Of 1280 pixels each is 40 wide, as somebody 20 m away is."""
MIN_ROWS, MAX_ROWS = 4, 64


def rows_of(width_px: int, height_px: int) -> int:
    """So many rows that what a pixel of it stands for is as good as square."""
    return max(MIN_ROWS, min(MAX_ROWS, round(COLUMNS * height_px / width_px)))


def ignore(_: Sightings) -> None:
    """Nobody wants to know what a sensor sees."""


class LumaTap:
    """One camera's. `want` is called from the event loop at any time, the rest by the camera's thread."""

    def __init__(self) -> None:
        self._on_luma: OnLuma | None = None
        self._on_sightings: OnSightings = ignore
        self._crop: tuple[Area, tuple[int, int], Callable[[Crop], None]] | None = None
        self._due_us = 0
        self._reformatter = VideoReformatter()
        self._buffer: av.VideoFrame | None = None

    @property
    def is_wanted(self) -> bool:
        """Somebody looks."""
        return self._on_luma is not None

    def want(self, on_luma: OnLuma | None, on_sightings: OnSightings = ignore) -> None:
        """Who looks, called from the camera's thread; None for nobody any more.

        `on_sightings` takes what the sensor's own network saw in a picture that is looked at.
        """
        self._on_luma, self._on_sightings = on_luma, on_sightings

    def take_sightings(self, sightings: Sightings) -> None:
        """Of a picture that was due."""
        self._on_sightings(sightings)

    def want_crop(self, area: Area, size: tuple[int, int], on_crop: Callable[[Crop], None]) -> None:
        """A part of the next picture that is looked at, made to this size; `on_crop` as `on_luma`.

        There is one wish at a time: the last.
        """
        self._crop = area, size, on_crop

    @property
    def is_crop_wanted(self) -> bool:
        """Of the picture that is looked at now."""
        return self._crop is not None

    def crop_frame(self, frame: av.VideoFrame, capture_us: int) -> None:
        """Give who wants it a part of a picture, masked already. Raises av.FFmpegError."""
        wish, self._crop = self._crop, None
        if wish is None:
            return
        area, (width, height), on_crop = wish
        left, top = int(area.left * frame.width) & ~1, int(area.top * frame.height) & ~1
        across = max(2, min(frame.width - left, round((area.right - area.left) * frame.width)) & ~1)
        down = max(2, min(frame.height - top, round((area.bottom - area.top) * frame.height)) & ~1)
        filters = f"crop={across}:{down}:{left}:{top},scale={width}:{height},format=rgb24"
        plane = Chain(frame, filters).make(frame).planes[0]
        pixels, stride = memoryview(plane).cast("B"), plane.line_size
        rgb = b"".join(pixels[row * stride : row * stride + 3 * width] for row in range(height))
        shown = Area(
            left / frame.width,
            top / frame.height,
            (left + across) / frame.width,
            (top + down) / frame.height,
        )
        on_crop(Crop(rgb, width, height, shown, capture_us))

    def is_due(self, at_us: int) -> bool:
        """Whether the picture of this moment is looked at."""
        return self._on_luma is not None and not self._due_us - INTERVAL_US <= at_us < self._due_us - EARLY_US

    def take_frame(self, frame: av.VideoFrame, capture_us: int) -> None:
        """Look at a picture that is due, masked already. Raises av.FFmpegError."""
        columns, rows = COLUMNS, rows_of(frame.width, frame.height)
        # All pixels of a cell are in its mean: what one in forty of them shows would be noise.
        small = self._reformatter.reformat(frame, columns, rows, "gray", interpolation="AREA")
        plane = small.planes[0]
        pixels = memoryview(plane).cast("B")
        stride = plane.line_size
        data = b"".join(pixels[row * stride : row * stride + columns] for row in range(rows))
        late_us = capture_us - self._due_us
        # In step with a steady camera, and from now on where it had paused.
        self._due_us = (self._due_us if -EARLY_US <= late_us < INTERVAL_US else capture_us) + INTERVAL_US
        if on_luma := self._on_luma:
            on_luma(Luma(data, columns, rows, capture_us))

    def take_pixels(self, layout: Layout, pixels: memoryview) -> None:
        """The same of a buffer of libcamera's, now. Raises CameraError where it is too short."""
        if len(pixels) < layout.stride * layout.height_px:
            raise CameraError(f"libcamera gave {len(pixels)} bytes of a picture of {layout.width_px} px")
        frame, width = self._buffer, layout.width_px
        if frame is None or (frame.width, frame.height) != layout.size:
            # The scaler makes full range of it, as of a decoded picture; it does not look at the chroma.
            frame = self._buffer = av.VideoFrame(width, layout.height_px, "yuv420p")
            frame.color_range = LIMITED
        plane = frame.planes[0]
        target = memoryview(plane).cast("B")
        if plane.line_size == layout.stride:
            target[: layout.stride * layout.height_px] = pixels[: layout.stride * layout.height_px]
        else:
            for row in range(layout.height_px):
                begin = row * layout.stride
                target[row * plane.line_size : row * plane.line_size + width] = pixels[begin : begin + width]
        self.take_frame(frame, now_us())
