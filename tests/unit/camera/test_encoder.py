import random
from fractions import Fraction

import av
import pytest
from av.video.frame import PictureType

from agent.camera.encoder import H264Encoder, level_idc
from agent.errors import CameraError
from agent.model.h264 import SPS, nal_type, split_nals
from agent.model.media import EncoderDemand, Unit

FPS = 30


def noise(
    width: int = 320, height: int = 180, count: int = 10, format_name: str = "yuv420p"
) -> list[av.VideoFrame]:
    """Pictures that are hard to encode, so that the bitrate is what the rate control makes it."""
    chance = random.Random(7)
    frames = []
    for _ in range(count):
        frame = av.VideoFrame(width, height, format_name)
        for plane in frame.planes:
            plane.update(chance.randbytes(plane.buffer_size))
        frames.append(frame)
    return frames


def nal_types(data: bytes) -> list[int]:
    return [nal_type(nal) for nal in split_nals(data)]


def encode(encoder: H264Encoder, frames: list[av.VideoFrame], count: int) -> list[Unit]:
    return [encoder.encode(frames[i % len(frames)], capture_us=i) for i in range(count)]


def rate_bps(units: list[Unit]) -> float:
    return sum(len(unit.data) for unit in units) * 8 * FPS / len(units)


def encoder(bitrate_bps: int = 1_000_000, keyframe_interval_s: float = 10) -> H264Encoder:
    return H264Encoder(320, 180, FPS, keyframe_interval_s, EncoderDemand(bitrate_bps))


def decode(units: list[Unit]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    return frames + decoder.decode(None)


def test_each_picture_comes_out_at_once_in_order_and_decodes() -> None:
    units = encode(encoder(), noise(), 40)
    assert [unit.capture_us for unit in units] == list(range(40))
    pictures = decode(units)
    assert [(picture.width, picture.height) for picture in pictures] == [(320, 180)] * 40


def test_only_the_first_picture_is_a_keyframe_and_carries_sps_and_pps() -> None:
    units = encode(encoder(), noise(), 40)
    assert [unit.is_keyframe for unit in units] == [True] + [False] * 39
    types = nal_types(units[0].data)
    assert types.index(7) < types.index(8) < types.index(5)
    assert all(nal_types(unit.data) == [1] for unit in units[1:])


def test_the_stream_is_constrained_baseline_at_the_level_that_its_size_takes() -> None:
    for width, height, fps in ((320, 180, 30), (1280, 720, 30), (1280, 720, 60), (1920, 1080, 30)):
        coder = H264Encoder(width, height, fps, 10, EncoderDemand(2_000_000))
        data = coder.encode(av.VideoFrame(width, height, "yuv420p"), 0).data
        sps = next(nal for nal in split_nals(data) if nal_type(nal) == SPS)
        # profile_idc 66, constraint_set0 and 1, the level (H.264 section 7.3.2.1.1)
        assert sps[1:4] == bytes((66, 0xC0, level_idc(width, height, fps)))


@pytest.mark.parametrize(
    ("size", "level"),
    [
        ((640, 360, 30), 31),
        ((1280, 720, 30), 31),
        ((1280, 720, 60), 32),
        ((1920, 1080, 30), 40),
        ((3840, 2160, 30), 51),
    ],
)
def test_level(size: tuple[int, int, float], level: int) -> None:
    assert level_idc(*size) == level


def test_a_wanted_keyframe_is_the_very_next_picture_and_only_one() -> None:
    coder = encoder()
    frames = noise()
    encode(coder, frames, 5)
    coder.apply(EncoderDemand(1_000_000, keyframe=True))
    assert [unit.is_keyframe for unit in encode(coder, frames, 5)] == [True, False, False, False, False]


def test_keyframes_come_at_the_interval() -> None:
    units = encode(encoder(keyframe_interval_s=0.5), noise(), 46)
    assert [unit.capture_us for unit in units if unit.is_keyframe] == [0, 15, 30, 45]


def test_the_bitrate_follows_at_once_without_a_keyframe() -> None:
    coder = encoder(2_000_000)
    frames = noise()
    assert rate_bps(encode(coder, frames, 60)) == pytest.approx(2_000_000, rel=0.15)
    for wanted_bps in (700_000, 1_800_000):
        coder.apply(EncoderDemand(wanted_bps))
        units = encode(coder, frames, 75)
        assert not any(unit.is_keyframe for unit in units)
        assert rate_bps(units[15:]) == pytest.approx(wanted_bps, rel=0.2)


def test_three_times_the_bitrate_it_was_opened_with_is_not_held_down() -> None:
    coder = encoder(600_000)
    frames = noise()
    encode(coder, frames, 30)
    coder.apply(EncoderDemand(2_000_000))
    units = encode(coder, frames, 120)
    assert rate_bps(units[30:]) == pytest.approx(2_000_000, rel=0.05)


def test_a_move_beyond_the_headroom_takes_a_keyframe_and_is_obeyed() -> None:
    coder = encoder(400_000)
    frames = noise()
    encode(coder, frames, 30)
    coder.apply(EncoderDemand(4_000_000))
    units = encode(coder, frames, 60)
    assert [unit.is_keyframe for unit in units[:3]] == [True, False, False]
    assert rate_bps(units) == pytest.approx(4_000_000, rel=0.2)


def test_a_keyframe_after_the_bitrate_fell_is_no_larger_than_the_new_rate_allows() -> None:
    coder = encoder(2_000_000)
    frames = noise()
    encode(coder, frames, 30)
    coder.apply(EncoderDemand(600_000, keyframe=True))
    keyframe = encode(coder, frames, 1)[0]
    assert keyframe.is_keyframe
    assert len(keyframe.data) * 8 < 600_000 * 0.4


def test_the_type_a_decoded_picture_had_in_its_file_means_nothing() -> None:
    coder = encoder()
    frames = noise(count=4)
    for frame in frames:
        frame.pict_type = PictureType.I
    assert [unit.is_keyframe for unit in encode(coder, frames, 8)] == [True] + [False] * 7


def test_other_sizes_and_pixel_formats_are_converted() -> None:
    coder = encoder()
    for format_name in ("yuyv422", "yuvj422p", "nv12", "rgb24"):
        unit = encode(coder, noise(640, 480, 1, format_name), 1)[0]
        assert nal_types(unit.data)[-1] in (1, 5)


def test_the_time_stamps_of_a_picture_do_not_matter() -> None:
    coder = encoder()
    frame = noise(count=1)[0]
    units = []
    for pts in (100, 7, None, -3):
        frame.pts, frame.time_base = pts, Fraction(1, 1000)
        units.append(coder.encode(frame, 0))
    assert len(decode(units)) == 4


def test_an_impossible_size_is_a_clear_error() -> None:
    with pytest.raises(CameraError, match="15x10 cannot be encoded"):
        H264Encoder(15, 10, 30, 10, EncoderDemand(1_000_000))


def test_a_new_size_starts_with_a_keyframe_and_back_again() -> None:
    coder = encoder()
    frames = noise()
    units = encode(coder, frames, 3)
    coder.apply(EncoderDemand(300_000, scale=0.5))
    units += encode(coder, frames, 3)
    coder.apply(EncoderDemand(1_000_000))
    units += encode(coder, frames, 3)
    assert [unit.is_keyframe for unit in units] == [True, False, False] * 3
    sizes = [(picture.width, picture.height) for picture in decode(units)]
    assert sizes == [(320, 180)] * 3 + [(160, 90)] * 3 + [(320, 180)] * 3


def test_half_of_the_pictures_share_the_whole_bitrate() -> None:
    coder = encoder()
    frames = noise()
    coder.apply(EncoderDemand(600_000, fps_share=0.5))
    units = encode(coder, frames, 75)[15:]
    assert rate_bps(units) / 2 == pytest.approx(600_000, rel=0.2), "half as many a second"


def test_what_comes_after_a_pause_is_a_keyframe() -> None:
    coder = encoder()
    frames = noise()
    encode(coder, frames, 3)
    coder.apply(EncoderDemand(1_000_000, is_active=False))
    coder.apply(EncoderDemand(1_000_000))
    assert [unit.is_keyframe for unit in encode(coder, frames, 2)] == [True, False]
