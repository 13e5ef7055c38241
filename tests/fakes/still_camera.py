"""A camera as stills know it: streams with pictures that a test makes, at times that a test says."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import av

from agent.camera.encoder import H264Encoder
from agent.media.stream import Stream
from agent.model.media import STREAMS, EncoderDemand, StreamName, Unit

SIZES: dict[StreamName, tuple[int, int]] = {"main": (1280, 720), "preview": (640, 360)}


def flat(width: int, height: int, luma: int = 126) -> av.VideoFrame:
    """A picture of one grey, in limited range."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for number, plane in enumerate(frame.planes):
        plane.update(bytes([128 if number else luma]) * plane.buffer_size)
    frame.color_range, frame.colorspace = 1, 6
    return frame


def noise(width: int, height: int) -> av.VideoFrame:
    """The picture that compresses worst."""
    frame, dice = flat(width, height), random.Random(7)
    for plane in frame.planes:
        plane.update(dice.randbytes(plane.buffer_size))
    return frame


def keyframe_of(frame: av.VideoFrame, capture_us: int = 0, epoch: int = 0) -> Unit:
    """It as an access unit."""
    encoder = H264Encoder(frame.width, frame.height, 30, 60, EncoderDemand(20_000_000))
    made = encoder.encode(frame, capture_us)
    return Unit(made.data, capture_us, epoch, made.is_keyframe)


class StillCamera:
    """Its streams, who watches them, and what it was asked."""

    def __init__(self, kind: str = "replay", problem: str = "") -> None:
        self.kind, self.problem, self.has_preview = kind, problem, True
        self.now_us, self.epoch = 60_000_000, 0
        self.watched: list[StreamName] = []
        self.keyframes: list[StreamName] = []
        self.streams = {name: self._stream(name) for name in STREAMS}
        self._keyframes = {name: keyframe_of(flat(*SIZES[name])).data for name in STREAMS}

    def show(self, name: StreamName, *, key: bool = True, age_us: int = 0) -> None:
        """A picture comes, taken so long ago."""
        data = self._keyframes[name] if key else b"\0\0\0\1\x41"
        self.streams[name].push(Unit(data, self.now_us - age_us, self.epoch, key))

    def start(self) -> None:
        """It begins anew."""
        self.epoch += 1

    def _stream(self, name: StreamName) -> Stream:
        @contextmanager
        def watching() -> Iterator[None]:
            self.watched.append(name)
            try:
                yield
            finally:
                self.watched.remove(name)

        return Stream(lambda _: None, watching, lambda _: self.keyframes.append(name))
