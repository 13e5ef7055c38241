"""Small pictures over a stretch of time."""

import av
from parts.flip_book import FIRST_SHADE, FPS, START_US, pages
from parts.recordings import OFFSET_US

from agent.record.reader import Cursor
from agent.record.sheet import COLUMNS, WIDTH_PX, make_sheet

WALL_US = START_US + OFFSET_US
SECOND = 1_000_000


def shades(sheet):
    """The middle of each tile."""
    decoder = av.CodecContext.create("mjpeg", "r")
    [frame] = [*decoder.decode(av.Packet(sheet.jpeg)), *decoder.decode(None)]
    assert frame.width == COLUMNS * WIDTH_PX
    luma, height = frame.planes[0], sheet.tile_height_px
    return [
        memoryview(luma)[(n // COLUMNS * height + height // 2) * luma.line_size + n % COLUMNS * WIDTH_PX + 80]
        for n in range(len(sheet.taken_us))
    ]


def test_each_time_shows_the_keyframe_before_it_and_a_gap_is_black(desk):
    desk.record(pages(96, 64, range(100)))
    later = START_US + 60 * SECOND
    desk.record(pages(96, 64, range(100, 140), later))
    times = [WALL_US + n * SECOND for n in (0, 5, 30, 70, 71)]
    with Cursor(desk.index, "main") as cursor:
        sheet = make_sheet(cursor, times, 3 * SECOND)
    assert sheet.tile_height_px == 106, "as the picture is shaped"
    wanted = [0, 40, None, 100, 100]
    assert [None if us is None else round((us - WALL_US) / SECOND * FPS) for us in sheet.taken_us] == [
        0, 40, None, 700, 700,
    ]  # fmt: skip
    for shade, number in zip(shades(sheet), wanted, strict=True):
        # The camera's luma has the limited range, and a JPEG's the full one.
        full = 0 if number is None else (FIRST_SHADE + number - 16) * 255 / 219
        assert abs(shade - full) < 4


def test_a_sheet_without_any_picture_is_black(desk):
    desk.record(pages(96, 64, range(20)))
    with Cursor(desk.index, "main") as cursor:
        sheet = make_sheet(cursor, [WALL_US + 3600 * SECOND] * 12, SECOND)
    assert sheet.taken_us == (None,) * 12
    assert max(shades(sheet)) < 4
