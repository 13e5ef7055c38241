"""The settings of focus, light and noise, as controls."""

import pytest

from agent.camera.exposure import controls
from agent.config import ImageSettings

MODULE_3 = (
    "FrameDurationLimits", "NoiseReductionMode", "AfMode", "AfTrigger", "LensPosition", "ExposureTime",
    "AeExposureMode", "AeFlickerMode", "AeFlickerPeriod",
)  # fmt: skip
FRAME = {"FrameDurationLimits": (40_000, 40_000)}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"AfMode": 2}),
        ({"af_mode": "continuous"}, {"AfMode": 2}),
        ({"af_mode": "auto"}, {"AfMode": 1, "AfTrigger": 0}),
        ({"af_mode": "manual"}, {"AfMode": 0}),
        ({"lens_position": 0.0}, {"AfMode": 0, "LensPosition": 0.0}),
        ({"exposure_us": 5000}, {"AfMode": 2, "ExposureTime": 5000}),
        ({"flicker_hz": 50}, {"AfMode": 2, "AeFlickerMode": 1, "AeFlickerPeriod": 10_000}),
        ({"flicker_hz": 60}, {"AfMode": 2, "AeFlickerMode": 1, "AeFlickerPeriod": 8_333}),
        ({"noise_reduction": "high-quality"}, {"AfMode": 2, "NoiseReductionMode": 2}),
    ],
)
def test_each_setting_is_told(settings, expected):
    assert controls(ImageSettings(**settings), 25, MODULE_3, has_sensor_hdr=False) == (FRAME | expected, [])


@pytest.mark.parametrize(
    ("settings", "limits", "is_long"),
    [
        ({"night_fps": 20}, (40_000, 50_000), False),
        ({"night_fps": 5}, (40_000, 200_000), True),
        ({"exposure_us": 200_000}, (40_000, 200_000), False),
        ({"night_fps": 60}, (40_000, 40_000), False),
    ],
)
def test_in_the_dark_the_rate_may_fall_to_its_bound(settings, limits, is_long):
    told, _ = controls(ImageSettings(**settings), 25, MODULE_3, has_sensor_hdr=False)
    assert told["FrameDurationLimits"] == limits
    assert told.get("AeExposureMode") == (2 if is_long else None)


def test_a_camera_without_a_motor_does_without():
    assert controls(ImageSettings(), 25, ["FrameDurationLimits"], has_sensor_hdr=False) == (FRAME, [])


def test_what_was_asked_for_and_is_not_there_is_told():
    wanted = ImageSettings(af_mode="continuous", flicker_hz=50, hdr=True)
    told, missing = controls(wanted, 25, ["FrameDurationLimits", "AeFlickerMode"], has_sensor_hdr=False)
    assert told == FRAME
    assert missing == [
        "camera.image.af_mode (AfMode)", "camera.image.flicker_hz (AeFlickerPeriod)",
        "camera.image.hdr (HdrMode)",
    ]  # fmt: skip


def test_hdr_is_the_sensors_or_the_boards():
    known = (*MODULE_3, "HdrMode")
    assert "HdrMode" not in controls(ImageSettings(hdr=True), 25, known, has_sensor_hdr=True)[0]
    assert controls(ImageSettings(hdr=True), 25, known, has_sensor_hdr=False)[0]["HdrMode"] == 3
