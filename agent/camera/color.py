"""What the numbers of a picture mean as colours: read from it, or decided where it does not say.

Codes are those of ITU-T H.273, which H.264's VUI, FFmpeg and PyAV share.
"""

from dataclasses import dataclass

import av
from av.video.reformatter import VideoReformatter

BT709, UNSPECIFIED, BT470BG, SMPTE170M = 1, 2, 5, 6
"""Of matrix, primaries and transfer; BT.601 is 5 (625 lines) or 6 (525 lines), which share one matrix."""
LIMITED, FULL = 1, 2
"""FFmpeg's `color_range`."""
_SAID_NOTHING = (0, UNSPECIFIED, 3)
_HD_FROM_LINES = 720


MATRIX = SMPTE170M
"""Of everything encoded here: JPEG's and most webcams', so that a Pi need not convert. And Chromium without a
GPU is exact with it: of BT.709, its blue is up to 12 of 255 short (libyuv has 2.0 for the 2.112 of Cb)."""


@dataclass(frozen=True, slots=True)
class Colors:
    """What the numbers of a stream mean, beside `MATRIX` and limited range."""

    primaries: int = BT709
    transfer: int = BT709


def usual_matrix(height_px: int) -> int:
    """What players take unlabelled video for: BT.601 below 720 lines, BT.709 from there on."""
    return BT709 if height_px >= _HD_FROM_LINES else SMPTE170M


def label(frame: av.VideoFrame, matrix: int) -> None:
    """Write on a picture what its colours mean, where it does not say: this matrix; limited range.

    RGB has neither; JPEG's own formats (yuvj...) say that they are full range.
    """
    if _is_yuv(frame) and frame.colorspace in (UNSPECIFIED, 3):
        frame.colorspace = matrix
    if frame.color_range not in (LIMITED, FULL):
        frame.color_range = LIMITED if _is_yuv(frame) and "yuvj" not in frame.format.name else FULL


def colors_of(frame: av.VideoFrame) -> Colors:
    """What a picture says, which is kept; what it does not say is BT.709's, as sRGB's nearly is."""
    return Colors(
        BT709 if frame.color_primaries in _SAID_NOTHING else frame.color_primaries,
        BT709 if frame.color_trc in _SAID_NOTHING else frame.color_trc,
    )


def as_encoded(
    reformatter: VideoReformatter, frame: av.VideoFrame, width_px: int, height_px: int
) -> av.VideoFrame:
    """A labelled picture as the encoders take it; itself where it is that already."""
    # BT.601 by either of its numbers is passed over in silence.
    wanted = None if frame.colorspace in (BT470BG, SMPTE170M) else BT470BG
    return reformatter.reformat(
        frame, width_px, height_px, "yuv420p", dst_colorspace=wanted, dst_color_range=LIMITED
    )


def _is_yuv(frame: av.VideoFrame) -> bool:
    return not frame.format.is_rgb
