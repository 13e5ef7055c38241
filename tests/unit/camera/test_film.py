"""Files as the field has them, played by the replayed camera."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from agent.camera.film import pictures, probe
from agent.camera.losses import Losses
from agent.camera.replay import ReplayCamera
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import EncoderDemand

ACTIVE, PAUSED = EncoderDemand(2_000_000), EncoderDemand(2_000_000, is_active=False)

SOF = bytes.fromhex("ffc00011080040008003012200021100031100")
"""A JPEG's frame header: 128x64, three components; and one with a sampling factor of 3x1."""
ODD_SOF = bytes.fromhex("ffc00011080040008003013100021200031200")


def write(
    path: Path,
    stamps: list[int],
    prepare: Callable[[av.VideoStream], None] = lambda _: None,
    codec: str = "libx264",
) -> Path:
    """A film of 128x64, stamps in 1/60 s; red above."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=60)
        stream.width, stream.height = 128, 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 60)
        prepare(stream)
        for stamp in stamps:
            frame = av.VideoFrame(128, 64, stream.pix_fmt)
            for plane, level in zip(frame.planes, (82, 90, 240), strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            frame.pts, frame.time_base = stamp, Fraction(1, 60)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def started(path: Path) -> tuple[int, int, float]:
    """What the camera says that it delivers."""
    camera = ReplayCamera(CameraSettings(), str(path))
    formats = camera.start({"main": ACTIVE, "preview": PAUSED}, lambda *_: None, lambda _: None)
    camera.stop()
    return formats["main"].width_px, formats["main"].height_px, formats["main"].fps


@pytest.mark.parametrize(
    ("degrees", "size"), [(90, (64, 128)), (-90, (64, 128)), (180, (128, 64)), (0, (128, 64))]
)
def test_a_phones_film_is_upright(tmp_path: Path, degrees: int, size: tuple[int, int]) -> None:
    path = write(tmp_path / "phone.mp4", [*range(4)], lambda stream: stream.set_display_rotation(degrees))
    assert started(path)[:2] == size


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)

    assert started(write(tmp_path / "dvd.mp4", [*range(4)], prepare))[:2] == (186, 64)


def test_the_rate_is_the_mean_of_the_stamps(tmp_path: Path) -> None:
    bursts = [burst * 60 + picture for burst in range(4) for picture in range(4)]  # 4 a second, 60 in a burst
    assert started(write(tmp_path / "vfr.mp4", bursts))[2] == pytest.approx(5, abs=0.6)


def test_a_time_lapse_keeps_its_pace_and_its_rate_stays_possible(tmp_path: Path) -> None:
    path = write(tmp_path / "lapse.mp4", [0, 300, 600, 900])
    film = probe(path)
    assert film.interval_s > 3
    assert film.fps == 1


def test_damaged_pictures_are_left_out_and_counted_whatever_they_are_called(tmp_path: Path) -> None:
    path = write(tmp_path / "webcam.avi", [*range(6)], codec="mjpeg")
    path.write_bytes(path.read_bytes().replace(SOF, ODD_SOF, 1))
    losses = Losses(100)
    assert len(list(pictures(path, losses))) == 5
    assert losses.total == 1
    assert not isinstance(losses.last, av.error.InvalidDataError)


def test_a_file_of_nothing_but_damage_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "webcam.avi", [*range(6)], codec="mjpeg")
    path.write_bytes(path.read_bytes().replace(SOF, ODD_SOF))
    with pytest.raises(CameraError, match=r"no picture of .*webcam\.avi can be decoded: .*implemented"):
        started(path)


def test_a_file_that_breaks_off_plays_up_to_there(tmp_path: Path) -> None:
    path = write(tmp_path / "webcam.avi", [*range(6)], codec="mjpeg")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\xff\xd8") + 40])
    assert 0 < len(list(pictures(path, Losses(100)))) < 6
