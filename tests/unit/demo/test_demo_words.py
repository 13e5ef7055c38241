"""What the demo passes on and says."""

import pytest

from agent.demo.child import is_loud
from agent.demo.supervisor import _absolute, _describe
from agent.errors import PinholeError
from agent.model.signal import State, StreamInfo
from agent.model.text import printable


@pytest.mark.parametrize(
    ("line", "loud"),
    [
        ("2026-11-22 12:00:00 INFO agent.app: broker: connected", False),
        ("2026-11-22 12:00:00 DEBUG agent.app: x", False),
        ("2026-11-22 12:00:00 WARNING agent.app: x", True),
        ("2026-11-22 12:00:00 ERROR agent.app: x", True),
        ("2026-11-22 12:00:00 INFO agent.camera.select: camera: the test picture", True),
    ],
)
def test_warnings_and_the_choice_of_camera_are_passed_on(line, loud):
    assert is_loud(line, after_loud=not loud) is loud


@pytest.mark.parametrize("loud", [True, False])
def test_a_traceback_goes_with_the_line_above(loud):
    assert is_loud('  File "x", line 1', after_loud=loud) is loud


@pytest.mark.parametrize(
    ("source", "state", "words"),
    [
        ("demo", {}, "started when somebody watches"),
        ("demo", {"camera_kind": "synthetic"}, "neither a Pi camera nor a USB camera was found"),
        ("demo", {"camera_kind": "v4l2", "problem": "busy"}, "v4l2: busy"),
        ("picamera", {"problem": "no Pi camera 0"}, "picamera: no Pi camera 0"),
        (
            "replay:/x.mp4",
            {"camera_kind": "replay", "streams": (StreamInfo("main", 640, 480, 25.0, 1_000_000),)},
            "replay 640x480 at 25 fps",
        ),
    ],
)
def test_the_camera_is_described(source, state, words):
    assert words in _describe(source, State("boot", online=True, since=0.0, **state))


def test_control_characters_do_not_survive():
    assert printable("a\x1b[2J\tb\nc\x00") == "a\N{REPLACEMENT CHARACTER}[2J\tb\nc\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("source", ["rtsp://192.0.2.7/stream", "replay:rtsp://192.0.2.7/stream", "webcam"])
def test_a_source_that_is_none_is_told_as_it_was_typed(source):
    with pytest.raises(PinholeError) as told:
        _absolute(source)
    assert str(told.value).startswith(f"--camera {source}: ")
    assert "v4l2:DEVICE, replay:FILE or synthetic" in str(told.value)
    assert ("RTSP is no source" in str(told.value)) == ("rtsp" in source)


@pytest.mark.parametrize(
    ("source", "meant"),
    [("/dev/video0", "did you mean v4l2:/dev/video0?"), ("garden.mp4", "did you mean replay:garden.mp4?")],
)
def test_a_bare_file_is_answered_with_what_was_meant(source, meant):
    with pytest.raises(PinholeError) as told:
        _absolute(source)
    assert str(told.value).endswith(meant)


def test_a_folder_is_called_one(tmp_path):
    with pytest.raises(PinholeError, match="a folder and not a file"):
        _absolute(f"replay:{tmp_path}")
