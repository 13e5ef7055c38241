import threading
import time

import pytest
from parts.one_stream import start

from agent.camera import picamera, videodev
from agent.camera.picamera import PiCamera, capture_time_us, hardware_bitrate_bps, hardware_profile_level_id
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import AccessUnit, EncoderDemand, StreamFormat

DEMAND = EncoderDemand(2_000_000)
PAUSED = EncoderDemand(400_000, is_active=False)
SMALL = {"width_px": 320, "height_px": 180}


class Film:
    """A PiCamera started on the stand-in, and what came out of it."""

    def __init__(self, picamera2, *, demand=DEMAND, preview_demand=PAUSED, **settings) -> None:
        picamera2.scene.sensor_us = (
            time.monotonic_ns() // 1000 - 800_000
        )  # pictures are never from the future
        model = settings.pop("model", "Raspberry Pi 4 Model B Rev 1.4")
        self.camera = PiCamera(CameraSettings(**settings), 0, model)
        self.units: list[AccessUnit] = []
        self.failures: list[Exception] = []
        self.previews: list[AccessUnit] = []
        self.formats = self.camera.start(
            {"main": demand, "preview": preview_demand},
            lambda stream, unit: (self.units if stream == "main" else self.previews).append(unit),
            self.failures.append,
        )
        self.format = self.formats["main"]
        self.picam = picamera2.scene.opened[-1]
        self.encoder = next(one for one in self.picam._encoders if one.name == "main")


@pytest.fixture(autouse=True)
def controls(monkeypatch):
    """The stand-in's device takes controls in a list."""
    monkeypatch.setattr(
        videodev, "set_control", lambda node, control_id, value: node.controls.append((control_id, value))
    )


@pytest.fixture
def pi5(picamera2):
    """Where there is no hardware encoder picamera2's two names are one."""
    picamera2.encoders.H264Encoder = picamera2.encoders.LibavH264Encoder
    return picamera2


def test_pictures_come_out_from_a_keyframe_on(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(5)
    assert [(unit.seq, unit.epoch, unit.is_keyframe) for unit in film.units] == [
        (0, 0, True), (1, 0, False), (2, 0, False), (3, 0, False), (4, 0, False),
    ]  # fmt: skip
    film.camera.stop()
    assert film.picam.closed


def test_the_capture_time_is_the_sensors(picamera2) -> None:
    film = Film(picamera2, **SMALL, fps=25)
    picamera2.scene.sensor_us = time.monotonic_ns() // 1000 - 200_000
    first_us = picamera2.scene.sensor_us + 40_000
    film.picam.take(3)
    assert [unit.capture_us for unit in film.units] == [first_us, first_us + 40_000, first_us + 80_000]
    film.camera.stop()


def test_a_sensor_clock_that_is_not_ours_is_not_believed() -> None:
    now_us = 50_000_000
    assert capture_time_us(1_000, 49_900_000, now_us) == 49_901_000
    assert capture_time_us(1_000, 7, now_us) == now_us
    assert capture_time_us(1_000, now_us, now_us) == now_us, "nothing was taken in the future"
    assert capture_time_us(1_000, None, now_us) == now_us


def test_pictures_that_were_lost_leave_a_gap(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(2)
    film.picam.take(2, lost=3)
    assert [unit.seq for unit in film.units] == [0, 1, 5, 6]
    film.camera.stop()


def test_the_encoder_is_set_for_browsers(picamera2) -> None:
    film = Film(picamera2, **SMALL, keyframe_interval_s=4, fps=25)
    encoder = film.encoder
    assert (encoder.profile, encoder.repeat, encoder.iperiod, encoder.framerate) == (
        "constrained baseline", True, 100, 25,
    )  # fmt: skip
    assert encoder.bitrate == 2_000_000
    assert film.format.profile_level_id == "42e028"
    film.camera.stop()


def test_a_demand_reaches_the_running_hardware_encoder(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(3)
    film.camera.apply("main", EncoderDemand(1_510_000, keyframe=True))
    assert film.encoder.vd.controls == [
        (videodev.CID_BITRATE, 1_500_000), (videodev.CID_FORCE_KEY_FRAME, 1),
    ]  # fmt: skip
    film.picam.take(2)
    assert [unit.is_keyframe for unit in film.units] == [True, False, False, True, False]
    film.camera.stop()
    film.camera.apply("main", DEMAND)


@pytest.mark.parametrize(
    ("wanted_bps", "set_bps"),
    [(100_000, 1_000_000), (1_012_000, 1_000_000), (1_013_000, 1_025_000), (40_000_000, 25_000_000)],
)
def test_hardware_bitrates(wanted_bps: int, set_bps: int) -> None:
    assert hardware_bitrate_bps(wanted_bps) == set_bps


def test_hardware_levels() -> None:
    assert hardware_profile_level_id(1920, 1080, 30, 2_000_000) == "42e028"
    assert hardware_profile_level_id(1920, 1080, 30, 12_000_000) == "42e029"
    assert hardware_profile_level_id(1920, 1080, 60, 2_000_000) == "42e02a"


@pytest.mark.parametrize(
    ("model", "expected", "buffers"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0", (1280, 720, 25), 4),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", (1280, 720, 30), 5),
        ("Raspberry Pi 4 Model B Rev 1.4", (1920, 1080, 30), 5),
        ("Raspberry Pi Compute Module 4 Rev 1.1", (1920, 1080, 30), 5),
        ("something else", (1280, 720, 30), 5),
    ],
)
def test_board_defaults(picamera2, model: str, expected: tuple[int, int, int], buffers: int) -> None:
    film = Film(picamera2, model=model)
    assert film.format == StreamFormat(*expected, "42e028", 1_000_000, can_rescale=False)
    assert film.picam.camera_config["buffer_count"] == buffers
    film.camera.stop()


def test_rotation_and_rate_are_set_at_configure_time(picamera2) -> None:
    film = Film(picamera2, **SMALL, rotate=180, fps=20)
    config = film.picam.camera_config
    assert (config["transform"].hflip, config["transform"].vflip) == (True, True)
    assert config["controls"]["FrameDurationLimits"] == (50_000, 50_000)
    film.camera.stop()


def test_the_size_is_what_libcamera_agreed_to(picamera2) -> None:
    picamera2.scene.align_px = 32
    film = Film(picamera2, width_px=330, height_px=180)
    assert (film.format.width_px, film.format.height_px) == (320, 180)
    film.camera.stop()


def test_a_pi_5_encodes_by_libx264_and_obeys(pi5) -> None:
    film = Film(pi5, **SMALL, model="Raspberry Pi 5 Model B Rev 1.0")
    assert film.format.profile_level_id == "42c01f"
    film.picam.take(3)
    film.camera.apply("main", EncoderDemand(700_000, keyframe=True))
    film.picam.take(2)
    assert [unit.is_keyframe for unit in film.units] == [True, False, False, True, False]
    assert [unit.seq for unit in film.units] == list(range(5))
    film.camera.stop()
    assert film.picam.closed


def test_rows_with_padding_are_copied_right() -> None:
    width, height, stride = 48, 4, 64
    luma = b"".join(bytes([10 + row]) * width + b"\xff" * (stride - width) for row in range(height))
    chroma = [
        b"".join(bytes([value + row]) * (width // 2) + b"\xff" * (stride - width) for row in range(2))
        for value in (100, 200)
    ]
    padded = luma + b"".join(part.replace(b"\xff" * 16, b"\xff" * 8) for part in chroma)
    frame = picamera.yuv420_frame(memoryview(padded), width, height, stride)
    for plane, expected in zip(frame.planes, ([10, 11, 12, 13], [100, 101], [200, 201]), strict=True):
        rows = [bytes(plane)[r * plane.line_size :][: plane.width] for r in range(plane.height)]
        assert rows == [bytes([value]) * plane.width for value in expected]


def test_a_stalled_encoder_is_silence_and_ends_cleanly(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(2)
    picamera2.scene.encoder_stalled = True
    film.picam.take(10)
    assert len(film.units) == 2
    film.camera.stop()
    assert film.picam.closed


def test_a_stop_that_hangs_is_bounded_and_says_so(picamera2, monkeypatch) -> None:
    monkeypatch.setattr(picamera, "STOP_S", 0.05)
    film = Film(picamera2, **SMALL)
    film.picam.take(2)
    hang = picamera2.scene.frontend_timeout = threading.Event()
    film.picam.take(10)
    assert len(film.units) == 2
    with pytest.raises(CameraError, match="does not stop"):
        film.camera.stop()
    film.camera.stop()
    hang.set()


def test_a_busy_camera_says_what_to_do(picamera2) -> None:
    picamera2.scene.busy = True
    with pytest.raises(CameraError, match="another program uses the Pi camera; close it"):
        Film(picamera2)


def test_no_camera_says_what_to_check(picamera2) -> None:
    picamera2.scene.cameras = []
    with pytest.raises(CameraError, match="no Pi camera 0: check its cable"):
        Film(picamera2)


def test_a_start_that_fails_half_way_releases_the_camera(picamera2) -> None:
    picamera2.scene.no_memory = True
    with pytest.raises(CameraError, match="no memory for the frame buffers"):
        Film(picamera2)
    assert picamera2.scene.opened[0].closed


def test_a_board_without_picamera2_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "picamera2", None)
    with pytest.raises(CameraError, match="apt install --no-install-recommends python3-picamera2"):
        start(PiCamera(CameraSettings(), 0, ""), DEMAND, lambda _: None)
    assert picamera.attached() == []


def test_usb_cameras_that_libcamera_lists_are_none_of_ours(picamera2) -> None:
    picamera2.scene.cameras.append({"Model": "HD Webcam", "Id": "/base/scb/pcie/usb@0,0-1.2", "Num": 1})
    assert picamera.attached() == ["imx708"]


def test_it_starts_again_after_a_stop(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(3)
    film.camera.stop()
    again: list[AccessUnit] = []
    start(film.camera, DEMAND, again.append, film.failures.append)
    picamera2.scene.opened[-1].take(2)
    assert [(unit.seq, unit.is_keyframe) for unit in again] == [(0, True), (1, False)]
    film.camera.stop()


def test_the_preview_comes_from_lores_and_the_second_encoder(picamera2) -> None:
    film = Film(picamera2, demand=PAUSED, preview_demand=EncoderDemand(400_000))
    assert film.formats["preview"] == StreamFormat(640, 360, 10, "42e028", 333_333, can_rescale=False)
    assert film.picam.camera_config["lores"]["size"] == (640, 360)
    film.picam.take(9)
    assert (len(film.units), len(film.previews)) == (0, 3), "a third of the pictures, and nothing unwatched"
    assert film.previews[0].is_keyframe
    preview = next(one for one in film.picam._encoders if one.name == "lores")
    assert (preview.bitrate, preview.framerate) == (1_200_000, 30), "three times as much for a third"
    film.camera.apply("main", EncoderDemand(2_000_000, keyframe=True))
    film.picam.take(2)
    assert [unit.is_keyframe for unit in film.units] == [True, False]
    film.camera.stop()


def test_below_its_floor_the_hardware_encoder_gets_fewer_pictures(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(2)
    film.camera.apply("main", EncoderDemand(500_000, fps_share=0.5))
    assert film.encoder.vd.controls == [(videodev.CID_BITRATE, 1_000_000)]
    film.picam.take(8)
    assert len(film.units) == 2 + 4
    film.camera.stop()


def test_a_floor_that_was_proven_lower_is_used(picamera2) -> None:
    film = Film(picamera2, **SMALL, min_bitrate_bps=500_000)
    assert film.format.min_bitrate_bps == 500_000
    film.camera.apply("main", EncoderDemand(600_000))
    assert film.encoder.vd.controls == [(videodev.CID_BITRATE, 600_000)]
    film.camera.stop()


def test_a_small_board_has_one_stream_unless_it_is_told_otherwise(picamera2) -> None:
    small = "Raspberry Pi Zero 2 W Rev 1.0"
    film = Film(picamera2, model=small)
    assert set(film.formats) == {"main"}
    assert film.picam.camera_config["lores"] is None
    film.camera.stop()
    film = Film(picamera2, model=small, preview={"enabled": True})
    assert set(film.formats) == {"main", "preview"}
    film.camera.stop()
