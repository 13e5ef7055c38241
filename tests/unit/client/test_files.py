"""A recording plays, and a snapshot is a picture."""

from fractions import Fraction

import av
import pytest

from agent.client.files import Recorder, write_jpeg
from agent.errors import PinholeError


def frame(number: int, width_px: int = 320, height_px: int = 240) -> av.VideoFrame:
    picture = av.VideoFrame(width_px, height_px, "yuv420p")
    for plane, value in zip(picture.planes, (40 + number, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    picture.pts, picture.time_base = 1_000_000 + number * 3000, Fraction(1, 90_000)
    return picture


def test_a_recording_has_every_picture_at_its_time(tmp_path):
    recorder = Recorder(tmp_path / "a.mp4")
    for number in range(30):
        recorder.add(frame(number))
    recorder.add(frame(30, 640, 480))
    recorder.close()
    with av.open(tmp_path / "a.mp4") as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == 31
    assert {(picture.width, picture.height) for picture in pictures} == {(320, 240)}
    assert pictures[0].time == pytest.approx(0)
    assert pictures[-1].time == pytest.approx(1.0, abs=0.01)


def test_a_recording_of_nothing_closes(tmp_path):
    Recorder(tmp_path / "a.mp4").close()


def test_a_snapshot_is_a_jpeg_of_the_same_size(tmp_path):
    write_jpeg(tmp_path / "a.jpg", frame(100, 640, 480))
    with av.open(tmp_path / "a.jpg") as container:
        picture = next(container.decode(video=0))
    assert (picture.width, picture.height) == (640, 480)
    assert bytes(picture.planes[0])[100 * picture.planes[0].line_size + 100] == pytest.approx(145, abs=12)


@pytest.mark.parametrize("write", [Recorder, lambda file: write_jpeg(file, frame(0))])
def test_a_place_that_cannot_be_written_is_named(tmp_path, write):
    with pytest.raises(PinholeError, match="No such file"):
        write(tmp_path / "none" / "a")
