"""What an encoder makes of each description of colours, read back from its own H.264."""

import av
import pytest

from agent.camera.encoder import H264Encoder
from agent.camera.picture import TestPicture, ycbcr
from agent.camera.vui import name_colors
from agent.model.media import EncoderDemand, Unit

BT709, UNSPECIFIED, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9
UNSAID, LIMITED, FULL = 0, 1, 2
RED_601, RED_709 = (82, 90, 240), (63, 102, 240)
"""Pure red in Y, Cb and Cr, limited range."""


def frame(format_name: str, levels: tuple[int, ...], matrix: int, said_range: int, height: int = 64):
    picture = av.VideoFrame(96, height, format_name)
    for plane, level in zip(picture.planes, levels, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    picture.colorspace, picture.color_range = matrix, said_range
    return picture


def decoded(unit: Unit) -> av.VideoFrame:
    decoder = av.CodecContext.create("h264", "r")
    return [*decoder.decode(av.Packet(unit.data)), *decoder.decode(None)][0]


def middle(picture: av.VideoFrame) -> list[int]:
    return [bytes(plane)[plane.height // 2 * plane.line_size + plane.width // 2] for plane in picture.planes]


@pytest.mark.parametrize(
    "source",
    [
        ("yuv420p", RED_709, BT709, LIMITED),
        ("yuv420p", RED_601, SMPTE170M, LIMITED),
        ("yuv420p", RED_601, BT470BG, UNSAID),
        ("yuv420p", RED_601, UNSPECIFIED, UNSAID),  # small, so not HD
        ("yuv420p", RED_709, UNSPECIFIED, UNSAID, 720),
        ("yuvj422p", (76, 85, 255), BT470BG, FULL),  # a webcam's JPEG
        ("yuv420p", (76, 85, 255), SMPTE170M, FULL),
        ("yuvj420p", (76, 85, 255), UNSPECIFIED, FULL),
        ("yuv420p", (74, 97, 240), BT2020, LIMITED),
        ("gbrp", (0, 0, 255), UNSPECIFIED, UNSAID),
    ],
)
def test_the_stream_names_one_matrix_and_limited_range_and_has_the_colour(source) -> None:
    picture = frame(*source)
    coder = H264Encoder(96, picture.height, 30, 10, EncoderDemand(2_000_000))
    shown = decoded(coder.encode(picture, 0))
    assert (shown.colorspace, shown.color_range) == (SMPTE170M, LIMITED)
    assert (shown.color_primaries, shown.color_trc) == (BT709, BT709)
    assert middle(shown) == pytest.approx(RED_601, abs=2)


def test_named_primaries_and_transfer_stay_as_they_are() -> None:
    picture = frame("yuv420p", RED_601, SMPTE170M, LIMITED)
    picture.color_primaries = picture.color_trc = SMPTE170M
    shown = decoded(H264Encoder(96, 64, 30, 10, EncoderDemand(2_000_000)).encode(picture, 0))
    assert (shown.color_primaries, shown.color_trc) == (SMPTE170M, SMPTE170M)


def test_a_smaller_size_of_the_same_stream_keeps_its_colours() -> None:
    coder = H264Encoder(96, 720, 30, 10, EncoderDemand(2_000_000))
    picture = frame("yuv420p", RED_709, UNSPECIFIED, UNSAID, 720)
    coder.encode(picture, 0)
    coder.apply(EncoderDemand(1_000_000, scale=0.5))
    shown = decoded(coder.encode(picture, 0))
    assert (shown.height, shown.colorspace) == (360, SMPTE170M)
    assert middle(shown) == pytest.approx(RED_601, abs=2)


def test_other_primaries_begin_with_a_keyframe() -> None:
    coder = H264Encoder(96, 64, 30, 10, EncoderDemand(2_000_000))
    pictures = [frame("yuv420p", RED_601, SMPTE170M, LIMITED) for _ in range(4)]
    for picture in pictures[2:]:
        picture.color_primaries = SMPTE170M
    units = [coder.encode(picture, 0) for picture in pictures]
    assert [unit.is_keyframe for unit in units] == [True, False, True, False]
    assert decoded(units[2]).color_primaries == SMPTE170M


def test_the_test_picture_is_what_it_is_drawn_in() -> None:
    picture = TestPicture(320, 180, 30).draw(0, 0)
    assert (picture.colorspace, picture.color_range) == (SMPTE170M, LIMITED)
    assert ycbcr(255, 0, 0) == pytest.approx(RED_601, abs=1)


def test_the_colours_of_a_foreign_encoder_are_written_into_its_sps() -> None:
    sps = bytes.fromhex("000000016742c01eda0280bfe584000003000400000300f07c58ba80")
    named = name_colors(sps)
    assert named != sps
    assert name_colors(named) == named
    picture = "0000000168ce0fc8"
    assert name_colors(bytes.fromhex(picture[:10])) == bytes.fromhex(picture[:10]), "what is no SPS stays"
