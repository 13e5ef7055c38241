"""What is written into pictures stands in both streams, readable, in its corner, and moves no motion."""

import time

import av
import pytest
from parts.masked import assert_black

from agent.camera import font, mask, overlay
from agent.camera.mask import Plane
from agent.camera.masking import BLANK, CLEAR, Masking
from agent.camera.overlay import Overlay, label
from agent.camera.pixels import Layout
from agent.config import CameraSettings
from agent.config.settings import OverlaySettings

NOW_S = 1_900_000_000.0


def grey(width=1280, height=720) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    frame.colorspace, frame.color_range = 6, 1
    for plane in frame.planes:
        memoryview(plane).cast("B")[:] = b"\x60" * plane.buffer_size
    return frame


def read(luma: memoryview, stride: int, x: int, y: int, dot: int, letters: int) -> str:
    """The text that stands there, by its dots."""
    known = {
        tuple(tuple(row[: font.WIDTH]) for row in font.rows(letter)): letter
        for letter in map(chr, range(font.FIRST, font.LAST + 1))
    }
    said = ""
    for at in range(letters):
        left, top = x + dot + at * (font.WIDTH + 1) * dot, y + dot
        dots = tuple(
            tuple(
                luma[(top + row * dot + dot // 2) * stride + left + column * dot + dot // 2] > 128
                for column in range(font.WIDTH)
            )
            for row in range(font.HEIGHT)
        )
        said += known.get(dots, "\N{REPLACEMENT CHARACTER}")
    return said


def test_each_letter_is_another_and_none_is_empty() -> None:
    glyphs = [str(font.rows(chr(code))) for code in range(font.FIRST, font.LAST + 1)]
    assert len(set(glyphs)) == len(glyphs) == 95
    assert [chr(font.FIRST + at) for at, glyph in enumerate(glyphs) if "True" not in glyph] == [" "]


def test_a_line_is_name_time_and_text_and_an_unset_clock_is_not_shown(monkeypatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    whole = Overlay("Café Größe", has_time=True, text="Gate 3 東")
    assert whole.line(NOW_S) == "Cafe Grosse  2030-03-17 17:46:40 UTC  Gate 3 ?"
    assert whole.line(1000.0) == "Cafe Grosse  clock not set  Gate 3 ?"
    assert Overlay(text="only").line(NOW_S) == "only"


def test_the_settings_are_asked_for_and_nothing_is_drawn_without() -> None:
    assert Overlay.wanted(CameraSettings().overlay, "Door") is None
    wanted = Overlay.wanted(OverlaySettings(name=True, text="x", corner="top-right"), "Door")
    assert wanted == Overlay("Door", text="x", corner="top-right")
    assert Masking().is_clear
    assert not Masking(overlay=wanted).is_clear


@pytest.mark.parametrize("corner", ["top-left", "top-right", "bottom-left", "bottom-right"])
@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (320, 180), (333, 187), (1920, 1080), (64, 64)])
def test_it_stands_in_its_corner_and_can_be_read(corner, size) -> None:
    text = "Door 17:46"
    frame = grey(*size)
    masking = Masking(overlay=Overlay(text=text, corner=corner))
    own = masking.cover_frame(frame)
    masking.write_frame(own)
    made = label(text, corner, *size)
    shown = text[: (size[0] - 1) // 6]
    dot = len(made.rows[0]) // (6 * len(shown) + 1)
    luma = memoryview(own.planes[0]).cast("B")
    assert read(luma, own.planes[0].line_size, made.x, made.y, dot, len(shown)) == shown
    assert made.x == 0 if "left" in corner else made.x + len(made.rows[0]) == size[0] & ~1
    assert made.y == 0 if "top" in corner else made.y + len(made.rows) == size[1] & ~1
    assert bytes(frame.planes[0]) == b"\x60" * frame.planes[0].buffer_size, "of the decoder's nothing"


@pytest.mark.parametrize("form", ["YUV420", "NV12"])
def test_in_a_buffer_of_libcameras_only_the_label_is_written(form) -> None:
    layout = Layout(form, 320, 180, 384)
    data = bytearray(b"\x60" * layout.size_bytes)
    masking = Masking(overlay=Overlay(text="Gate", corner="bottom-right"))
    masking.write_pixels(layout, memoryview(data))
    made = label("Gate", "bottom-right", 320, 180)
    assert read(memoryview(data), 384, made.x, made.y, 1, 4) == "Gate"
    assert data.count(128) == len(made.rows) * len(made.rows[0]) // 2, "grey below it, and nowhere else"
    assert len(data) - data.count(0x60) == len(made.rows) * len(made.rows[0]) * 3 // 2


def test_where_there_is_no_room_there_is_none() -> None:
    assert label("Gate", "top-left", 4, 180) is None
    assert label("Gate", "top-left", 320, 8) is None
    assert label("", "top-left", 320, 180) is None
    frame = grey(16, 8)
    masking = Masking(overlay=Overlay(text="Gate"))
    masking.write_frame(masking.cover_frame(frame))


def test_it_is_above_a_mask_and_its_time_is_now(monkeypatch) -> None:
    monkeypatch.setattr(overlay.time, "localtime", time.gmtime)
    masking = Masking(BLANK, Overlay(has_time=True, corner="top-left"))
    for now_s, words in ((NOW_S, "17:46:40"), (NOW_S + 1, "17:46:41")):
        monkeypatch.setattr("agent.camera.masking.time.time", lambda now_s=now_s: now_s)
        own = masking.cover_frame(grey())
        assert_black(own, [((0, 0), (1, 0), (1, 1), (0, 1))])
        masking.write_frame(own)
        said = read(memoryview(own.planes[0]).cast("B"), own.planes[0].line_size, 0, 0, 4, 19)
        assert said == f"2030-03-17 {words}"
    masking.show(CLEAR)
    masking.write_frame(masking.cover_frame(grey()))


def test_it_is_drawn_outside_of_no_plane() -> None:
    for width, height in ((64, 64), (65, 65), (1279, 719)):
        made = label("Gate of the northern yard, by the river", "bottom-right", width, height)
        for plane in (
            Plane(width, height, width),
            Plane(mask.half(width), mask.half(height), mask.half(width), is_chroma=True),
        ):
            data = memoryview(bytearray(plane.stride * plane.rows))
            mask.paint(data, made.runs(plane))
