"""The choice of a sensor mode, on what real boards list (tests/data/camera)."""

import re
from pathlib import Path

import pytest

from agent.camera.sensor import SensorMode, choose_mode, parse_modes
from agent.errors import CameraError

LISTS = (Path(__file__).parents[2] / "data" / "camera" / "list-cameras.txt").read_text()
MODE = re.compile(r"(\d+)x(\d+) \[([\d.]+) fps - \((\d+), (\d+)\)/(\d+)x(\d+) crop\]")
HD, FULL_HD = (1280, 720), (1920, 1080)


def listed(title: str) -> list[SensorMode]:
    """The modes of one block of the file."""
    (block,) = [block for block in LISTS.split("\n## ") if block.startswith(title)]
    first = block.split("\n1 : ")[0]
    modes, depth = [], 0
    for line in first.splitlines():
        if format_ := re.search(r"'S[A-Z]+(\d+)\w*'", line):
            depth = int(format_[1])
        if mode := MODE.search(line):
            width, height, fps, *crop = mode.groups()
            modes.append(SensorMode(int(width), int(height), depth, float(fps), tuple(map(int, crop))))
    assert modes
    return modes


@pytest.mark.parametrize("size", [HD, FULL_HD])
@pytest.mark.parametrize(
    ("title", "mode"),
    [
        ("imx708, Pi 4", (2304, 1296, 10)),
        ("imx708 + imx219, Pi 5", (2304, 1296, 10)),
        ("imx219, Pi 5", (1640, 1232, 10)),
        ("imx477 - ", (2028, 1520, 12)),
        ("imx477, kernel 6.12", (2028, 1520, 12)),
        ("ov5647", (1296, 972, 10)),
        ("imx585", (1928, 1090, 12)),
    ],
)
def test_every_sensor_shows_all_that_it_sees_at_the_boards_rate(title, mode, size):
    chosen = choose_mode(listed(title), size, 30)
    assert (chosen.width_px, chosen.height_px, chosen.bit_depth) == mode


@pytest.mark.parametrize(
    ("title", "fps", "mode"),
    [
        ("imx708, Pi 4", 60, (1536, 864)),
        ("imx219, Pi 5", 60, (1640, 1232)),  # with 8 bits, and whole
        ("ov5647", 60, (640, 480)),
        ("imx708, Pi 4", 5, (2304, 1296)),
    ],
)
def test_a_rate_that_was_asked_for_comes_before_the_view(title, fps, mode):
    chosen = choose_mode(listed(title), HD, fps)
    assert (chosen.width_px, chosen.height_px) == mode


def test_the_settings_have_the_last_word():
    modes = listed("imx708, Pi 4")
    assert choose_mode(modes, HD, 30, "4608x2592").fps == 14.35
    with pytest.raises(CameraError, match="no mode 1x1, only 1536x864, 2304x1296, 4608x2592"):
        choose_mode(modes, HD, 30, "1x1")


def test_a_camera_whose_modes_are_not_known_is_left_to_libcamera():
    assert choose_mode([], HD, 30) is None
    assert parse_modes([{"format": "YUYV"}]) == []


def test_modes_are_read_as_picamera2_tells_them():
    told = {
        "format": object(), "unpacked": "SRGGB10", "bit_depth": 10, "size": (2304, 1296), "fps": 56.03,
        "crop_limits": (0, 0, 4608, 2592), "exposure_limits": (9, 77_208_145, 20_000),
    }  # fmt: skip
    assert parse_modes([told]) == [SensorMode(2304, 1296, 10, 56.03, (0, 0, 4608, 2592))]
