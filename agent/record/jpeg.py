"""JPEG of a keyframe, by PyAV; as small as it has to be. Blocking: for a worker thread."""

from fractions import Fraction

import av
from av.video.reformatter import VideoReformatter

from agent.errors import CameraError

QUALITIES = (3, 5, 8, 12, 18, 26)
"""FFmpeg's quantizer scale for MJPEG, 2 the best and 31 the worst: 3 is about libjpeg's 90, 12 its 60."""
SHRINK = 0.75
"""Each side, where the worst of them is still too large."""
MIN_WIDTH_PX = 64
FULL_QUALITY = 3
_BT601 = (5, 6)
"""H.273's two numbers of it, which is what JFIF means by YCbCr (ITU-T T.871)."""
_FULL_RANGE = 2


def decode_keyframe(data: bytes) -> av.VideoFrame:
    """The picture of an access unit with its parameter sets. Raises CameraError."""
    try:
        decoder = av.CodecContext.create("h264", "r")
        decoder.thread_count = 1
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except (av.FFmpegError, ValueError) as exc:
        raise CameraError(f"the picture cannot be decoded: {exc}") from exc
    if not frames or not isinstance(frames[0], av.VideoFrame):
        raise CameraError("the picture cannot be decoded: nothing came of it")
    return frames[0]


def make_jpeg(
    frame: av.VideoFrame, width_px: int | None = None, max_bytes: int | None = None
) -> tuple[bytes, int, int]:
    """The JPEG and its size; at most so wide, never larger than the picture, and at most so many bytes.

    Quality goes first, then size. Raises CameraError.
    """
    width = min(width_px or frame.width, frame.width)
    while True:
        height = max(2, round(frame.height * width / frame.width) & ~1)
        picture = fit(frame, width & ~1, height)
        for quality in QUALITIES if max_bytes else (FULL_QUALITY,):
            jpeg = _encode(picture, quality)
            if max_bytes is None or len(jpeg) <= max_bytes:
                return jpeg, picture.width, picture.height
        if width <= MIN_WIDTH_PX:
            raise CameraError(f"no JPEG of this picture has {max_bytes} bytes or fewer")
        width = max(MIN_WIDTH_PX, round(width * SHRINK))


def fit(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """The picture at this size, as JFIF means it. Raises CameraError."""
    matrix = None if frame.colorspace in _BT601 else _BT601[0]
    try:
        return VideoReformatter().reformat(
            frame, width, height, "yuvj420p", dst_colorspace=matrix, dst_color_range=_FULL_RANGE,
            interpolation="AREA",
        )  # fmt: skip
    except (av.FFmpegError, ValueError) as exc:
        raise CameraError(f"the picture cannot be scaled: {exc}") from exc


def _encode(picture: av.VideoFrame, quality: int) -> bytes:
    try:
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
        encoder.time_base = Fraction(1, 1)
        encoder.thread_count = 1
        encoder.options = {"qmin": str(quality), "qmax": str(quality)}
        picture.pts = None
        return b"".join(map(bytes, [*encoder.encode(picture), *encoder.encode(None)]))
    except (av.FFmpegError, ValueError) as exc:
        raise CameraError(f"libavcodec makes no JPEG of the picture: {exc}") from exc
