import logging
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from parts.one_stream import start

from agent.camera import picamera, select, videodev
from agent.camera.imx500 import SensorNetwork
from agent.camera.masking import Masking
from agent.camera.pi_encoders import hardware_bitrate_bps
from agent.camera.picamera import Network, PiCamera
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.labels import Area
from agent.model.media import EncoderDemand, StreamFormat, Unit

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
        self.units: list[Unit] = []
        self.failures: list[Exception] = []
        self.previews: list[Unit] = []
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
    assert [unit.is_keyframe for unit in film.units] == [True, False, False, False, False]
    film.camera.stop()
    assert film.picam.closed


def test_the_capture_time_is_the_sensors(picamera2) -> None:
    film = Film(picamera2, **SMALL, fps=25)
    picamera2.scene.sensor_us = time.monotonic_ns() // 1000 - 200_000
    first_us = picamera2.scene.sensor_us + 40_000
    film.picam.take(3)
    assert [unit.capture_us for unit in film.units] == [first_us, first_us + 40_000, first_us + 80_000]
    film.camera.stop()


def test_the_encoder_is_set_for_browsers(picamera2) -> None:
    film = Film(picamera2, **SMALL, keyframe_interval_s=4, fps=25)
    encoder = film.encoder
    assert (encoder.profile, encoder.repeat, encoder.iperiod, encoder.framerate) == (
        "constrained baseline", True, 100, 25,
    )  # fmt: skip
    assert encoder.bitrate == 2_000_000
    assert encoder.enable_sps_framerate, "the driver must reckon with the rate that comes"
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
    assert film.format == StreamFormat(*expected, 1_000_000, can_rescale=False)
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
    film.picam.take(3)
    film.camera.apply("main", EncoderDemand(700_000, keyframe=True))
    film.picam.take(2)
    assert [unit.is_keyframe for unit in film.units] == [True, False, False, True, False]
    film.camera.stop()
    assert film.picam.closed


def test_a_stalled_encoder_is_silence_and_ends_cleanly(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(2)
    picamera2.scene.encoder_stalled = True
    film.picam.take(10)
    assert len(film.units) == 2
    film.camera.stop()
    assert film.picam.closed


def test_a_stop_that_hangs_is_bounded_and_says_so(picamera2, monkeypatch) -> None:
    monkeypatch.setattr(picamera, "STOP_S", 0)
    film = Film(picamera2, **SMALL)
    film.picam.take(2)
    hang = picamera2.scene.frontend_timeout = threading.Event()
    film.picam.take(10)
    assert len(film.units) == 2
    with pytest.raises(CameraError, match="does not stop"):
        film.camera.stop()
    film.camera.stop()
    picamera2.scene.busy = True
    with pytest.raises(CameraError, match="libcamera has hung and still holds the Pi camera"):
        Film(picamera2)
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
    with pytest.raises(CameraError, match="picamera2 is missing"):
        picamera.attached()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
         "ValueError: numpy.dtype size changed"),
        ("import simplejpeg_without_a_wheel", "No module named 'simplejpeg_without_a_wheel'"),
        ("raise ImportError('libcamera.so.0.4: no such file')", "ImportError: libcamera.so.0.4"),
    ],
    ids=["numpy", "simplejpeg", "libcamera"],
)  # fmt: skip
def test_a_picamera2_that_does_not_import_is_told_by_its_error(monkeypatch, tmp_path, fault, words) -> None:
    (tmp_path / "picamera2").mkdir()
    (tmp_path / "picamera2" / "__init__.py").write_text(fault)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    for look in (picamera.attached, lambda: select.open_camera(CameraSettings(source="picamera"))):
        with pytest.raises(CameraError, match="does not import: ") as raised:
            look()
        assert words in str(raised.value)
        assert "0 attached" not in str(raised.value)


def test_libcamera_that_cannot_list_its_cameras_is_told(picamera2, monkeypatch) -> None:
    def fail():
        raise RuntimeError("no media devices")

    monkeypatch.setattr(picamera2.Picamera2, "global_camera_info", fail)
    with pytest.raises(CameraError, match="libcamera cannot list its cameras: no media devices"):
        picamera.attached()


def test_a_picamera2_that_is_too_old_says_so(picamera2) -> None:
    del picamera2.encoders.LibavH264Encoder
    with pytest.raises(CameraError, match=r"older than 0\.3\.18 .*full-upgrade"):
        Film(picamera2)
    assert picamera2.scene.opened[0].closed


def test_the_hardware_encoder_is_not_given_what_it_would_misread(picamera2) -> None:
    picamera2.scene.agreed = {"format": "NV12"}
    with pytest.raises(CameraError, match="delivers NV12, and YUV420 was asked for"):
        Film(picamera2)
    assert picamera2.scene.opened[0].closed


def test_a_pi_5_takes_nv12(pi5) -> None:
    pi5.scene.agreed = {"format": "NV12"}
    film = Film(pi5, **SMALL, model="Raspberry Pi 5 Model B Rev 1.0")
    film.picam.take(2)
    assert len(film.units) == 2
    assert film.picam.camera_config["colour_space"] == "SMPTE170M", "as libx264 encodes, at any size"
    film.camera.stop()


def test_a_buffer_that_is_shorter_than_agreed_ends_the_camera(pi5, monkeypatch) -> None:
    film = Film(pi5, **SMALL, model="Raspberry Pi 5 Model B Rev 1.0")
    monkeypatch.setattr(pi5.MappedArray, "array", property(lambda _: bytearray(100)))
    film.picam.take(2)
    assert "100 of a picture's" in str(film.failures[0])
    film.camera.stop()


def test_the_sensor_is_read_in_the_mode_that_shows_all(picamera2, caplog) -> None:
    picamera2.scene.modes = [
        {"size": (1536, 864), "bit_depth": 10, "fps": 120.13, "crop_limits": (768, 432, 3072, 1728)},
        {"size": (2304, 1296), "bit_depth": 10, "fps": 56.03, "crop_limits": (0, 0, 4608, 2592)},
    ]
    film = Film(picamera2)
    assert film.picam.camera_config["sensor"] == {"output_size": (2304, 1296), "bit_depth": 10}
    film.camera.stop()
    film = Film(picamera2, image={"sensor_mode": "1536x864"})
    assert film.picam.camera_config["sensor"]["output_size"] == (1536, 864)
    film.camera.stop()
    with pytest.raises(CameraError, match="no mode 640x480, only 1536x864, 2304x1296"):
        Film(picamera2, image={"sensor_mode": "640x480"})
    with caplog.at_level(logging.WARNING):
        Film(picamera2, fps=60, image={"sensor_mode": "2304x1296"}).camera.stop()
    assert "60 fps was asked for; this sensor's modes reach 56.03" in caplog.text


def test_modes_that_cannot_be_read_cost_no_picture(picamera2, monkeypatch, caplog) -> None:
    monkeypatch.setattr(picamera2.scene, "modes", None)
    with caplog.at_level(logging.WARNING):
        film = Film(picamera2, **SMALL)
    assert "its modes cannot be read" in caplog.text
    film.picam.take(1)
    assert film.units
    film.camera.stop()


def test_the_lens_moves_where_it_can(picamera2, caplog) -> None:
    film = Film(picamera2, **SMALL)
    assert "AfMode" not in film.picam.camera_config["controls"]
    film.camera.stop()
    with caplog.at_level(logging.WARNING):
        Film(picamera2, **SMALL, image={"lens_position": 2.0}).camera.stop()
    assert (
        "this camera has not what camera.image.lens_position (AfMode, LensPosition) asks for" in caplog.text
    )
    picamera2.scene.controls += ("AfMode", "LensPosition")
    film = Film(picamera2, **SMALL)
    assert film.picam.camera_config["controls"]["AfMode"] == 2, "continuous"
    film.camera.stop()


def test_hdr_is_told_to_the_sensor_before_its_modes_are_read(picamera2, monkeypatch) -> None:
    asked = []
    resets = []
    monkeypatch.setattr(
        picamera, "set_sensor_hdr", lambda camera_id, *, wanted: asked.append((camera_id, wanted)) or wanted
    )
    monkeypatch.setattr(picamera2.Picamera2, "_cm", SimpleNamespace(reset=lambda: resets.append(1)), False)
    film = Film(picamera2, **SMALL, image={"hdr": True})
    assert asked == [("/base/soc/i2c0mux/i2c@1/imx708@1a", True)]
    assert resets == [1]
    film.camera.stop()


def test_usb_cameras_that_libcamera_lists_are_none_of_ours(picamera2) -> None:
    picamera2.scene.cameras.append({"Model": "HD Webcam", "Id": "/base/scb/pcie/usb@0,0-1.2", "Num": 1})
    assert picamera.attached() == ["imx708"]


def test_it_starts_again_after_a_stop(picamera2) -> None:
    film = Film(picamera2, **SMALL)
    film.picam.take(3)
    film.camera.stop()
    again: list[Unit] = []
    start(film.camera, DEMAND, again.append, film.failures.append)
    picamera2.scene.opened[-1].take(2)
    assert [unit.is_keyframe for unit in again] == [True, False]
    film.camera.stop()


def test_the_preview_comes_from_lores_and_the_second_encoder(picamera2) -> None:
    film = Film(picamera2, demand=PAUSED, preview_demand=EncoderDemand(400_000))
    assert film.formats["preview"] == StreamFormat(640, 360, 10, 333_333, can_rescale=False)
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


def test_while_nothing_is_encoded_the_sensor_takes_ten_pictures_a_second(picamera2) -> None:
    film = Film(picamera2, **SMALL, demand=PAUSED)
    assert film.picam.controls["FrameDurationLimits"] == (100_000, 100_000)
    film.picam.take(3)
    assert film.units == []
    film.camera.stop()


@pytest.mark.parametrize("stream", ["main", "preview"])
def test_the_full_rate_is_back_with_the_first_who_watches_any_stream(picamera2, stream) -> None:
    film = Film(picamera2, **SMALL, preview={"enabled": True, "width_px": 160}, demand=PAUSED)
    film.camera.apply(stream, EncoderDemand(1_000_000))
    assert film.picam.controls["FrameDurationLimits"] == (33_333, 33_333)
    film.picam.take()
    first = film.units if stream == "main" else film.previews
    assert [unit.is_keyframe for unit in first] == [True], "the very next picture, at whatever rate"
    film.camera.apply(stream, PAUSED)
    assert film.picam.controls["FrameDurationLimits"] == (100_000, 100_000)
    film.camera.stop()


def test_it_keeps_the_full_rate_until_the_last_stream_is_watched_no_more(picamera2) -> None:
    film = Film(picamera2, **SMALL, preview={"enabled": True, "width_px": 160}, preview_demand=DEMAND)
    film.camera.apply("main", PAUSED)
    assert film.picam.controls["FrameDurationLimits"] == (33_333, 33_333)
    film.camera.apply("preview", PAUSED)
    assert film.picam.controls["FrameDurationLimits"] == (100_000, 100_000)
    film.camera.stop()


@pytest.mark.parametrize(
    ("settings", "limits", "rest"),
    [
        ({"fps": 30}, (10_000, 60_000, 33_333), (60_000, 60_000)),
        ({"fps": 5}, (10_000, 900_000, 33_333), (200_000, 200_000)),
        ({"fps": 30, "image": {"night_fps": 5}}, (10_000, 900_000, 33_333), (100_000, 200_000)),
    ],
    ids=["a mode that goes no slower", "slower already", "at night slower still"],
)
def test_its_slow_rate_is_what_the_sensor_can_and_never_a_faster_one(picamera2, settings, limits, rest):
    class Limited(picamera2.Picamera2):
        def configure(self, camera_config=None):
            super().configure(camera_config)
            self.camera_controls |= {"FrameDurationLimits": limits}

    picamera2.Picamera2 = Limited
    film = Film(picamera2, **SMALL, **settings, demand=PAUSED)
    assert film.picam.controls["FrameDurationLimits"] == rest
    film.camera.stop()


def test_a_camera_whose_rate_cannot_be_set_keeps_it(picamera2) -> None:
    picamera2.scene.controls = ("NoiseReductionMode",)
    film = Film(picamera2, **SMALL, demand=PAUSED)
    film.camera.apply("main", DEMAND)
    assert "FrameDurationLimits" not in film.picam.controls
    film.camera.stop()


def test_a_network_for_another_sensor_is_told_with_each_picture_that_is_looked_at(picamera2) -> None:
    masking, told = Masking(), []
    masking.luma.want(lambda _: None, told.append)
    network = Network(Path("/usr/share/network.rpk"), 0.5)
    camera = PiCamera(CameraSettings(**SMALL), 0, "Raspberry Pi 5", masking, network)
    units = []
    camera.start({"main": DEMAND, "preview": PAUSED}, lambda _, unit: units.append(unit), lambda _: None)
    picamera2.scene.opened[-1].take(2)
    assert len(units) == 2, "the camera serves"
    assert {sightings.problem for sightings in told} == {
        "the sensor imx708 runs no network: an AI Camera does (imx500)"
    }
    camera.stop()


def test_without_what_the_sensor_needs_it_says_what_to_install(picamera2) -> None:
    picamera2.scene.cameras[0]["Model"] = "imx500"
    masking, told = Masking(), []
    masking.luma.want(lambda _: None, told.append)
    camera = PiCamera(CameraSettings(**SMALL), 0, "Raspberry Pi 5", masking, Network(Path("n.rpk"), 0.5))
    camera.start({"main": DEMAND, "preview": PAUSED}, lambda *_: None, lambda _: None)
    picamera2.scene.opened[-1].take()
    assert "sudo apt install imx500-all python3-opencv" in told[0].problem
    camera.stop()


NETWORK = b"9464 blocks 070701imx500_regs 070701network_info.txt 070701TRAILER!!!"


@pytest.mark.parametrize(
    "data", [b"", b"half of one", NETWORK[:-5], NETWORK.replace(b"imx500_regs", b"none"), NETWORK[1:]]
)
def test_a_network_that_would_keep_the_camera_from_starting_never_reaches_the_kernel(tmp_path, data) -> None:
    (tmp_path / "n.rpk").write_bytes(data)
    taken = []
    with pytest.raises(CameraError, match="no network for this sensor"):
        SensorNetwork(SimpleNamespace(IMX500=taken.append), tmp_path / "n.rpk", "id", 0.5)
    assert not taken


def test_an_older_picamera2_that_lets_root_alone_load_a_network_is_named(tmp_path) -> None:
    (tmp_path / "n.rpk").write_bytes(NETWORK)

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/sys/kernel/debug/imx500-fw:10-001a/fw_progress")

    with pytest.raises(CameraError, match=r"picamera2 before 0\.3\.35 lets root alone"):
        SensorNetwork(SimpleNamespace(IMX500=refuse), tmp_path / "n.rpk", "id", 0.5)


def test_a_crop_is_of_the_large_picture_while_motion_looks_at_the_small_one(picamera2) -> None:
    masking, lumas, crops = Masking(), [], []
    masking.luma.want(lumas.append)
    wide = {"width_px": 640, "height_px": 360, "preview": {"enabled": True, "width_px": 160}}
    camera = PiCamera(CameraSettings(**wide), 0, "Raspberry Pi 4 Model B Rev 1.4", masking)
    camera.start({"main": PAUSED, "preview": PAUSED}, lambda *_: None, lambda _: None)
    masking.luma.want_crop(Area(0.5, 0.5, 1.0, 1.0), (320, 180), crops.append)
    picamera2.scene.opened[-1].take()
    assert len(lumas) == 1
    assert (crops[0].width_px, crops[0].area) == (320, Area(0.5, 0.5, 1.0, 1.0))
    assert abs(crops[0].rgb[0] - 130) < 6, "grey, as the stand-in shows it"
    camera.stop()
