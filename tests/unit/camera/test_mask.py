"""The rasterizer against a slow one that looks at each pixel; nothing is covered less than it says."""

import random

import pytest
from parts.masked import winding

from agent.camera import mask
from agent.camera.mask import Plane

FRAME = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
SHAPES = {
    "triangle": ((0.1, 0.2), (0.9, 0.35), (0.4, 0.8)),
    "bow tie": ((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)),
    "star": ((0.5, 0.0), (0.8, 1.0), (0.0, 0.35), (1.0, 0.35), (0.2, 1.0)),
    "comb": ((0.0, 1.0), (0.0, 0.1), (0.2, 0.9), (0.4, 0.1), (0.6, 0.9), (0.8, 0.1), (1.0, 1.0)),
    "sliver": ((0.2, 0.5), (0.8, 0.5001), (0.8, 0.5002)),
    "line": ((0.2, 0.2), (0.8, 0.7), (0.2, 0.2)),
    "level line": ((0.2, 0.5), (0.8, 0.5), (0.5, 0.5)),
    "dot": ((0.5, 0.5), (0.5, 0.5), (0.5, 0.5)),
    "whole": FRAME,
}


def pixels(spans):
    return {(x, y) for y, row in enumerate(spans) for first, last in row for x in range(first, last)}


def touched(polygon, width, height):
    """Pixels in which some point of the polygon is, found by trying many."""
    points = [(x * width, y * height) for x, y in polygon]
    tries = [(2 * step + 1) / 10 for step in range(5)]
    found = {
        (x, y)
        for y in range(height)
        for x in range(width)
        if any(winding(points, x + dx, y + dy) for dx in tries for dy in tries)
    }
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        for step in range(401):
            x, y = x0 + (x1 - x0) * step / 400, y0 + (y1 - y0) * step / 400
            found.add((min(int(x), width - 1), min(int(y), height - 1)))
    return found


def near(places):
    return {(x + dx, y + dy) for x, y in places for dx in (-1, 0, 1) for dy in (-1, 0, 1)}


def check(polygon, width, height):
    covered = pixels(mask.rasterize([polygon], width, height, margin_px=0))
    wanted = touched(polygon, width, height)
    assert wanted <= covered, f"not covered: {sorted(wanted - covered)[:5]} by {polygon}"
    assert covered <= near(wanted), f"far outside: {sorted(covered - near(wanted))[:5]} by {polygon}"


@pytest.mark.parametrize("size", [(32, 18), (33, 19), (7, 40), (1, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_covers_what_it_touches(shape, size) -> None:
    check(SHAPES[shape], *size)


def test_any_polygon_covers_what_it_touches() -> None:
    rng = random.Random(18)
    for _ in range(150):
        corners = rng.randint(3, 9)
        grid = rng.choice((None, 4, 16))

        def place(grid=grid):
            return rng.random() if grid is None else rng.randint(0, grid) / grid

        polygon = tuple((place(), place()) for _ in range(corners))
        check(polygon, rng.randint(2, 30), rng.randint(2, 30))


def test_the_margin_lies_all_around_and_ends_at_the_picture() -> None:
    square = ((0.25, 0.25), (0.5, 0.25), (0.5, 0.5), (0.25, 0.5))
    inner = pixels(mask.rasterize([square], 40, 40, margin_px=0))
    outer = pixels(mask.rasterize([square], 40, 40, margin_px=2))
    around = {(x + dx, y + dy) for x, y in inner for dx in range(-2, 3) for dy in range(-2, 3)}
    assert outer == around
    assert mask.rasterize([FRAME], 40, 30) == mask.everything(40, 30)


def test_several_are_one() -> None:
    left, right = ((0, 0), (0.6, 0), (0.6, 1), (0, 1)), ((0.4, 0), (1, 0), (1, 1), (0.4, 1))
    assert mask.rasterize([left, right], 20, 10) == mask.everything(20, 10)
    assert mask.rasterize([], 20, 2) == [[], []]


@pytest.mark.parametrize(("width", "height"), [(16, 8), (15, 9), (1, 1)])
@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("sample_bytes", [1, 2])
def test_runs_paint_these_samples_and_no_others(width, height, pad, sample_bytes) -> None:
    rng = random.Random(width * 7 + pad)
    polygon = tuple((rng.random(), rng.random()) for _ in range(5))
    for spans in (mask.rasterize([polygon], width, height), mask.everything(width, height)):
        covered = pixels(spans)
        luma = Plane(width, height, width + pad, offset=3)
        data = bytearray(b"\xee" * (3 + (width + pad) * height))
        mask.paint(memoryview(data), mask.runs(spans, luma))
        for y in range(height):
            for x in range(width):
                assert (data[3 + y * (width + pad) + x] == 16) == ((x, y) in covered)
        columns, rows = mask.half(width), mask.half(height)
        stride = columns * sample_bytes + pad
        chroma = Plane(columns, rows, stride, is_chroma=True, sample_bytes=sample_bytes)
        data = bytearray(b"\xee" * (stride * rows))
        mask.paint(memoryview(data), mask.runs(spans, chroma))
        for y in range(rows):
            for x in range(columns):
                block = {(2 * x + dx, 2 * y + dy) for dx in (0, 1) for dy in (0, 1)}
                at = y * stride + x * sample_bytes
                value = data[at : at + sample_bytes]
                assert (value == bytes([128]) * sample_bytes) == bool(block & covered)


def test_rows_that_are_covered_whole_are_one_write() -> None:
    (run,) = mask.runs(mask.everything(1280, 720), Plane(1280, 720, 1344))
    assert run[0] == slice(0, 719 * 1344 + 1280), "never behind the last row, where the buffer may end"


def test_a_picture_that_is_too_short_is_an_error_and_no_half_mask() -> None:
    with pytest.raises(ValueError, match="assignment"):
        mask.paint(memoryview(bytearray(100)), mask.runs(mask.everything(16, 16), Plane(16, 16, 16)))
