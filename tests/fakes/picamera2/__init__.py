"""A stand-in for picamera2 0.3.38 with its own signatures, whose pictures the test takes one by one.

It does as the real one does: the order of calls, timestamps from the first picture on, SPS and PPS, the
errors of a missing and of a busy camera; and it has the faults that `scene` switches on.
"""
# ruff: noqa: ARG002  # the signatures are the original's

import threading
from dataclasses import dataclass, field
from typing import Any

import libcamera

from picamera2 import encoders, outputs

__all__ = ["MappedArray", "Picamera2", "encoders", "outputs", "scene"]


@dataclass
class Scene:
    """What is attached to the board, and what is wrong with it."""

    cameras: list[dict[str, Any]] = field(
        default_factory=lambda: [{"Model": "imx708", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a", "Num": 0}]
    )
    busy: bool = False
    no_memory: bool = False
    frontend_timeout: threading.Event | None = None
    """While it is not set no picture comes and `stop` blocks, as after "Camera frontend has timed out!"."""
    encoder_stalled: bool = False
    """The sensor runs, and nothing comes out of the encoder."""
    align_px: int = 2
    agreed: dict[str, Any] = field(default_factory=dict)
    """What libcamera makes of each stream, where that is not what was asked for."""
    controls: tuple[str, ...] = (
        "FrameDurationLimits",
        "NoiseReductionMode",
        "ExposureTime",
        "AeExposureMode",
    )
    modes: list[dict[str, Any]] = field(default_factory=list)
    opened: list["Picamera2"] = field(default_factory=list)
    sensor_us: int = 0


scene = Scene()


class Picamera2:
    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return scene.cameras

    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        if camera_num >= len(scene.cameras):
            raise RuntimeError(f"No camera number {camera_num} found")
        if scene.busy:
            cause = RuntimeError("Failed to acquire camera: Device or resource busy")
            raise RuntimeError("Camera __init__ sequence did not complete.") from cause
        self.camera_config: dict[str, Any] = {}
        self.controls: dict[str, Any] = {}
        self.request_lock = threading.Lock()
        self.camera_controls = dict.fromkeys(scene.controls, (0, 0, 0))
        self.sensor_modes = scene.modes
        self.camera_properties: dict[str, Any] = {}
        self.started = self.closed = False
        self.pre_callback = None
        self._encoders: set[encoders.Encoder] = set()
        scene.opened.append(self)

    def create_video_configuration(
        self,
        main={},  # noqa: B006  # as in the original
        lores=None,
        raw={},  # noqa: B006
        transform=libcamera.Transform(),  # noqa: B008
        colour_space=None,
        buffer_count=6,
        controls={},  # noqa: B006
        display="main",
        encode="main",
        queue=True,
        sensor={},  # noqa: B006
        use_case="video",
    ):
        return {
            "main": dict(main),
            "lores": None if lores is None else dict(lores),
            "transform": transform,
            "buffer_count": buffer_count,
            "controls": controls,
            "sensor": sensor,
            "colour_space": colour_space or "Rec709",
        }

    def configure(self, camera_config=None):
        if scene.no_memory:
            raise OSError(12, "Cannot allocate memory")
        self.camera_config = dict(camera_config)
        self.controls = dict(camera_config["controls"])
        chosen = camera_config["sensor"].get("output_size")
        crops = [mode["crop_limits"] for mode in scene.modes or () if mode["size"] == chosen]
        self.camera_properties = {"ScalerCropMaximum": crops[0]} if crops else {}  # anew each time
        for name in ("main", "lores"):
            if camera_config[name] is not None:
                width, height = camera_config[name]["size"]
                stream = {**camera_config[name], "size": (width // scene.align_px * scene.align_px, height)}
                stream["stride"] = -(-stream["size"][0] // 64) * 64
                self.camera_config[name] = stream | scene.agreed

    def camera_configuration(self):
        return self.camera_config

    def set_controls(self, controls) -> None:
        unknown = controls.keys() - self.camera_controls.keys()
        if unknown:
            raise RuntimeError(f"Control {unknown.pop()} is not advertised by libcamera")
        self.controls |= controls

    def start_encoder(self, encoder=None, output=None, pts=None, quality=None, name=None):
        if not self.camera_config:
            raise RuntimeError("Camera has not been configured")
        stream = self.camera_config[name or "main"]
        encoder.output = output
        encoder.name = name or "main"
        encoder.width, encoder.height = stream["size"]
        encoder.format, encoder.stride = stream["format"], stream["stride"]
        encoder.start(quality=quality)
        self._encoders.add(encoder)

    def stop_encoder(self, encoders=None):
        for encoder in list(self._encoders):
            encoder.stop()
        self._encoders.clear()

    def start(self, config=None, show_preview=False):
        if not self.camera_config:
            raise RuntimeError("Camera has not been configured")
        self.started = True

    def stop(self):
        if scene.frontend_timeout:
            scene.frontend_timeout.wait()
        self.started = False

    def close(self):
        self.stop()
        self.closed = True

    def take(self, pictures: int = 1) -> None:
        """The sensor takes pictures."""
        interval_us = self.controls["FrameDurationLimits"][0]
        for _ in range(pictures):
            scene.sensor_us += interval_us
            if self.started and not scene.frontend_timeout:
                request = Request(scene.sensor_us, self.camera_config)
                if self.pre_callback:  # what it raises ends the thread of the real one
                    self.pre_callback(request)
                for encoder in self._encoders:
                    encoder.encode(encoder.name, request)


class Request:
    def __init__(self, sensor_us: int, config: dict[str, Any]) -> None:
        self.sensor_us = sensor_us
        self.arrays = {
            name: bytearray(b"\x80" * config[name]["stride"] * (config[name]["size"][1] * 3 // 2))
            for name in ("main", "lores")
            if config.get(name)
        }


class MappedArray:
    def __init__(self, request, stream, reshape=True, write=True):
        self._request, self._stream = request, stream

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_traceback):
        self._request = None

    @property
    def array(self):
        return self._request.arrays[self._stream]
