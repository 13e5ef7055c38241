"""Decoded pictures as people should see them: upright, and in the stream's shape without being stretched."""

import struct
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph

SHAPE_TOLERANCE = 0.01
"""So much may a picture be stretched: an odd line more or less is no reason for bars."""
_SANE_PIXELS = (Fraction(1, 8), Fraction(8))
_DISPLAY_MATRIX = struct.Struct("=9i")

Turn = tuple[int, int, int, int]
"""Signs of a, b, c, d, by which a picture's (x, y) are shown at (ax + cy, bx + dy)."""

_UPRIGHT: Turn = (1, 0, 0, 1)
_FILTERS: dict[Turn, str] = {
    (0, 1, -1, 0): "transpose=clock",
    (-1, 0, 0, -1): "hflip,vflip",
    (0, -1, 1, 0): "transpose=cclock",
    (-1, 0, 0, 1): "hflip",
    (1, 0, 0, -1): "vflip",
    (0, 1, 1, 0): "transpose=cclock_flip",
    (0, -1, -1, 0): "transpose=clock_flip",
}
"""All the ways in which a phone's or a JPEG's orientation may differ from upright."""


def turn_of(frame: av.VideoFrame, rotate: int = 0) -> Turn:
    """How a picture wants to be turned: what it says of itself, then by `rotate`, which is 0 or 180."""
    said: Any = frame.side_data.get("DISPLAYMATRIX")
    a, b, c, d = 1, 0, 0, 1
    if said is not None and said.buffer_size >= _DISPLAY_MATRIX.size:
        a, b, _, c, d, *_ = _DISPLAY_MATRIX.unpack_from(bytes(said))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        turn = (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
    else:
        turn = (0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)
    return turn if rotate != 180 else (-turn[0], -turn[1], -turn[2], -turn[3])


def square_size(frame: av.VideoFrame, pixel_shape: Fraction | None, turn: Turn) -> tuple[int, int]:
    """The size of a picture once it is turned and its pixels are square; no side becomes shorter.

    `pixel_shape` is a pixel's width by its height.
    """
    width, height = frame.width, frame.height
    shape = pixel_shape if pixel_shape and _SANE_PIXELS[0] <= pixel_shape <= _SANE_PIXELS[1] else Fraction(1)
    if shape > 1:
        width = round(width * shape)
    else:
        height = round(height / shape)
    return (width, height) if turn[0] else (height, width)


class Upright:
    """Makes pictures ready for encoders of one size; what has another shape gets black bars."""

    def __init__(self, width_px: int, height_px: int, rotate: int = 0) -> None:
        self._size = width_px, height_px
        self._rotate = rotate
        self._chains: dict[str, Chain] = {}

    def make(self, frame: av.VideoFrame, pixel_shape: Fraction | None = None) -> av.VideoFrame:
        """The same picture where there is nothing to do. Raises av.FFmpegError."""
        turn = turn_of(frame, self._rotate)
        width, height = square_size(frame, pixel_shape, turn)
        if turn != _UPRIGHT:
            frame = self._filtered(frame, _FILTERS[turn])
        fit_width, fit_height = self._fitted(width, height)
        if (fit_width, fit_height) == self._size:
            return frame  # the encoders scale it
        frame = frame.reformat(fit_width, fit_height)
        full_width, full_height = self._size
        return self._filtered(frame, f"pad={full_width}:{full_height}:-1:-1")

    def _fitted(self, width: int, height: int) -> tuple[int, int]:
        full_width, full_height = self._size
        wider = Fraction(width, height) / Fraction(full_width, full_height)
        if abs(wider - 1) <= SHAPE_TOLERANCE:
            return self._size
        if wider > 1:
            return full_width, max(2, round(full_height / wider) & ~1)
        return max(2, round(full_width * wider) & ~1), full_height

    def _filtered(self, frame: av.VideoFrame, filters: str) -> av.VideoFrame:
        chain = self._chains.get(filters)
        if chain is None or not chain.takes(frame):
            chain = self._chains[filters] = Chain(frame, filters)
        return chain.make(frame)


class Chain:
    """FFmpeg's filters, for pictures that are all alike."""

    def __init__(self, frame: av.VideoFrame, filters: str) -> None:
        """Raise av.FFmpegError where the filters cannot take such pictures."""
        self._kind = _kind(frame)
        graph = Graph()
        arguments = (
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1"
            f":colorspace={frame.colorspace}:range={frame.color_range}"
        )
        named = [graph.add("buffer", arguments)]
        for one in filters.split(","):
            name, _, options = one.partition("=")
            named.append(graph.add(name, options or None))
        named.append(graph.add("buffersink"))
        graph.link_nodes(*named).configure()
        self._graph, self._source, self._sink = graph, named[0], named[-1]

    def takes(self, frame: av.VideoFrame) -> bool:
        """Whether a picture is like the first one."""
        return _kind(frame) == self._kind

    def make(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._source.push(frame)
        result: Any = self._sink.pull()
        result.colorspace, result.color_range = frame.colorspace, frame.color_range
        return result  # type: ignore[no-any-return]


def _kind(frame: av.VideoFrame) -> tuple[object, ...]:
    return frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
