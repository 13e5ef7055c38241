"""The Pi's own camera, by picamera2 0.3.18 or newer.

The only module that knows picamera2, which comes from apt and is imported when a camera is looked for.
"""

import atexit
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

from agent.camera.annexb import UnitMaker
from agent.camera.board import Board, board_of, read_model
from agent.camera.duo import preview_size
from agent.camera.exposure import controls
from agent.camera.hdr import set_sensor_hdr
from agent.camera.imx500 import MODEL, SensorNetwork
from agent.camera.masking import Masking
from agent.camera.moment import capture_time_us
from agent.camera.pi_encoders import Steered, is_software, make_output, pixel_formats, steer
from agent.camera.pi_masking import make_pre_callback
from agent.camera.pi_rate import SensorRate
from agent.camera.pixels import Layout, agree
from agent.camera.sensor import RATE_SLACK, SensorMode, choose_mode, parse_modes
from agent.camera.source import Demands, Formats, OnUnit
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.clock import now_us
from agent.model.labels import Sightings
from agent.model.media import EncoderDemand, StreamName

log = logging.getLogger(__name__)

STOP_S = 2.5
"""Below the 3 s that `Camera.stop` may take; after a timeout of its frontend libcamera may never return."""
RELEASE = "picamera-release"
"""The thread that gives a camera back."""
LIBCAMERA_NAMES: dict[StreamName, str] = {"main": "main", "preview": "lores"}


@dataclass(frozen=True, slots=True)
class Network:
    """One for a sensor that runs it."""

    file: Path
    min_score: float


def attached() -> list[str]:
    """The models of the Pi cameras that libcamera sees.

    Raises CameraError where there is no picamera2, or one that does not work.
    """
    return [str(camera.get("Model", "camera")) for camera in _listed(_import())]


class PiCamera:
    """See `agent.camera.source.Camera`."""

    kind = "picamera"
    has_stamp = False
    damaged = 0

    def __init__(
        self,
        settings: CameraSettings,
        index: int,
        model: str | None = None,
        masking: Masking | None = None,
        network: Network | None = None,
    ) -> None:
        """`index` counts libcamera's cameras; `model` is the board's, by default this one's.

        `network` is one for the sensor, which says what is in the pictures.
        """
        self._settings = settings
        self._masking = masking or Masking()
        self._wanted = network
        self._network: SensorNetwork | None = None
        self._network_problem = ""
        self._index = index
        self._board: Board = board_of(read_model() if model is None else model)
        self._picam: Any = None
        self._streams: dict[StreamName, Steered] = {}
        self._rate: SensorRate | None = None
        self._modes: list[SensorMode] | None = None
        """Of the sensor, once they were read: it takes the camera a moment."""
        self._has_sensor_hdr = False
        self._mode: SensorMode | None = None
        self._id = ""
        """Libcamera's name of it, by where it is connected, and its model."""

    def start(self, demands: Demands, on_unit: OnUnit, on_failure: Callable[[Exception], None]) -> Formats:
        picamera2 = _import()
        try:
            self._picam = self._open(picamera2)
            return self._start(picamera2, demands, on_unit, on_failure)
        except Exception as exc:
            error = exc if isinstance(exc, CameraError) else self._translated(exc)
            self.stop()
            raise error from exc

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        if steered := self._streams.get(stream):
            steered.apply(demand)
            if self._rate:
                self._rate.note(stream, is_active=demand.is_active)

    def stop(self) -> None:
        picam, encoders = self._picam, [steered.encoder for steered in self._streams.values()]
        self._picam, self._streams, self._rate = None, {}, None
        self._network, self._network_problem = None, ""
        if picam is None:
            return
        done = threading.Event()

        def release() -> None:
            _quietly(picam.stop)
            if encoders:
                _quietly(picam.stop_encoder)
            _quietly(picam.close)
            done.set()

        threading.Thread(target=release, name=RELEASE, daemon=True).start()
        if not done.wait(STOP_S):
            atexit.unregister(picam.close)  # picamera2 would hang there again
            raise CameraError("libcamera does not stop; it has hung since its camera timed out")

    def _open(self, picamera2: ModuleType) -> Any:
        cameras = _listed(picamera2)
        if self._index >= len(cameras):
            raise CameraError(
                f"there is no Pi camera {self._index}: check its cable, and `rpicam-hello --list-cameras`"
            )
        listed = cameras[self._index]
        self._id = f"{listed.get('Model')}, {listed.get('Id')}"
        self._set_sensor_hdr(picamera2, str(listed.get("Id")))
        self._load_network(listed)
        return picamera2.Picamera2(self._index)

    def _load_network(self, listed: Mapping[str, Any]) -> None:
        """Without it the camera serves all the same, and why is told with each picture that is looked at."""
        if self._wanted is None:
            return
        if listed.get("Model") != MODEL:
            self._network_problem = (
                f"the sensor {listed.get('Model')} runs no network: an AI Camera does ({MODEL})"
            )
        else:
            file, least = self._wanted.file, self._wanted.min_score
            try:
                self._network = SensorNetwork(_import_devices(), file, str(listed.get("Id")), least)
            except CameraError as exc:
                self._network_problem = str(exc)
        if self._network_problem:
            log.warning(f"camera: nothing is labelled: {self._network_problem}")

    def _label(self, request: Any) -> None:
        """What the sensor's network says of a picture, to who looks at it."""
        if self._wanted is None:
            return
        network, picam, at_us = self._network, self._picam, now_us()
        if network is None or picam is None:
            said: Sightings | None = Sightings(at_us, problem=self._network_problem)
        else:
            said = network.sightings(request.get_metadata(), picam, self._masking.hides, at_us)
        if said:
            self._masking.luma.take_sightings(said)

    def _set_sensor_hdr(self, picamera2: ModuleType, camera_id: str) -> None:
        try:
            is_new = set_sensor_hdr(camera_id, wanted=self._settings.image.hdr)
            self._has_sensor_hdr = is_new is not None
        except OSError as exc:
            log.warning(f"camera: the sensor's high dynamic range cannot be set: {exc}")
            return
        if is_new:  # libcamera read the modes when it listed its cameras
            self._modes = None
            if reset := getattr(picamera2.Picamera2._cm, "reset", None):  # noqa: SLF001
                reset()  # as picamera2's own IMX708 does; 0.3.18 keeps no list

    def _start(
        self,
        picamera2: ModuleType,
        demands: Demands,
        on_unit: OnUnit,
        on_failure: Callable[[Exception], None],
    ) -> Formats:
        fps = self._settings.fps or self._board.fps
        formats: Formats = {}
        layouts = self._configure(picamera2, fps)
        given = self._picam.camera_configuration()["controls"]
        picam = self._picam

        def set_controls(changed: dict[str, Any]) -> None:
            with picam.request_lock:  # else lost where picamera2 hands a request back this very moment
                picam.set_controls(changed)

        rate = self._rate = SensorRate(given, picam.camera_controls, set_controls)
        self._masking.begin(self._sight(layouts["main"], fps))
        named = {LIBCAMERA_NAMES[stream]: layout for stream, layout in layouts.items()}
        self._picam.pre_callback = make_pre_callback(picamera2, self._masking, named, on_failure, self._label)
        for stream, layout in layouts.items():
            steered = steer(picamera2, self._settings, stream, layout, fps, demands[stream], on_failure)
            self._streams[stream], formats[stream] = steered, steered.format
            output = make_output(picamera2, self._on_frame(stream, steered, on_unit))
            self._picam.start_encoder(steered.encoder, output, name=LIBCAMERA_NAMES[stream])
            rate.note(stream, is_active=demands[stream].is_active)
        self._picam.start()
        if self._network:
            self._network.begin()
        return formats

    @staticmethod
    def _on_frame(stream: StreamName, steered: Steered, on_unit: OnUnit) -> Callable[[bytes, int], None]:
        maker = UnitMaker()

        def on_frame(data: bytes, timestamp_us: int) -> None:
            first_us = steered.encoder.firsttimestamp  # the sensor's: picamera2 counts from there
            stamp_us = None if first_us is None else first_us + timestamp_us
            unit = maker.make(data, capture_time_us(stamp_us, now_us()))
            if unit:
                on_unit(stream, unit)

        return on_frame

    def _configure(self, picamera2: ModuleType, fps: float) -> dict[StreamName, Layout]:
        """Set sizes, sensor mode, rate, rotation and controls; what libcamera agreed to deliver."""
        import libcamera  # noqa: PLC0415  # comes with picamera2

        wanted, formats = self._sizes(), pixel_formats(picamera2)
        # As libx264 encodes them, so that nothing is converted; for the hardware picamera2 knows best.
        colours = libcamera.ColorSpace.Smpte170m() if is_software(picamera2) else None
        turned = self._settings.rotate == 180
        mode = self._mode = self._sensor_mode(wanted["main"], fps)
        sensor = {"output_size": (mode.width_px, mode.height_px), "bit_depth": mode.bit_depth} if mode else {}
        given, missing = controls(
            self._settings.image, fps, self._picam.camera_controls, has_sensor_hdr=self._has_sensor_hdr
        )
        for words in missing:
            log.warning(f"camera: this camera has not what {words} asks for")
        lores = wanted.get("preview")
        self._picam.configure(
            self._picam.create_video_configuration(
                main={"size": wanted["main"], "format": formats[0]},
                lores={"size": lores, "format": formats[0]} if lores else None,
                colour_space=colours,
                transform=libcamera.Transform(hflip=turned, vflip=turned),
                buffer_count=self._board.buffer_count,
                controls=given,
                sensor=sensor,
            )
        )
        agreed = self._picam.camera_configuration()
        return {
            stream: agree(agreed[LIBCAMERA_NAMES[stream]], size, formats, str(agreed["colour_space"]))
            for stream, size in wanted.items()
        }

    def _sight(self, main: Layout, fps: float) -> str:
        """What is seen of which sensor: its mode's crop, by libcamera, cut to the picture's shape."""
        crop = self._picam.camera_properties.get("ScalerCropMaximum")
        if crop is None:  # what it depends on
            crop = (
                f"{self._mode or self._settings.image.sensor_mode}, {fps:g} fps, {self._settings.image.hdr}"
            )
        return f"{self._id}, {crop}, {Fraction(main.width_px, main.height_px)}"

    def _sizes(self) -> dict[StreamName, tuple[int, int]]:
        """What is asked for."""
        width = self._settings.width_px or self._board.width_px
        height = self._settings.height_px or self._board.height_px
        enabled = self._settings.preview.enabled
        if not (self._board.has_preview if enabled is None else enabled):
            return {"main": (width, height)}
        return {"main": (width, height), "preview": preview_size(self._settings, width, height)}

    def _sensor_mode(self, size: tuple[int, int], fps: float) -> SensorMode | None:
        """The mode to read; None leaves it to libcamera. Raises CameraError for one that there is not."""
        if self._modes is None:
            try:
                self._modes = parse_modes(self._picam.sensor_modes)
            except Exception as exc:  # noqa: BLE001  # with less of a view the camera serves all the same
                log.warning(f"camera: its modes cannot be read, and the picture may be cropped: {exc}")
                self._modes = []
        mode = choose_mode(self._modes, size, fps, self._settings.image.sensor_mode)
        if mode:
            log.info(f"camera: sensor mode {mode}")
            if mode.fps < fps * RATE_SLACK:
                log.warning(f"camera: {fps:g} fps was asked for; this sensor's modes reach {mode.fps:g}")
        return mode

    @staticmethod
    def _translated(exc: Exception) -> CameraError:
        words, cause = [], exc.__cause__ or exc.__context__
        for error in (exc, cause, cause and (cause.__cause__ or cause.__context__)):
            words += [str(error)] if error else []
        said = ": ".join(words)
        is_busy = "busy" in said.lower() or "acquire" in said.lower()
        if is_busy and any(thread.name == RELEASE for thread in threading.enumerate()):
            return CameraError("libcamera has hung and still holds the Pi camera; a restart may free it")
        if is_busy:
            return CameraError(f"another program uses the Pi camera; close it ({said})")
        if "dmaheap" in said.lower().replace("_", "").replace(" ", ""):
            return CameraError(
                f"no frame buffers, since /dev/dma_heap cannot be used: {said}",
                "let the agent's user be in the group `video`, and see `ls -l /dev/dma_heap`",
            )
        if "memory" in said.lower():
            return CameraError(
                f"no memory for the frame buffers: choose a smaller picture, or more CMA ({said})"
            )
        return CameraError(f"the Pi camera does not start: {said}")


def _listed(picamera2: ModuleType) -> list[Mapping[str, Any]]:
    """The cameras of libcamera, without those on USB, which it lists last. Raises CameraError."""
    try:
        cameras = picamera2.Picamera2.global_camera_info()
    except Exception as exc:
        raise CameraError(
            f"libcamera cannot list its cameras: {exc}", "run `rpicam-hello --list-cameras`, and `dmesg`"
        ) from exc
    return [camera for camera in cameras if "/usb" not in str(camera.get("Id"))]


def _import() -> ModuleType:
    try:
        import picamera2  # noqa: PLC0415  # only there on a Pi, and slow to import
        import picamera2.encoders  # noqa: PLC0415
        import picamera2.outputs  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if exc.name == "picamera2":
            raise CameraError(
                "picamera2 is missing",
                "sudo apt install --no-install-recommends python3-picamera2, and an environment with "
                "--system-site-packages (scripts/env makes one)",
            ) from exc
        raise _unusable(exc) from exc
    except Exception as exc:
        raise _unusable(exc) from exc
    return picamera2  # type: ignore[no-any-return]


def _import_devices() -> ModuleType:
    try:
        import picamera2.devices.imx500  # noqa: PLC0415  # with all that it needs, for who asks for it alone
    except Exception as exc:
        raise CameraError(
            f"picamera2's part for this sensor does not import: {type(exc).__name__}: {exc}",
            "sudo apt install imx500-all python3-opencv",
        ) from exc
    return picamera2.devices  # type: ignore[no-any-return]


def _unusable(exc: Exception) -> CameraError:
    """It is there, and what it is built on does not fit: numpy of another ABI raises ValueError, for one."""
    return CameraError(
        f"picamera2 is installed and does not import: {type(exc).__name__}: {exc}",
        "python3-picamera2, python3-libcamera, python3-numpy and python3-simplejpeg must all come from apt; "
        "`pip uninstall` what stands before them",
    )


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception as exc:  # noqa: BLE001  # the rest must be released all the same
        log.warning(f"camera: {call.__name__} failed: {exc}")
