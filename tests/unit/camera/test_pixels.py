"""What libcamera agreed to, and its buffers as pictures."""

import logging

import pytest

from agent.camera.pixels import Layout, agree, video_frame
from agent.errors import CameraError

BOTH = ("YUV420", "NV12")


def test_rows_with_padding_are_copied_right() -> None:
    width, height, stride = 48, 4, 64
    luma = b"".join(bytes([10 + row]) * width + b"\xff" * (stride - width) for row in range(height))
    chroma = [
        b"".join(bytes([value + row]) * (width // 2) + b"\xff" * (stride - width) for row in range(2))
        for value in (100, 200)
    ]
    padded = luma + b"".join(part.replace(b"\xff" * 16, b"\xff" * 8) for part in chroma)
    frame = video_frame(Layout("YUV420", width, height, stride), memoryview(padded))
    for plane, expected in zip(frame.planes, ([10, 11, 12, 13], [100, 101], [200, 201]), strict=True):
        rows = [bytes(plane)[r * plane.line_size :][: plane.width] for r in range(plane.height)]
        assert rows == [bytes([value]) * plane.width for value in expected]


def test_nv12_is_read_as_what_it_is() -> None:
    width, height, stride = 48, 4, 64
    luma = b"".join(bytes([10 + row]) * width + b"\xff" * (stride - width) for row in range(height))
    chroma = (b"\x5a\xa0" * (width // 2) + b"\xff" * (stride - width)) * 2
    frame = video_frame(Layout("NV12", width, height, stride), memoryview(luma + chroma))
    planar = frame.reformat(format="yuv420p")
    assert bytes(planar.planes[0])[:width] == bytes([10]) * width
    assert bytes(planar.planes[1])[: width // 2] == b"\x5a" * (width // 2)
    assert bytes(planar.planes[2])[: width // 2] == b"\xa0" * (width // 2)


def test_a_buffer_that_is_too_short_is_no_picture() -> None:
    with pytest.raises(CameraError, match="100 of a picture's 384 bytes"):
        video_frame(Layout("YUV420", 48, 4, 64), memoryview(bytes(100)))


def test_what_was_asked_for_comes() -> None:
    stream = {"format": "YUV420", "size": (640, 360), "stride": 640, "framesize": 345_600}
    assert agree(stream, (640, 360), BOTH) == Layout("YUV420", 640, 360, 640)


def test_the_preview_has_the_matrix_of_main() -> None:
    stream = {"format": "NV12", "size": (48, 4), "stride": 64}
    for space, matrix in (("<libcamera.ColorSpace 'Rec709'>", 1), ("<libcamera.ColorSpace 'SMPTE170M'>", 6)):
        layout = agree(stream, (48, 4), BOTH, space)
        assert video_frame(layout, memoryview(bytes(384))).colorspace == matrix


def test_another_size_is_taken_and_told(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        agree({"format": "NV12", "size": (640, 360), "stride": 640}, (650, 362), BOTH)
    assert "650x362 was asked for, 640x360 comes" in caplog.text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": "NV12"}, "delivers NV12, and YUV420 was asked for"),
        ({"format": "XBGR8888"}, "delivers XBGR8888"),
        ({"stride": 600}, "640x360 in rows of 600 bytes"),
        ({"stride": 641}, "in rows of 641 bytes"),
        ({"size": (640, 361)}, "640x361"),
        ({"size": (1920, 1080), "stride": 1920, "framesize": 0}, "delivers 1920x1080, and 640x360 was asked"),
        ({"framesize": 1000}, "buffers have 1000 bytes, and a picture 345600"),
    ],
)
def test_what_we_cannot_use_is_told_before_a_picture_is_wrong(changed, words) -> None:
    stream = {"format": "YUV420", "size": (640, 360), "stride": 640, "framesize": 345_600} | changed
    with pytest.raises(CameraError, match=words):
        agree(stream, (640, 360), ("YUV420",))
