import logging
import re

import pytest

from agent.camera import select
from agent.camera.picamera import PiCamera
from agent.camera.videodev import Device
from agent.config import CameraSettings
from agent.errors import CameraError

WEBCAM = Device("/dev/video7", "Webcam", "usb-1", captures=True, formats=("MJPG",))


@pytest.mark.parametrize(
    ("pi", "usb", "kind", "word"),
    [
        (["imx708"], [WEBCAM], "picamera", "imx708"),
        ([], [WEBCAM], "v4l2", "Webcam at /dev/video7"),
    ],
)
def test_auto_takes_the_best_and_says_why(monkeypatch, caplog, pi, usb, kind: str, word: str) -> None:
    attach(monkeypatch, pi, usb)
    with caplog.at_level(logging.INFO):
        assert select.open_camera(CameraSettings(source="auto")).kind == kind
    assert word in caplog.text


def attach(monkeypatch, pi, usb) -> None:
    def attached():
        if isinstance(pi, CameraError):
            raise pi
        return pi

    monkeypatch.setattr(select.picamera, "attached", attached)
    monkeypatch.setattr(select.v4l2, "usb_cameras", lambda: usb)


@pytest.mark.parametrize(
    ("pi", "words"),
    [
        ([], "no USB camera, and no Pi camera: libcamera sees none: check the cable"),
        (
            CameraError("picamera2 is installed and does not import: ValueError: numpy.dtype size changed"),
            "ValueError: numpy.dtype size changed",
        ),
    ],
    ids=["nothing attached", "picamera2 broken"],
)
def test_auto_never_shows_a_test_picture_for_a_camera(monkeypatch, pi, words: str) -> None:
    attach(monkeypatch, pi, [])
    with pytest.raises(CameraError, match=re.escape(words)):
        select.open_camera(CameraSettings(source="auto"))
    assert select.open_camera(CameraSettings(source="demo")).kind == "synthetic"
    attach(monkeypatch, pi, [WEBCAM])
    assert select.open_camera(CameraSettings(source="auto")).kind == "v4l2"


@pytest.mark.parametrize(
    ("pi", "usb", "is_attached"),
    [
        (["imx708"], [], True),
        ([], [WEBCAM], True),
        ([], [], False),
        (CameraError("there is no picamera2"), [], False),
    ],
)
def test_who_asks_hears_what_auto_would_find(monkeypatch, pi, usb, is_attached: bool) -> None:
    attach(monkeypatch, pi, usb)
    assert select.is_attached() is is_attached


@pytest.mark.parametrize("source", ["picamera", "picamera:1", "v4l2:/dev/null", "synthetic"])
def test_a_named_source_is_taken_as_it_is(monkeypatch, source: str) -> None:
    monkeypatch.setattr(select.picamera, "attached", lambda: ["imx708", "imx219"])
    assert select.open_camera(CameraSettings(source=source)).kind == source.partition(":")[0]


@pytest.mark.usefixtures("picamera2")
def test_a_second_pi_camera_has_a_number() -> None:
    assert isinstance(select.open_camera(CameraSettings(source="picamera")), PiCamera)
    with pytest.raises(CameraError, match="no Pi camera 1: 1 attached"):
        select.open_camera(CameraSettings(source="picamera:1"))


@pytest.mark.parametrize("source", ["picamera", "v4l2:/dev/video-none"])
def test_a_camera_that_is_not_there_is_told_before_anybody_watches(monkeypatch, source: str) -> None:
    attach(monkeypatch, [], [])
    with pytest.raises(CameraError, match="check the cable"):
        select.open_camera(CameraSettings(source=source))


def test_a_replay_of_nothing_is_refused_at_once() -> None:
    with pytest.raises(CameraError, match="no file /nowhere"):
        select.open_camera(CameraSettings(source="replay:/nowhere.mp4"))
