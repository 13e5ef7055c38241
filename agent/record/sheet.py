"""A sheet of small pictures over a stretch of time, for who looks where to look. Blocks: for a thread."""

from dataclasses import dataclass

import av

from agent.errors import CameraError
from agent.record.jpeg import decode_keyframe, fit, make_jpeg
from agent.record.reader import Cursor

WIDTH_PX = 160
COLUMNS = 4
MAX_BYTES = 40_000
"""As a message carries it in base64."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Tiles of one size, four in a row, in the order of their times."""

    jpeg: bytes
    tile_height_px: int
    """Each is 160 wide."""
    taken_us: tuple[int | None, ...]
    """When each was taken, since 1970; None where nothing is recorded, and the tile is black."""


def make_sheet(cursor: Cursor, times_us: list[int], near_us: int) -> Sheet:
    """Of each time the keyframe at or before, where that is within `near_us`.

    Raises CameraError, OSError, sqlite3.Error.
    """
    found = [_find(cursor, wall_us, near_us) for wall_us in times_us]
    first = next((tile for _, tile in found if tile is not None), None)
    height = max(2, round(first.height * WIDTH_PX / first.width) & ~1) if first else 90
    sheet = av.VideoFrame(COLUMNS * WIDTH_PX, -(-len(found) // COLUMNS) * height, "yuvj420p")
    for plane, value in zip(sheet.planes, (0, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    for number, (_, tile) in enumerate(found):
        if tile is not None:
            at = number % COLUMNS * WIDTH_PX, number // COLUMNS * height
            _paste(sheet, fit(tile, WIDTH_PX, height), *at)
    jpeg, width, whole_height = make_jpeg(sheet, max_bytes=MAX_BYTES)
    if width != sheet.width:
        raise CameraError(f"a sheet of {whole_height} lines is too large")
    return Sheet(jpeg, height, tuple(taken_us for taken_us, _ in found))


def _find(cursor: Cursor, wall_us: int, near_us: int) -> tuple[int | None, av.VideoFrame | None]:
    found_us = cursor.seek(wall_us)
    if found_us is None or abs(found_us - wall_us) > near_us:
        return None, None
    units = cursor.read()
    if not units or not units[0].is_keyframe:
        return None, None
    try:
        return found_us, decode_keyframe(units[0].data)
    except CameraError:
        return None, None  # one that is damaged leaves the others


def _paste(sheet: av.VideoFrame, tile: av.VideoFrame, x: int, y: int) -> None:
    for onto, plane, share in zip(sheet.planes, tile.planes, (1, 2, 2), strict=True):
        whole, small = memoryview(onto).cast("B"), memoryview(plane).cast("B")
        width = tile.width // share
        for row in range(tile.height // share):
            at = (y // share + row) * onto.line_size + x // share
            whole[at : at + width] = small[row * plane.line_size : row * plane.line_size + width]
