"""The settings of focus, light and noise as libcamera's controls. Pure."""

from collections.abc import Collection
from typing import Any

from agent.config import ImageSettings

# libcamera's control_ids_core.yaml and control_ids_draft.yaml; the numbers are part of its interface.
AF_MODES = {"manual": 0, "auto": 1, "continuous": 2}
AF_TRIGGER_START = 0
NOISE_REDUCTION_MODES = {"off": 0, "fast": 1, "high-quality": 2, "minimal": 3}
FLICKER_MANUAL = 1
EXPOSURE_MODE_LONG = 2
HDR_SINGLE_EXPOSURE = 3

NORMAL_EXPOSURE_US = 66_666
"""The longest of a Pi's usual exposure profile; its long one goes on to 120 ms and more."""


def controls(
    image: ImageSettings, fps: float, known: Collection[str], *, has_sensor_hdr: bool
) -> tuple[dict[str, Any], list[str]]:
    """For `configure`, of those that the camera knows; and what the settings ask of others, in words."""
    given: dict[str, Any] = {}
    missing: list[str] = []
    wishes = _wanted(image, fps)
    if image.hdr and not has_sensor_hdr:
        wishes.append(("hdr", {"HdrMode": HDR_SINGLE_EXPOSURE}))  # a Pi 5 makes it of what any sensor gives
    for setting, wanted in wishes:
        if wanted.keys() <= set(known):
            given |= wanted
        elif setting:
            missing.append(f"camera.image.{setting} ({', '.join(sorted(wanted.keys() - set(known)))})")
    return given, missing


def _wanted(image: ImageSettings, fps: float) -> list[tuple[str, dict[str, Any]]]:
    """Each with the setting that asks for it, or with none where a camera may do without."""
    frame_us = round(1_000_000 / fps)
    longest_us = max(
        frame_us, image.exposure_us or 0, round(1_000_000 / image.night_fps) if image.night_fps else 0
    )
    wanted: list[tuple[str, dict[str, Any]]] = [("", {"FrameDurationLimits": (frame_us, longest_us)})]
    if image.lens_position is not None:
        focus = {"AfMode": AF_MODES["manual"], "LensPosition": image.lens_position}
        wanted.append(("lens_position", focus))
    elif image.af_mode == "auto":
        wanted.append(("af_mode", {"AfMode": AF_MODES["auto"], "AfTrigger": AF_TRIGGER_START}))
    else:
        mode = AF_MODES[image.af_mode or "continuous"]
        wanted.append(("af_mode" if image.af_mode else "", {"AfMode": mode}))
    if image.exposure_us:
        wanted.append(("exposure_us", {"ExposureTime": image.exposure_us}))
    if image.night_fps and longest_us > NORMAL_EXPOSURE_US:
        wanted.append(("night_fps", {"AeExposureMode": EXPOSURE_MODE_LONG}))
    if image.flicker_hz:
        # Light from the mains flickers twice in each of its periods.
        period_us = round(1_000_000 / (2 * image.flicker_hz))
        wanted.append(("flicker_hz", {"AeFlickerMode": FLICKER_MANUAL, "AeFlickerPeriod": period_us}))
    if image.noise_reduction:
        mode = NOISE_REDUCTION_MODES[image.noise_reduction]
        wanted.append(("noise_reduction", {"NoiseReductionMode": mode}))
    return wanted
