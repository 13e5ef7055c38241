"""JPEG of a keyframe: the right colours, and never more bytes than fit."""

import av
import pytest
from fakes.still_camera import flat, keyframe_of, noise
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CameraError
from agent.model.still import MAX_SMALL_BYTES, MAX_THUMBNAIL_BYTES
from agent.record.jpeg import decode_keyframe, make_jpeg


def read(jpeg):
    [frame] = av.CodecContext.create("mjpeg", "r").decode(av.Packet(jpeg))
    return frame


@pytest.mark.parametrize(("luma", "grey"), [(16, 0), (126, 128), (235, 255)])
def test_a_grey_stays_what_it_is_in_jpegs_full_range(luma, grey):
    jpeg, width, height = make_jpeg(decode_keyframe(keyframe_of(flat(320, 180, luma)).data))
    frame = read(jpeg)
    assert (width, height, frame.width, frame.height) == (320, 180, 320, 180)
    assert abs(bytes(frame.planes[0])[1000] - grey) <= 2


@pytest.mark.parametrize(("width_px", "max_bytes"), [(640, MAX_SMALL_BYTES), (320, MAX_THUMBNAIL_BYTES)])
def test_the_worst_picture_fits(width_px, max_bytes):
    jpeg, width, height = make_jpeg(noise(1920, 1080), width_px, max_bytes)
    assert len(jpeg) <= max_bytes
    assert width <= width_px
    assert abs(width / height - 16 / 9) < 0.05
    assert (read(jpeg).width, read(jpeg).height) == (width, height)


def test_an_easy_picture_keeps_size_and_quality():
    jpeg, width, _ = make_jpeg(flat(1280, 720), 640, MAX_SMALL_BYTES)
    best, *_ = make_jpeg(flat(640, 360))
    assert (width, len(jpeg)) == (640, len(best))


def test_a_small_picture_is_not_made_larger():
    assert make_jpeg(flat(160, 90), 640, MAX_SMALL_BYTES)[1:] == (160, 90)


def test_what_cannot_fit_is_an_error_and_no_endless_search():
    with pytest.raises(CameraError, match="100 bytes"):
        make_jpeg(noise(640, 360), 640, 100)


@given(st.binary(max_size=200))
def test_what_is_no_picture_is_told_as_such(data):
    with pytest.raises(CameraError, match="cannot be decoded"):
        decode_keyframe(data)
