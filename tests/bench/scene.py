"""The same footage for every sender: raw pictures in a file, one a tick of the wall clock, with its stamp.

Which picture belongs to a stamp follows from the stamp, so a viewer's picture can be compared to its source.
"""

import mmap
from pathlib import Path

import av
from data.footage import Footage

from agent.model import stamp

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 30
PICTURES = 240
LUMA_BYTES = WIDTH_PX * HEIGHT_PX
PICTURE_BYTES = LUMA_BYTES * 3 // 2
_CELL_PX, _STAMP_ROWS = stamp.cell_size_px(WIDTH_PX, HEIGHT_PX)


def write(path: Path) -> Path:
    """Write the pictures, I420, 330 MB."""
    footage = Footage(WIDTH_PX, HEIGHT_PX, FPS)
    with path.open("wb") as file:
        for number in range(PICTURES):
            frame = footage.frame(number)
            for plane, width in zip(frame.planes, (WIDTH_PX, WIDTH_PX // 2, WIDTH_PX // 2), strict=True):
                rows, data = plane.height, bytes(plane)
                for row in range(rows):
                    file.write(data[row * plane.line_size : row * plane.line_size + width])
    return path


def tick_of(unix_ms: float) -> int:
    """The tick of the frame clock at, or last before, this time."""
    return int(unix_ms * FPS // 1000)


def stamp_of(tick: int) -> int:
    """The stamp of the picture of this tick: its time in whole ms, rounded up, so that `tick_of` finds it."""
    return -(-tick * 1000 // FPS)


def index_of(tick: int) -> int:
    """Which picture a tick shows: there and back, so that it never jumps."""
    place = tick % (2 * PICTURES)
    return place if place < PICTURES else 2 * PICTURES - 1 - place


def video_frame(data, width: int, height: int, format_name: str) -> av.VideoFrame:
    """Return planes without gaps as a frame of `yuv420p` or `gray`."""
    frame = av.VideoFrame(width, height, format_name)
    start = 0
    for plane in frame.planes:
        size = plane.width * plane.height
        part = bytes(data[start : start + size])
        start += size
        if plane.line_size != plane.width:
            rows = (part[at : at + plane.width] for at in range(0, size, plane.width))
            part = b"".join(row.ljust(plane.line_size, b"\0") for row in rows)
        plane.update(part)
    return frame


class Scene:
    """The pictures of a file that `write` made."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def picture(self, tick: int) -> bytearray:
        """The stamped picture of a tick, I420."""
        start = index_of(tick) * PICTURE_BYTES
        picture = bytearray(self._data[start : start + PICTURE_BYTES])
        cells = (
            bytes([stamp.WHITE if bit else stamp.BLACK]) * _CELL_PX
            for bit in stamp.encode_bits(stamp_of(tick))
        )
        row = b"".join(cells)
        for at in range(0, _STAMP_ROWS * WIDTH_PX, WIDTH_PX):
            picture[at : at + len(row)] = row
        return picture

    def luma(self, stamp_ms: int, near_ms: float) -> bytearray:
        """The luma of the picture with this stamp (modulo 2**40), at about this time."""
        unix_ms = stamp_ms + round((near_ms - stamp_ms) / stamp.MODULUS_MS) * stamp.MODULUS_MS
        return self.picture(tick_of(unix_ms))[:LUMA_BYTES]
