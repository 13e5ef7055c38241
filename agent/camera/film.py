"""A video file: what it is, and its pictures in order."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from agent.camera import color
from agent.camera.losses import Losses
from agent.camera.upright import square_size, turn_of
from agent.errors import CameraError

MIN_FPS, MAX_FPS = 1.0, 60.0
DEFAULT_FPS = 30.0
"""For a file that does not tell."""
PROBE_PACKETS = 1000
"""So far into a file its first picture may be."""

Picture = tuple[av.VideoFrame, Fraction | None]
"""A decoded picture, and the shape of its pixels where that is known: width by height."""


@dataclass(frozen=True, slots=True)
class Film:
    """What a file's first picture and its container tell."""

    width_px: int
    height_px: int
    """Of the picture turned upright, with square pixels."""
    fps: float
    """The mean rate, within the limits."""
    interval_s: float
    """The mean time between two pictures, which a time-lapse has longer than 1 / fps."""
    matrix: int
    """For pictures that do not name theirs."""


def raw_rate(guessed: Fraction | None, average: Fraction | None) -> Fraction | None:
    """Pictures a second of a stream without stamps: FFmpeg's guess, for its average is made up."""
    likely = (known for known in (guessed, average) if known and MIN_FPS <= known <= MAX_FPS)
    return next(likely, guessed or average)


def within(rate: Fraction | None) -> float:
    """A rate that the encoder can be opened with."""
    return min(MAX_FPS, max(MIN_FPS, float(rate or DEFAULT_FPS)))


def probe(path: Path) -> Film:
    """Read up to the first picture. Raises CameraError where there is none."""
    losses = Losses(PROBE_PACKETS)
    with _opened(path) as container:
        stream = container.streams.video[0]
        for frame, pixel_shape in _decoded(container, losses):
            rate = stream.average_rate or stream.guessed_rate
            if frame.pts is None:
                rate = raw_rate(stream.guessed_rate, stream.average_rate)
            width, height = square_size(frame, pixel_shape, turn_of(frame))
            matrix = color.usual_matrix(frame.height)
            interval_s = max(1 / MAX_FPS, 1 / float(rate or DEFAULT_FPS))
            return Film(width, height, within(rate), interval_s, matrix)
    raise no_picture(path, losses)


def no_picture(path: Path, losses: Losses) -> CameraError:
    """What to say of a file without a single good picture."""
    return CameraError(f"replay: no picture of {path} can be decoded: {losses.last or 'it is empty'}")


def pictures(path: Path, losses: Losses) -> Iterator[Picture]:
    """All that can be decoded, once; what cannot is left out, as a player does. Raises CameraError."""
    with _opened(path) as container:
        yield from _decoded(container, losses)


def _decoded(container: "av.container.InputContainer", losses: Losses) -> Iterator[Picture]:
    stream = container.streams.video[0]
    size = stream.codec_context.width, stream.codec_context.height
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as exc:
            losses.bad(f"the file breaks off: {exc}", time.monotonic())
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError) as exc:
            losses.bad(exc, time.monotonic())
            continue
        for frame in frames:
            # The container speaks of the first size; what the stream turns into, its own headers describe.
            is_first_size = (frame.width, frame.height) == size
            yield frame, (stream if is_first_size else stream.codec_context).sample_aspect_ratio


def _opened(path: Path) -> "av.container.InputContainer":
    try:
        container = av.open(str(path), "r")
    except (av.FFmpegError, OSError) as exc:
        raise CameraError(f"replay: {path} is not a video file: {exc}") from exc
    if not container.streams.video:
        container.close()
        raise CameraError(f"replay: {path} has no video")
    return container
