from fractions import Fraction

import av
import pytest

from agent.camera.upright import Upright, square_size

UPRIGHT = (1, 0, 0, 1)
BLACK = {1: 16, 2: 0}


def corner_picture(width: int = 64, height: int = 32, format_name: str = "yuv420p") -> av.VideoFrame:
    """White in its upper left quarter, grey elsewhere."""
    picture = av.VideoFrame(width, height, format_name)
    for plane in picture.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    luma = picture.planes[0]
    rows = [
        bytes([235 if y < height // 2 and x < width // 2 else 128 for x in range(luma.line_size)])
        for y in range(height)
    ]
    luma.update(b"".join(rows).ljust(luma.buffer_size, b"\0"))
    picture.colorspace, picture.color_range = 6, 2 if format_name.startswith("yuvj") else 1
    return picture


def luma_at(picture: av.VideoFrame, across: float, down: float) -> int:
    plane = picture.planes[0]
    return bytes(plane)[int(down * picture.height) * plane.line_size + int(across * picture.width)]


@pytest.mark.parametrize(
    ("turn", "where"),
    [
        ((0, 1, -1, 0), "upper right"),
        ((-1, 0, 0, -1), "lower right"),
        ((0, -1, 1, 0), "lower left"),
        ((-1, 0, 0, 1), "upper right"),
        ((1, 0, 0, -1), "lower left"),
        ((0, 1, 1, 0), "upper left"),
        ((0, -1, -1, 0), "lower right"),
    ],
)
def test_every_way_of_turning(monkeypatch, turn, where: str) -> None:
    monkeypatch.setattr("agent.camera.upright.turn_of", lambda _frame, _rotate: turn)
    size = (64, 32) if turn[0] else (32, 64)
    shown = Upright(*size).make(corner_picture())
    assert (shown.width, shown.height) == size
    lit = {
        f"{line} {side}"
        for line, down in (("upper", 0.25), ("lower", 0.75))
        for side, across in (("left", 0.25), ("right", 0.75))
        if luma_at(shown, across, down) > 200
    }
    assert lit == {where}


def test_the_setting_turns_by_180_degrees() -> None:
    assert luma_at(Upright(64, 32, rotate=180).make(corner_picture()), 0.75, 0.75) > 200


@pytest.mark.parametrize(
    ("pixel_shape", "turn", "size"),
    [
        (None, UPRIGHT, (704, 576)),
        (Fraction(16, 11), UPRIGHT, (1024, 576)),
        (Fraction(1, 2), UPRIGHT, (704, 1152)),
        (Fraction(16, 11), (0, 1, -1, 0), (576, 1024)),
        (Fraction(1, 255), UPRIGHT, (704, 576)),
        (Fraction(0), UPRIGHT, (704, 576)),
    ],
)
def test_pixels_become_square_where_their_shape_can_be(pixel_shape, turn, size) -> None:
    assert square_size(av.VideoFrame(704, 576, "yuv420p"), pixel_shape, turn) == size


@pytest.mark.parametrize("format_name", ["yuv420p", "yuvj422p", "yuv444p", "nv12"])
def test_another_shape_gets_bars_and_is_not_stretched(format_name: str) -> None:
    upright = Upright(128, 128)
    picture = corner_picture(format_name=format_name)
    shown = upright.make(picture)
    assert (shown.width, shown.height) == (128, 128)
    black = BLACK[picture.color_range]
    assert [luma_at(shown, 0.5, down) for down in (0.1, 0.9)] == pytest.approx([black, black], abs=1)
    assert luma_at(shown, 0.25, 0.35) > 200, "the lit corner"
    assert (shown.colorspace, shown.color_range) == (picture.colorspace, picture.color_range)


def test_a_size_that_changes_midway_is_fitted_each_time() -> None:
    upright = Upright(128, 64)
    shown = [upright.make(corner_picture(*size)) for size in ((64, 32), (32, 64), (64, 32), (16, 1600))]
    assert luma_at(shown[1], 0.1, 0.5) == 16, "bars beside it"
    assert luma_at(shown[2], 0.1, 0.1) > 200
    assert (shown[3].width, shown[3].height) == (128, 64), "however odd, it costs no more"


def test_an_odd_line_more_is_no_reason_for_bars() -> None:
    picture = corner_picture(639, 359, "yuv444p")
    assert Upright(638, 358).make(picture) is picture
