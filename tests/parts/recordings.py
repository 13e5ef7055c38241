"""Real H.264 in small, coded once, and a folder to record it into."""

import random
from functools import cache

import av

from agent.camera.encoder import H264Encoder
from agent.model.media import EncoderDemand, Unit
from agent.record.fragmenter import Fragmenter
from agent.record.index import Index
from agent.record.writer import StreamWriter, Written

FPS, GOP = 10, 20
BOOT = "0123456789abcdef" * 2
START_US = 5_000_000_000
OFFSET_US = 1_900_000_000_000_000
"""The wall clock is so far ahead of the monotonic one."""


@cache
def group(width_px: int = 64) -> tuple[bytes, ...]:
    """One group of pictures, which may be repeated for ever."""
    encoder = H264Encoder(width_px, 64, FPS, GOP / FPS, EncoderDemand(200_000))
    frame, noise, coded = av.VideoFrame(width_px, 64, "yuv420p"), random.Random(1), []
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    for number in range(GOP):
        frame.planes[0].update(noise.randbytes(frame.planes[0].buffer_size))
        coded.append(encoder.encode(frame, number).data)
    return tuple(coded)


def pictures(seconds: float, start_us: int = START_US, epoch: int = 0, width_px: int = 64) -> list[Unit]:
    """So many seconds of them."""
    coded = group(width_px)
    return [
        Unit(coded[number % GOP], start_us + number * 1_000_000 // FPS, epoch, number % GOP == 0)
        for number in range(round(seconds * FPS))
    ]


class RecordingsFolder:
    """A folder with an index, and writers into it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.index = Index(folder)
        self.index.reconcile()
        self.written = Written()
        self.offset_us, self.is_clock_set = OFFSET_US, True
        self.asked_room = []

    def writer(self, stream="main", boot=BOOT):
        return StreamWriter(
            stream, self.index, boot, lambda: (self.offset_us, self.is_clock_set),
            self.asked_room.append, self.written,
        )  # fmt: skip

    def record(self, units, stream="main", *, writer=None, close=True):
        """Write these units as the recorder does."""
        writer = writer or self.writer(stream)
        cut = Fragmenter(stream)
        for unit in units:
            if piece := cut.push(unit):
                writer.write(piece)
        if piece := cut.flush():
            writer.write(piece)
        if close:
            writer.close()
        return writer

    def files(self):
        return sorted(self.folder.glob("*/*.mp4"))


def decoded(file) -> int:
    """How many pictures another's demuxer and decoder find in a file; raises where it is damaged."""
    with av.open(str(file), options={"err_detect": "explode"}) as container:
        return sum(1 for _ in container.decode(video=0))
