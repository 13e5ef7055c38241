"""Masks in picamera2's requests, before its encoders.

picamera2 is an argument here: `agent.camera.picamera` alone imports it.
"""

import logging
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from agent.camera.masking import Masking
from agent.camera.pixels import Layout, video_frame
from agent.errors import CameraError
from agent.model.clock import now_us

log = logging.getLogger(__name__)

_MARK = "pinhole_is_masked"


def make_pre_callback(
    picamera2: ModuleType,
    masking: Masking,
    layouts: Mapping[str, Layout],
    on_failure: Callable[[Exception], None],
    label: Callable[[Any], None],
) -> Callable[[Any], None]:
    """What picamera2 calls for each picture, in its thread and under its lock, before it hands any out.

    `layouts` are by libcamera's names. What it raised would end that thread, and so the camera with it, in
    silence: a failure is told instead, and a picture on which it failed never comes to an encoder.
    `label` is called for a picture that is looked at, once it is masked.
    """
    has_failed = False
    small = min(layouts, key=lambda name: layouts[name].width_px)
    large = max(layouts, key=lambda name: layouts[name].width_px)

    def pre_callback(request: Any) -> None:
        nonlocal has_failed
        try:
            is_drawn, is_looked_at = not masking.is_clear, masking.luma.is_due(now_us())
            for name, layout in layouts.items():
                is_seen = is_looked_at and name == small
                is_cropped = is_looked_at and name == large and masking.luma.is_crop_wanted
                if not is_drawn and not is_seen and not is_cropped:
                    continue
                with (
                    picamera2.MappedArray(request, name, reshape=False, write=is_drawn) as mapped,
                    memoryview(mapped.array).cast("B") as pixels,
                ):
                    masking.cover_pixels(layout, pixels)
                    if is_seen:
                        masking.luma.take_pixels(layout, pixels)
                    if is_cropped:
                        masking.luma.crop_frame(video_frame(layout, pixels), now_us())
                    masking.write_pixels(layout, pixels)
            setattr(request, _MARK, True)
            if is_looked_at:
                label(request)
        except Exception as exc:  # whatever it is: this picture must not be seen
            if not has_failed:
                has_failed = True
                log.exception("camera: a picture could not be masked")
                on_failure(CameraError(f"a picture could not be masked, and is not shown: {exc}"))

    return pre_callback


def is_masked(request: Any) -> bool:
    """Whether the callback has seen this picture, also where there was nothing to cover."""
    return getattr(request, _MARK, False) is True
