import threading
from fractions import Fraction
from pathlib import Path

import av
import pytest
from parts.one_stream import start

from agent.camera.film import raw_rate, within
from agent.camera.replay import ReplayCamera, fit
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import EncoderDemand, Unit

pytestmark = pytest.mark.usefixtures("haste")

FRAMES = 6
LEVELS = [40 + 30 * i for i in range(FRAMES)]
"""Each picture of the file has a luma of its own, so that one knows it when it comes back."""


def write(path: Path, codec: str = "libx264", fps: int = 60, options: dict[str, str] | None = None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for i, level in enumerate(LEVELS):
            frame = av.VideoFrame(128, 64, "yuv420p")
            for plane, value in zip(frame.planes, (level, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def play(path: Path, count: int, **settings) -> tuple[list[Unit], list[Exception], object]:
    camera = ReplayCamera(CameraSettings(**settings), str(path))
    units: list[Unit] = []
    failures: list[Exception] = []
    done = threading.Event()

    def on_unit(unit: Unit) -> None:
        units.append(unit)
        if len(units) >= count:
            done.set()

    def on_failure(error: Exception) -> None:
        failures.append(error)
        done.set()

    stream_format = start(camera, EncoderDemand(2_000_000), on_unit, on_failure)
    assert done.wait(30)
    camera.stop()
    camera.stop()
    return units, failures, stream_format


def decoded(units: list[Unit]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    return [*frames, *decoder.decode(None)]


def lumas(units: list[Unit]) -> list[int]:
    frames = decoded(units)
    middle = [bytes(frame.planes[0])[32 * frame.planes[0].line_size + 64] for frame in frames]
    return [min(LEVELS, key=lambda level: abs(level - luma)) for luma in middle]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("baseline.mp4", "libx264", {"profile": "baseline"}),
        ("with-b-frames.mp4", "libx264", {"bf": "2", "b-pyramid": "none"}),
        ("raw.h264", "libx264", {"profile": "high"}),
        ("other-codec.mp4", "mpeg4", {}),
    ],
)
def test_every_picture_in_order_and_again(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    units, failures, _ = play(write(tmp_path / name, codec, options=options), 3 * FRAMES)
    assert lumas(units)[: 3 * FRAMES] == LEVELS * 3
    assert not failures


def test_a_seam_is_no_seam(tmp_path: Path) -> None:
    units, _, _ = play(write(tmp_path / "clip.mp4"), 4 * FRAMES)
    assert [unit.is_keyframe for unit in units] == [True] + [False] * (len(units) - 1)
    times = [unit.capture_us for unit in units]
    assert times == sorted(set(times)), "the time goes on"


@pytest.mark.parametrize("name", ["clip.mp4", "raw.h264"])
def test_size_and_rate_are_the_files_own(tmp_path: Path, name: str) -> None:
    _, _, stream_format = play(write(tmp_path / name, fps=24), 1)
    assert (stream_format.width_px, stream_format.height_px, stream_format.fps) == (128, 64, 24)


def test_a_rate_that_cannot_be_is_not_believed() -> None:
    assert within(raw_rate(Fraction(90_000), Fraction(25))) == 25
    assert within(raw_rate(Fraction(1, 1000), None)) == 1
    assert within(raw_rate(None, Fraction(120))) == 60
    assert within(raw_rate(None, None)) == 30


def test_size_and_rate_can_be_set(tmp_path: Path) -> None:
    units, _, stream_format = play(write(tmp_path / "clip.mp4"), 2, width_px=96, height_px=80, fps=50)
    assert (stream_format.width_px, stream_format.height_px, stream_format.fps) == (96, 80, 50)
    frame = av.CodecContext.create("h264", "r").decode(av.Packet(units[0].data) or None)
    assert all((picture.width, picture.height) == (96, 80) for picture in frame)


def test_a_large_picture_is_made_to_fit() -> None:
    assert fit(3840, 2160) == (1920, 1080)
    assert fit(1080, 1920) == (608, 1080)
    assert fit(641, 361) == (640, 360)
    assert fit(320, 240) == (320, 240)


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="there is no file"):
        ReplayCamera(CameraSettings(), str(tmp_path / "none.mp4"))


def test_a_file_that_nobody_can_look_for_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/closed/clip.mp4")

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(CameraError, match="Permission denied"):
        ReplayCamera(CameraSettings(), "/closed/clip.mp4")


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100, bytes(100_000)])
def test_what_is_no_video_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    camera = ReplayCamera(CameraSettings(), str(path))
    with pytest.raises(CameraError, match=r"clip\.mp4"):
        start(camera, EncoderDemand(1_000_000), lambda _: None)


def test_a_damaged_file_plays_what_is_left(tmp_path: Path) -> None:
    path = write(tmp_path / "raw.h264", options={"g": "1"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(bytes(data))
    units, failures, _ = play(path, 2 * FRAMES)
    assert len(units) >= 2 * FRAMES
    assert not failures


def test_a_picture_that_stands_for_long_is_sent_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("agent.camera.replay.HOLD_S", 0.01)
    units, failures, _ = play(write(tmp_path / "lapse.mp4", fps=5), 12)
    assert not failures
    assert lumas(units)[:10] == [LEVELS[0]] * 10


def test_a_file_may_be_turned(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        frame = av.VideoFrame(128, 64, "yuv420p")
        for plane, (above, below) in zip(frame.planes, ((40, 190), (128, 128), (128, 128)), strict=True):
            half = plane.buffer_size // 2
            plane.update(bytes([above]) * half + bytes([below]) * half)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = decoded(play(path, 2, rotate=180)[0])[0]
    luma = bytes(shown.planes[0])
    assert [luma[row * shown.planes[0].line_size] for row in (8, 56)] == pytest.approx([190, 40], abs=3)


def test_a_file_that_vanishes_between_two_loops_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4")
    camera = ReplayCamera(CameraSettings(), str(path))
    failed = threading.Event()
    failures: list[Exception] = []
    start(
        camera,
        EncoderDemand(1_000_000),
        lambda _: path.unlink(missing_ok=True),
        lambda e: (failures.append(e), failed.set()),
    )
    assert failed.wait(30)
    camera.stop()
    assert "clip.mp4" in str(failures[0])
