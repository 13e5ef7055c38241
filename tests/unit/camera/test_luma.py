"""What detection is given of a camera's pictures: how often, of what, and from behind the masks."""

import av
import pytest

from agent.camera.duo import Duo
from agent.camera.luma import LumaTap, rows_of
from agent.camera.masking import Cover, Masking
from agent.camera.pixels import Layout
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.labels import Area
from agent.model.media import EncoderDemand

QUIET = {
    "main": EncoderDemand(1_000_000, is_active=False),
    "preview": EncoderDemand(500_000, is_active=False),
}


def picture(width: int, height: int, left: int = 40, right: int = 200) -> av.VideoFrame:
    """Dark on the left, bright on the right."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for index, plane in enumerate(frame.planes):
        row = bytearray(plane.line_size)
        for x in range(plane.width):
            row[x] = 128 if index else (left if x < width // 2 else right)
        plane.update(bytes(row) * plane.height)
    frame.color_range = 1
    return frame


@pytest.mark.parametrize(
    ("width", "height", "rows"),
    [(1280, 720, 18), (640, 480, 24), (1920, 1080, 18), (480, 640, 43), (64, 1920, 64)],
)
def test_a_cell_is_as_good_as_square(width, height, rows):
    assert rows_of(width, height) == rows


def test_nobody_looks_until_somebody_wants_to():
    tap, seen = LumaTap(), []
    assert not tap.is_wanted
    assert not tap.is_due(10_000_000)
    tap.want(seen.append)
    assert tap.is_due(10_000_000)
    tap.want(None)
    assert not tap.is_due(20_000_000)


@pytest.mark.parametrize("fps", [5, 7, 15, 25, 30, 60])
def test_at_most_five_a_second_of_any_rate(fps):
    tap, seen = LumaTap(), []
    tap.want(seen.append)
    frame = picture(64, 36)
    for index in range(fps * 10):
        at_us = 50_000_000 + index * 1_000_000 // fps
        if tap.is_due(at_us):
            tap.take_frame(frame, at_us)
    assert 36 <= len(seen) <= 50 if fps == 7 else 46 <= len(seen) <= 51


def test_a_clock_that_went_back_and_a_pause_do_not_stop_it():
    tap, seen = LumaTap(), []
    tap.want(seen.append)
    frame = picture(64, 36)
    for at_us in (90_000_000, 10_000_000, 10_200_000, 70_000_000, 70_100_000, 70_200_000):
        if tap.is_due(at_us):
            tap.take_frame(frame, at_us)
    assert [luma.capture_us // 100_000 for luma in seen] == [900, 100, 102, 700, 702]


def test_each_byte_is_the_mean_of_its_pixels():
    tap, seen = LumaTap(), []
    tap.want(seen.append)
    tap.take_frame(picture(1280, 720), 1)
    (luma,) = seen
    assert (luma.width_px, luma.height_px, len(luma.data)) == (32, 18, 32 * 18)
    row = luma.data[:32]
    assert max(row[:15]) - min(row[:15]) <= 1
    assert row[20] - row[5] > 120
    speckled = picture(1280, 720, 100, 100)
    pixels = bytearray(bytes(speckled.planes[0]))
    for at in range(0, len(pixels), 4):
        pixels[at] = 200  # one in four
    speckled.planes[0].update(bytes(pixels))
    tap.take_frame(speckled, 2)
    even = picture(1280, 720, 125, 125)
    tap.take_frame(even, 3)
    assert abs(seen[1].data[100] - seen[2].data[100]) <= 2


def test_a_buffer_of_libcamera_is_read_by_its_stride():
    tap, seen = LumaTap(), []
    tap.want(seen.append)
    layout = Layout("YUV420", 640, 360, 704)
    rows = (b"\x28" * 320 + b"\xc8" * 320 + b"\xff" * 64) * 360
    tap.take_pixels(layout, memoryview(rows + b"\x80" * (len(rows) // 2)))
    tap.take_frame(picture(640, 360), 1)
    assert seen[0].data == seen[1].data
    with pytest.raises(CameraError, match="bytes"):
        tap.take_pixels(layout, memoryview(rows[:1000]))


def test_it_sees_nothing_that_is_masked_and_nothing_is_encoded_for_it():
    masking, seen = Masking(), []
    masking.luma.want(seen.append)
    masking.show(Cover((((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)),)))
    duo = Duo(CameraSettings(), 640, 360, 30, QUIET, masking)
    assert duo.wants(1_000_000)
    assert list(duo.encode(picture(640, 360), 1_000_000)) == []
    assert len(set(seen[0].data[17:32])) == 1, "what was bright is black"
    assert not duo.wants(1_033_000)
    assert list(duo.encode(picture(640, 360), 1_033_000)) == []
    assert len(seen) == 1


def test_who_watches_gets_every_picture_meanwhile():
    masking, seen = Masking(), []
    masking.luma.want(seen.append)
    duo = Duo(CameraSettings(), 640, 360, 30, QUIET | {"main": EncoderDemand(1_000_000)}, masking)
    units = [unit for at in range(10) for unit in duo.encode(picture(640, 360), 1_000_000 + at * 33_333)]
    assert len(units) == 10
    assert len(seen) == 2


def test_a_part_of_a_picture_is_given_once_in_colour_and_from_behind_the_masks():
    masking = Masking(Cover((((0, 0), (0.5, 0), (0.5, 1), (0, 1)),)))
    masking.luma.want(lambda _: None)
    duo = Duo(CameraSettings(), 320, 180, 30, QUIET, masking)
    crops = []
    masking.luma.want_crop(Area(0.25, 0.2, 0.75, 0.8), (64, 48), crops.append)
    for number in range(3):
        assert list(duo.encode(picture(320, 180, 200, 200), number * 200_000)) == []
    (crop,) = crops
    assert (crop.width_px, crop.height_px, len(crop.rgb)) == (64, 48, 64 * 48 * 3)
    assert (crop.area.left, crop.area.top, crop.area.right, crop.area.bottom) == (0.25, 0.2, 0.75, 0.8)
    row = crop.rgb[24 * 64 * 3 : 25 * 64 * 3]
    assert max(row[: 28 * 3]) < 20, "the masked half is black"
    assert min(row[36 * 3 :]) > 180, "the other is what it shows"


@pytest.mark.parametrize("area", [
    Area(0.0, 0.0, 1.0, 1.0), Area(0.999, 0.999, 1.0, 1.0), Area(0.5, 0.5, 0.5001, 0.5001),
])  # fmt: skip
def test_any_part_of_a_picture_is_given_as_large_as_was_asked(area):
    tap, crops = LumaTap(), []
    tap.want_crop(area, (32, 32), crops.append)
    tap.crop_frame(picture(320, 180), 5)
    assert len(crops[0].rgb) == 32 * 32 * 3
    assert crops[0].at_us == 5
