"""What libcamera agreed to deliver, and its buffers as pictures."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import av

from agent.camera import color
from agent.camera.mask import Plane
from agent.errors import CameraError

log = logging.getLogger(__name__)

PIXEL_FORMATS = {"YUV420": "yuv420p", "NV12": "nv12"}
"""libcamera's names, and FFmpeg's for the same."""


MAX_PADDING_PX = 64
"""Sizes are rounded to what the hardware likes; encoders are not given much more than they were promised."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One stream's buffers."""

    format: str
    width_px: int
    height_px: int
    stride: int
    """Bytes from one row of luma to the next."""
    matrix: int = color.BT709
    """What Cb and Cr mean."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width_px, self.height_px

    @property
    def size_bytes(self) -> int:
        """Luma, and chroma of half as many rows."""
        return self.stride * self.height_px * 3 // 2

    def planes(self) -> tuple[Plane, ...]:
        """As they follow each other in the one buffer; Cb and Cr take turns in NV12."""
        width, height, stride = self.width_px, self.height_px, self.stride
        luma = Plane(width, height, stride)
        if self.format == "NV12":
            return luma, Plane(width // 2, height // 2, stride, stride * height, True, 2)
        half = stride // 2
        return luma, *(
            Plane(width // 2, height // 2, half, stride * height + half * (height // 2) * index, True)
            for index in range(2)
        )


def agree(
    stream: Mapping[str, Any], size: tuple[int, int], formats: Collection[str], colour_space: str = "Rec709"
) -> Layout:
    """What libcamera made of what it was asked for. Raises CameraError where we cannot use it.

    All streams have the one `colour_space`, which goes by the size of main, not by their own.
    """
    width_px, height_px = stream["size"]
    matrix = color.BT709 if "709" in colour_space else color.SMPTE170M
    layout = Layout(str(stream["format"]), int(width_px), int(height_px), int(stream["stride"]), matrix)
    if layout.format not in formats:
        raise CameraError(
            f"libcamera delivers {layout.format}, and {' or '.join(sorted(formats))} was asked for: "
            "this camera or this libcamera cannot be used"
        )
    if layout.stride < layout.width_px or layout.stride % 2 or layout.width_px % 2 or layout.height_px % 2:
        raise CameraError(
            f"libcamera delivers {layout.width_px}x{layout.height_px} in rows of {layout.stride} bytes, "
            "which is no picture: choose another camera.width_px and height_px"
        )
    if (given := stream.get("framesize")) and given < layout.size_bytes:
        raise CameraError(f"libcamera's buffers have {given} bytes, and a picture {layout.size_bytes}")
    if layout.width_px > size[0] + MAX_PADDING_PX or layout.height_px > size[1] + MAX_PADDING_PX:
        raise CameraError(
            f"libcamera delivers {layout.width_px}x{layout.height_px}, and {size[0]}x{size[1]} was asked "
            "for: choose another camera.width_px and height_px, or camera.preview.width_px"
        )
    if layout.size != size:
        log.warning(f"camera: {size[0]}x{size[1]} was asked for, {layout.width_px}x{layout.height_px} comes")
    return layout


def video_frame(layout: Layout, pixels: memoryview) -> av.VideoFrame:
    """A copy of a buffer: rows of luma, then Cb and Cr in rows of their own, or both in one (NV12).

    Raises CameraError where the buffer is too short.
    """
    if len(pixels) < layout.size_bytes:
        raise CameraError(f"libcamera gave {len(pixels)} of a picture's {layout.size_bytes} bytes")
    frame = av.VideoFrame(layout.width_px, layout.height_px, PIXEL_FORMATS[layout.format])
    color.label(frame, layout.matrix)
    at = 0
    for index, plane in enumerate(frame.planes):
        is_half = index > 0 and layout.format == "YUV420"
        stride = layout.stride // 2 if is_half else layout.stride
        target, row_bytes = memoryview(plane).cast("B"), min(stride, plane.line_size)
        for row in range(plane.height):
            target[row * plane.line_size : row * plane.line_size + row_bytes] = pixels[at : at + row_bytes]
            at += stride
    return frame
