"""What is masked is black in what comes out of each kind of camera, decoded."""

import io
import threading
import time
from fractions import Fraction

import av
import pytest
from parts.masked import assert_black, assert_seen, decoded

from agent.camera import videodev
from agent.camera.masking import BLANK, CLEAR, Cover, Masking
from agent.camera.picamera import PiCamera
from agent.camera.pixels import Layout
from agent.camera.replay import ReplayCamera
from agent.camera.synthetic import SyntheticCamera
from agent.camera.v4l2 import V4l2Camera
from agent.config import CameraSettings
from agent.model.labels import Area
from agent.model.media import EncoderDemand

MASKS = (
    ((0.0, 0.0), (0.35, 0.0), (0.2, 0.55)),
    ((0.55, 0.6), (0.95, 0.7), (0.9, 1.0), (0.5, 1.0)),
)
SEEN = (0.9, 0.1), (0.1, 0.9)
EVERYTHING = (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)
SMALL = {"width_px": 320, "height_px": 180, "preview": {"width_px": 160, "enabled": True}}
DEMANDS = {"main": EncoderDemand(1_000_000), "preview": EncoderDemand(300_000)}


def grey(pix_fmt="yuv420p", size=(320, 180)) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "rgb24")
    for plane in frame.planes:
        memoryview(plane).cast("B")[:] = b"\xb0\x80\xc0" * (plane.buffer_size // 3)
    return frame.reformat(format=pix_fmt)


def film(codec: str, pix_fmt: str, count: int = 6) -> io.BytesIO:
    memory = io.BytesIO()
    # MPEG-TS holds H.264 as a camera gives it: Annex B.
    with av.open(memory, "w", format="mpegts" if codec == "libx264" else "matroska") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 180, pix_fmt
        for i in range(count):
            frame = grey(pix_fmt)
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    memory.seek(0)
    return memory


def watch(camera, pictures: int, on_picture=lambda _count: None) -> dict[str, list[bytes]]:
    """So many of main, and the preview's meanwhile."""
    units: dict[str, list[bytes]] = {"main": [], "preview": []}
    done = threading.Event()

    def on_unit(stream, unit) -> None:
        if not done.is_set():
            units[stream].append(unit.data)
        if stream == "main":
            on_picture(len(units["main"]))
        if len(units["main"]) >= pictures:
            done.set()

    camera.start(DEMANDS, on_unit, lambda _: done.set())
    assert done.wait(60)
    camera.stop()
    return units


def holds(units: dict[str, list[bytes]]) -> None:
    assert units["main"]
    assert units["preview"]
    for data in units.values():
        for frame in decoded(data):
            assert_black(frame, MASKS)
            assert_seen(frame, *SEEN)


@pytest.mark.usefixtures("haste")
def test_in_the_test_picture() -> None:
    settings = CameraSettings(source="synthetic", fps=30, **SMALL)
    holds(watch(SyntheticCamera(settings, Masking(Cover(MASKS))), 3))


@pytest.mark.usefixtures("haste")
@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("libx264", "yuv420p"), ("mpeg4", "yuv420p"), ("mjpeg", "yuvj444p")]
)
def test_in_a_file_and_what_its_decoder_goes_on_from_is_not_drawn_on(tmp_path, codec, pix_fmt) -> None:
    file = tmp_path / "film.mkv"
    file.write_bytes(film(codec, pix_fmt).getvalue())
    masking = Masking(Cover(MASKS))

    def lift(count: int) -> None:
        if count == 3:
            masking.show(CLEAR)

    units = watch(ReplayCamera(CameraSettings(**SMALL), str(file), masking), 5, lift)
    first, *_, last = decoded(units["main"])
    assert_black(first, MASKS)
    assert_seen(first, *SEEN)
    assert_seen(last, (0.15, 0.1), (0.8, 0.9))


@pytest.mark.parametrize("rotate", [0, 180])
@pytest.mark.parametrize(
    ("fourcc", "codec", "pix_fmt"),
    [("MJPG", "mjpeg", "yuvj422p"), ("YUYV", "rawvideo", "yuyv422"), ("NV12", "rawvideo", "nv12")],
)
def test_in_a_usb_cameras_pictures_as_people_see_them(fourcc, codec, pix_fmt, rotate) -> None:
    camera = usb(film(codec, pix_fmt), fourcc, Masking(Cover(MASKS)), rotate=rotate)
    holds(watch(camera, 6))


def usb(recording, fourcc, masking, **settings) -> V4l2Camera:
    controls = frozenset({videodev.CID_BITRATE, videodev.CID_FORCE_KEY_FRAME})
    device = videodev.Device(
        "/dev/null", "Webcam", "usb-1", captures=True, formats=(fourcc,), controls=controls
    )
    return V4l2Camera(
        CameraSettings(**SMALL, **settings),
        "/dev/null",
        lambda _: device,
        lambda *_, **__: av.open(recording, "r"),
        masking,
    )


def test_a_cameras_own_h264_is_decoded_and_encoded_again_while_there_is_a_mask(monkeypatch) -> None:
    monkeypatch.setattr(videodev, "set_control", lambda *_: None)
    masking = Masking()
    camera = usb(film("libx264", "yuv420p"), "H264", masking)
    units = watch(camera, 5)
    assert (len(units["main"]), units["preview"]) == (5, [])
    assert masking.is_bypassed
    masking.show(Cover(MASKS))
    camera = usb(film("libx264", "yuv420p"), "H264", masking)
    holds(watch(camera, 6))
    assert not masking.is_bypassed


def test_a_cameras_own_h264_stops_with_the_mask_before_it_is_started_anew(monkeypatch) -> None:
    monkeypatch.setattr(videodev, "set_control", lambda *_: None)
    masking = Masking()
    camera = usb(film("libx264", "yuv420p", count=12), "H264", masking)
    units = watch(camera, 99, lambda count: masking.show(Cover(MASKS)) if count == 4 else None)
    assert len(units["main"]) == 4


@pytest.fixture
def pi(picamera2, monkeypatch):
    monkeypatch.setattr(
        videodev, "set_control", lambda node, control_id, value: node.controls.append((control_id, value))
    )
    picamera2.scene.sensor_us = time.monotonic_ns() // 1000 - 800_000
    return picamera2


def pi_units(picamera2, masking):
    units: dict[str, list[bytes]] = {"main": [], "preview": []}
    camera = PiCamera(CameraSettings(**SMALL), 0, "Raspberry Pi 4", masking)
    camera.start(DEMANDS, lambda stream, unit: units[stream].append(unit.data), lambda _: None)
    return camera, picamera2.scene.opened[-1], units


MODES = [
    {"size": (4608, 2592), "bit_depth": 10, "fps": 14.35, "crop_limits": (0, 0, 4608, 2592)},
    {"size": (2304, 1296), "bit_depth": 10, "fps": 56.03, "crop_limits": (0, 0, 4608, 2592)},
    {"size": (1536, 864), "bit_depth": 10, "fps": 120.13, "crop_limits": (768, 432, 3072, 1728)},
]
"""Of an IMX708."""


def sight(**settings):
    masking = Masking()
    camera = PiCamera(CameraSettings(**SMALL | settings), 0, "Raspberry Pi 4", masking)
    camera.start(DEMANDS, lambda *_: None, lambda _: None)
    camera.stop()
    return masking.sight


def test_a_pis_camera_says_which_it_is_and_what_it_shows(pi) -> None:
    pi.scene.modes = MODES
    usual = sight(fps=30)
    assert sight(fps=10) == usual, "binned or not, the same is seen"
    assert sight(fps=60) != usual, "the middle alone"
    assert sight(fps=30, height_px=240) != usual
    pi.scene.cameras[0]["Id"] = "/base/soc/i2c0mux/i2c@0/imx708@1a"
    assert sight(fps=30) != usual, "the other connector"


def test_a_usb_camera_says_which_it_is() -> None:
    masking = Masking()
    camera = usb(film("mjpeg", "yuvj420p"), "MJPG", masking)
    watch(camera, 1)
    assert masking.sight.startswith("Webcam, usb-1, ")


def test_pictures_of_another_sight_are_blank() -> None:
    masking = Masking(Cover(MASKS, sight="another"))
    units = watch(SyntheticCamera(CameraSettings(**SMALL), masking), 1)
    assert_black(decoded(units["main"])[0], [[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]])


@pytest.mark.parametrize("board", ["VC4", "Pi 5", "Pi 5 with NV12"])
def test_in_both_streams_of_a_pis_camera(pi, board) -> None:
    if board != "VC4":
        pi.encoders.H264Encoder = pi.encoders.LibavH264Encoder
    if board == "Pi 5 with NV12":
        pi.scene.agreed = {"format": "NV12"}
    camera, picam, units = pi_units(pi, Masking(Cover(MASKS)))
    picam.take(4)
    holds(units)
    camera.stop()


def test_masks_hold_from_the_next_picture_on(pi) -> None:
    masking = Masking()
    camera, picam, units = pi_units(pi, masking)
    picam.take(2)
    masking.show(Cover(MASKS))
    picam.take(1)
    before, _, after = decoded(units["main"])
    assert_seen(before, (0.15, 0.1))
    assert_seen(after, *SEEN)
    camera.stop()
    assert_black(after, MASKS)


def test_what_cannot_be_masked_comes_to_no_encoder_and_is_told_once(pi, monkeypatch) -> None:
    failures: list[Exception] = []
    camera = PiCamera(CameraSettings(**SMALL), 0, "Raspberry Pi 4", Masking(Cover(MASKS)))
    units = []
    camera.start(DEMANDS, lambda *unit: units.append(unit), failures.append)
    picam = pi.scene.opened[-1]

    def fail(*_, **__):
        raise OSError("failed to lock-sync-write dma buf")

    monkeypatch.setattr(pi, "MappedArray", fail)
    picam.take(5)
    assert units == []
    (failure,) = failures
    assert "could not be masked, and is not shown: failed to lock-sync-write dma buf" in str(failure)
    camera.stop()


def test_without_the_callback_nothing_is_shown(pi) -> None:
    """As where a release of picamera2 calls it no more."""
    camera, picam, units = pi_units(pi, Masking())
    picam.pre_callback = None
    picam.take(3)
    assert units == {"main": [], "preview": []}
    camera.stop()


def test_a_blank_picture_is_black_as_a_whole() -> None:
    masking = Masking(BLANK)
    for pix_fmt in ("yuv420p", "yuvj420p", "rgb24", "gray"):
        for size in ((320, 180), (319, 179)):
            frame = masking.cover_frame(grey(pix_fmt, size))
            assert_black(frame, EVERYTHING)
            assert (frame.color_range, frame.format.name) == (1, "yuv420p")


@pytest.mark.parametrize("form", ["YUV420", "NV12"])
def test_a_buffer_with_padding_is_drawn_on_in_place(form) -> None:
    layout = Layout(form, 64, 36, 96)
    data = bytearray(b"\xee" * layout.size_bytes)
    Masking(BLANK).cover_pixels(layout, memoryview(data))
    assert set(data[:64]) == {16}
    assert set(data[96 * 36 : 96 * 36 + 32]) == {128}
    Masking(CLEAR).cover_pixels(layout, untouched := memoryview(bytearray(b"\xee" * 9)))
    assert set(untouched) == {0xEE}


def test_nothing_is_copied_where_nothing_is_covered() -> None:
    frame = grey()
    assert Masking().cover_frame(frame) is frame


def test_what_a_decoder_gave_out_is_not_drawn_on() -> None:
    frame, masking = grey(), Masking(BLANK)
    before = [bytes(plane) for plane in frame.planes]
    for _ in range(3):
        assert_black(masking.cover_frame(frame), EVERYTHING)
    assert [bytes(plane) for plane in frame.planes] == before


@pytest.mark.parametrize("pixels", ["YUV420", "NV12"])
@pytest.mark.parametrize("has_preview", [True, False])
def test_who_looks_for_motion_sees_a_pis_picture_from_behind_the_mask(pi, pixels, has_preview) -> None:
    if pixels == "NV12":
        pi.encoders.H264Encoder = pi.encoders.LibavH264Encoder
        pi.scene.agreed = {"format": "NV12"}
    masking, seen, units = Masking(Cover(MASKS)), [], []
    masking.luma.want(seen.append)
    settings = CameraSettings(**SMALL | {"preview": {"width_px": 160, "enabled": has_preview}})
    camera = PiCamera(settings, 0, "Raspberry Pi 4", masking)
    idle = {stream: EncoderDemand(1_000_000, is_active=False) for stream in DEMANDS}
    camera.start(idle, lambda *unit: units.append(unit), lambda error: pytest.fail(str(error)))
    pi.scene.opened[-1].take(1)
    camera.stop()
    (luma,) = seen
    assert (luma.width_px, luma.height_px) == (32, 18)
    assert luma.data[5] < 4, "black"
    assert luma.data[2 * 32 + 28] > 100
    assert units == [], "nothing is encoded for it"


@pytest.mark.parametrize(("area", "is_hidden"), [
    (Area(0.1, 0.1, 0.2, 0.3), True), (Area(0.6, 0.1, 0.9, 0.9), False),
    (Area(0.47, 0.2, 0.67, 0.8), False), (Area(0.4, 0.2, 0.6, 0.8), True),
    (Area(0.499, 0.2, 0.4991, 0.2001), True), (Area(0.99, 0.99, 1.0, 1.0), False),
])  # fmt: skip
def test_what_lies_behind_a_mask_by_more_than_a_quarter_is_hidden(area, is_hidden):
    assert Masking(Cover((((0, 0), (0.5, 0), (0.5, 1), (0, 1)),))).hides(area) is is_hidden


def test_a_blank_picture_hides_all_and_one_without_masks_nothing():
    area, masking = Area(0.4, 0.4, 0.6, 0.6), Masking(BLANK)
    assert masking.hides(area)
    masking.show(CLEAR)
    assert not masking.hides(area)
    masking.show(Cover((((0.9, 0.9), (1, 0.9), (1, 1)),), sight="another camera"))
    assert masking.hides(area), "masks of another camera make it blank"
