"""Pictures as somebody outside decodes them, and whether a privacy mask holds in them."""

from collections.abc import Iterable, Iterator

import av

EDGE_PX = 5
"""So far inside a mask's border nothing of what is beside it may show: coding blurs the border itself."""
BLACK = 40
"""The most of 255 that coding may leave of black in any of R, G and B."""
STEP_PX = 3


def decoded(units: Iterable[bytes]) -> list[av.VideoFrame]:
    """All pictures of access units in Annex B, from a keyframe on."""
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for data in units for frame in decoder.decode(av.Packet(data))]
    return frames + list(decoder.decode(None))


def jpeg(data: bytes) -> av.VideoFrame:
    """A still."""
    decoder = av.CodecContext.create("mjpeg", "r")
    (frame, *_) = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    return frame


def assert_black(frame: av.VideoFrame, polygons: Iterable[Iterable[tuple[float, float]]]) -> None:
    """Each polygon, in parts of the picture's sides (0 to 1), is black in this decoded picture."""
    rgb = _rgb(frame)
    for polygon in polygons:
        inside = list(_inside(list(polygon), frame.width, frame.height))
        assert inside, "the mask is too small for this picture to be looked at"
        for x, y in inside:
            assert max(rgb(x, y)) <= BLACK, f"{rgb(x, y)} is seen at {x}, {y} of {frame}"


def assert_seen(frame: av.VideoFrame, *points: tuple[float, float]) -> None:
    """There is a picture at these places, so that a picture that is black as a whole proves nothing."""
    rgb = _rgb(frame)
    for x, y in points:
        color = rgb(round(x * (frame.width - 1)), round(y * (frame.height - 1)))
        assert max(color) > BLACK, f"nothing is seen at {x}, {y}: {color}"


def winding(polygon: list[tuple[float, float]], x: float, y: float) -> int:
    """How often a polygon's line winds around a point; the slow and plain way."""
    count = 0
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
        if y0 <= y < y1 and side > 0:
            count += 1
        elif y1 <= y < y0 and side < 0:
            count -= 1
    return count


def _inside(polygon: list[tuple[float, float]], width: int, height: int) -> Iterator[tuple[int, int]]:
    around = [(dx, dy) for dx in (-EDGE_PX, 0, EDGE_PX) for dy in (-EDGE_PX, 0, EDGE_PX)]
    for y in range(0, height, STEP_PX):
        for x in range(0, width, STEP_PX):
            near = ((min(max(x + dx, 0), width - 1), min(max(y + dy, 0), height - 1)) for dx, dy in around)
            if all(winding(polygon, (nx + 0.5) / width, (ny + 0.5) / height) for nx, ny in near):
                yield x, y


def _rgb(frame: av.VideoFrame):
    converted = frame.reformat(format="rgb24")
    plane, stride = bytes(converted.planes[0]), converted.planes[0].line_size
    return lambda x, y: tuple(plane[y * stride + 3 * x : y * stride + 3 * x + 3])
