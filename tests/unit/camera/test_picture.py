import time
import tomllib

import av
import pytest

from agent.camera.encoder import H264Encoder
from agent.camera.luma import INTERVAL_US, LumaTap
from agent.camera.picture import Digits, TestPicture
from agent.demo.supervisor import ATTENTIVE
from agent.model import stamp
from agent.model.media import EncoderDemand
from agent.model.motion import Luma, Tuning
from agent.motion.detector import Detector

NOW_MS = 1_900_000_000_123
SIZES = [(1920, 1080), (1280, 720), (640, 360), (320, 240), (64, 64), (240, 320), (642, 362)]


def read_stamp(frame: av.VideoFrame) -> int | None:
    plane = frame.planes[0]
    return stamp.decode_luma(bytes(plane), plane.line_size, frame.width, frame.height)


@pytest.mark.parametrize("size", SIZES)
def test_the_stamp_reads_back_at_every_size(size: tuple[int, int]) -> None:
    assert read_stamp(TestPicture(*size, 30).draw(0, NOW_MS)) == NOW_MS % stamp.MODULUS_MS


def test_the_stamp_survives_a_poor_encoder() -> None:
    picture = TestPicture(640, 360, 30)
    encoder = H264Encoder(640, 360, 30, 10, EncoderDemand(100_000))
    decoder = av.CodecContext.create("h264", "r")
    stamps = []
    for i in range(30):
        unit = encoder.encode(picture.draw(i * 33_333, NOW_MS + i * 33), 0)
        stamps += [read_stamp(frame) for frame in decoder.decode(av.Packet(unit.data))]
    stamps += [read_stamp(frame) for frame in decoder.decode(None)]
    assert stamps == [(NOW_MS + i * 33) % stamp.MODULUS_MS for i in range(30)]


def test_something_moves_and_nothing_is_left_behind() -> None:
    picture = TestPicture(320, 240, 30)
    first = [bytes(plane) for plane in picture.draw(0, NOW_MS).planes]
    later = [bytes(plane) for plane in picture.draw(1_000_000, NOW_MS).planes]
    again = [bytes(plane) for plane in picture.draw(6_000_000, NOW_MS).planes]
    assert first != later
    assert first == again, "a turn of the ball later the picture is the same"


def test_the_clock_shows_local_time() -> None:
    picture = TestPicture(640, 360, 30)
    frame = picture.draw(0, NOW_MS)
    plane, stride = bytes(frame.planes[0]), frame.planes[0].line_size
    digits = Digits(round(360 * 0.15))
    text = time.strftime("%H:%M:%S", time.localtime(NOW_MS // 1000))
    assert digits.strips(text)[1] in plane[stride * 100 : stride * 200]
    assert digits.strips("88:88:88")[1] not in plane[stride * 100 : stride * 200]


@pytest.mark.parametrize("size", [(1280, 720), (640, 480)])
def test_who_walks_by_is_motion_in_the_demo_and_ball_clock_and_stamp_are_none(size):
    min_size_percent = tomllib.loads(ATTENTIVE)["motion"]["min_size_percent"]
    picture, tap = TestPicture(*size, 30), LumaTap()
    detector = Detector(Tuning(min_size_percent=min_size_percent))
    seen: list[float] = []

    def look(luma: Luma) -> None:
        if detector.on_picture(luma).is_moving:
            seen.append(luma.capture_us / 1e6)

    tap.want(look)
    for at_us in range(0, 80_000_000, INTERVAL_US):
        tap.take_frame(picture.draw(at_us, NOW_MS + at_us // 1000), at_us)
    walks = (24, 34.5), (64, 74.5)  # among what flickers, motion is told a sample late
    assert all(any(begin <= at <= end for begin, end in walks) for at in seen)
    assert all(sum(begin <= at <= end for at in seen) > 20 for begin, end in walks), "five a second"


def test_who_walks_by_is_seen_whole_and_leaves_nothing_behind():
    picture = TestPicture(320, 240, 30)

    def drawn(at_us: int) -> list[bytes]:
        return [bytes(plane) for plane in picture.draw(at_us, NOW_MS).planes]

    empty = drawn(0)
    for share in range(101):
        picture.draw(24_000_000 + share * 100_000, NOW_MS)
    assert drawn(36_000_000) == empty
    walking = drawn(30_000_000)  # the ball is where it is at the start
    differing = {at for at, (one, other) in enumerate(zip(walking[0], empty[0], strict=True)) if one != other}
    columns = {at % picture.frame.planes[0].line_size for at in differing}
    assert 160 < min(columns) < max(columns) < 224, "three fifths of the way"
