"""Recorded pictures that tell their number: each has one shade of grey, the number's."""

from functools import cache

import av

from agent.camera.encoder import H264Encoder
from agent.model.media import EncoderDemand, Unit

FPS, GOP = 10, 20
FIRST_SHADE, MOST = 20, 200
START_US = 5_000_000_000


@cache
def coded(width_px: int, height_px: int) -> tuple[bytes, ...]:
    """MOST access units, an IDR each GOP."""
    encoder = H264Encoder(width_px, height_px, FPS, GOP / FPS, EncoderDemand(400_000))
    frame, units = av.VideoFrame(width_px, height_px, "yuv420p"), []
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    for number in range(MOST):
        luma = frame.planes[0]
        luma.update(bytes([FIRST_SHADE + number]) * luma.buffer_size)
        units.append(encoder.encode(frame, number).data)
    return tuple(units)


def pages(width_px: int, height_px: int, numbers=range(MOST), start_us: int = START_US) -> list[Unit]:
    """Those of these numbers, each at its time."""
    data = coded(width_px, height_px)
    return [
        Unit(data[number], start_us + number * 1_000_000 // FPS, 0, number % GOP == 0) for number in numbers
    ]


def number_of(frame: av.VideoFrame) -> int:
    """Of a picture that was decoded."""
    luma = frame.planes[0]
    middle = (frame.height // 2) * luma.line_size + frame.width // 2
    return memoryview(luma)[middle] - FIRST_SHADE


class Decoder:
    """Decodes what is handed out, and knows what a gap does to a picture."""

    def __init__(self) -> None:
        self._context = av.CodecContext.create("h264", "r")
        self._context.flags |= av.codec.context.Flags.low_delay

    def numbers(self, data: bytes) -> list[int]:
        """Of the pictures that this access unit shows."""
        return [number_of(frame) for frame in self._context.decode(av.Packet(data))]
