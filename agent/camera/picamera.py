"""The Pi's own camera, by picamera2: the hardware encoder on boards up to the Pi 4, libx264 on a Pi 5.

The only module that knows picamera2, which comes from apt and is imported when a camera is looked for.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import av

from agent.camera import videodev
from agent.camera.annexb import UnitMaker
from agent.camera.board import Board, board_of, read_model
from agent.camera.duo import preview_size
from agent.camera.encoder import H264Encoder
from agent.camera.gate import PictureGate
from agent.camera.source import Demands, Formats, OnUnit
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import EncoderDemand, StreamFormat, StreamName

log = logging.getLogger(__name__)

STOP_S = 2.5
"""Below the 3 s that `Camera.stop` may take; after a timeout of its frontend libcamera may never return."""
BITRATE_STEP_BPS, BITRATE_MIN_BPS, BITRATE_MAX_BPS = 25_000, 1_000_000, 25_000_000
"""The VC4 encoder's steps and top; below 1 Mb/s its firmware may stall, unless the settings know better."""
HARDWARE_PREVIEW_FPS = 10.0
"""The encoder's floor is for its full rate; of so many pictures of 30 it makes a third: 333 kb/s."""
SOFTWARE_MIN_BITRATE_BPS = 100_000
CLOCK_SLACK_US = 1_000_000
LIBCAMERA_NAMES: dict[StreamName, str] = {"main": "main", "preview": "lores"}


def attached() -> list[str]:
    """The models of the Pi cameras that libcamera sees; empty without picamera2."""
    try:
        picamera2 = _import()
        cameras = picamera2.Picamera2.global_camera_info()
    except CameraError:
        return []
    except Exception as exc:  # noqa: BLE001  # libcamera raises what it likes; a probe must not fail
        log.warning(f"camera: libcamera cannot list its cameras: {exc}")
        return []
    return [str(camera.get("Model", "camera")) for camera in cameras if "/usb" not in str(camera.get("Id"))]


def hardware_bitrate_bps(bitrate_bps: float, floor_bps: int = BITRATE_MIN_BPS) -> int:
    """What the VC4 encoder takes next to the wanted bitrate."""
    rounded = round(bitrate_bps / BITRATE_STEP_BPS) * BITRATE_STEP_BPS
    return max(floor_bps, min(BITRATE_MAX_BPS, rounded))


def hardware_profile_level_id(width_px: int, height_px: int, fps: float, bitrate_bps: int) -> str:
    """Constrained baseline at the level that picamera2's H264Encoder sets."""
    macroblocks_per_s = -(-width_px // 16) * -(-height_px // 16) * fps
    level = 42 if macroblocks_per_s > 245_760 else 41 if bitrate_bps > 10_000_000 else 40
    return f"42e0{level:02x}"


def yuv420_frame(pixels: memoryview, width_px: int, height_px: int, stride_px: int) -> av.VideoFrame:
    """A copy of libcamera's YUV420 buffer: luma in rows of `stride_px`, then Cb and Cr at half of it."""
    frame = av.VideoFrame(width_px, height_px, "yuv420p")
    at = 0
    for plane, stride in zip(frame.planes, (stride_px, stride_px // 2, stride_px // 2), strict=True):
        target, row_px = memoryview(plane).cast("B"), min(stride, plane.line_size)
        for row in range(plane.height):
            target[row * plane.line_size : row * plane.line_size + row_px] = pixels[at : at + row_px]
            at += stride
    return frame


class PiCamera:
    """See `agent.camera.source.Camera`."""

    kind = "picamera"
    has_stamp = False
    damaged = 0

    def __init__(self, settings: CameraSettings, index: int, model: str | None = None) -> None:
        """`index` counts libcamera's cameras; `model` is the board's, by default this one's."""
        self._settings = settings
        self._index = index
        self._board: Board = board_of(read_model() if model is None else model)
        self._picam: Any = None
        self._streams: dict[StreamName, Steered] = {}

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

    def stop(self) -> None:
        picam, encoders = self._picam, [steered.encoder for steered in self._streams.values()]
        self._picam, self._streams = None, {}
        if picam is None:
            return
        done = threading.Event()

        def release() -> None:
            _quietly(picam.stop)
            if encoders:
                _quietly(picam.stop_encoder)
            _quietly(picam.close)
            done.set()

        threading.Thread(target=release, name="picamera-release", daemon=True).start()
        if not done.wait(STOP_S):
            atexit.unregister(picam.close)  # picamera2 would hang there again
            raise CameraError("libcamera does not stop; it has hung since its camera timed out")

    def _open(self, picamera2: ModuleType) -> Any:
        if self._index >= len(picamera2.Picamera2.global_camera_info()):
            raise CameraError(
                f"there is no Pi camera {self._index}: check its cable, and `rpicam-hello --list-cameras`"
            )
        return picamera2.Picamera2(self._index)

    def _start(
        self,
        picamera2: ModuleType,
        demands: Demands,
        on_unit: OnUnit,
        on_failure: Callable[[Exception], None],
    ) -> Formats:
        fps = self._settings.fps or self._board.fps
        formats: Formats = {}
        for stream, (width, height) in self._configure(fps).items():
            steered = self._steer(picamera2, stream, (width, height), fps, demands[stream], on_failure)
            self._streams[stream], formats[stream] = steered, steered.format
            output = _make_output(picamera2, self._on_frame(stream, steered, fps, on_unit))
            self._picam.start_encoder(steered.encoder, output, name=LIBCAMERA_NAMES[stream])
        self._picam.start()
        return formats

    @staticmethod
    def _on_frame(
        stream: StreamName, steered: "Steered", fps: float, on_unit: OnUnit
    ) -> Callable[[bytes, int], None]:
        maker = UnitMaker(fps)

        def on_frame(data: bytes, timestamp_us: int) -> None:
            now_us = time.monotonic_ns() // 1000
            unit = maker.make(data, capture_time_us(timestamp_us, steered.encoder.firsttimestamp, now_us))
            if unit:
                on_unit(stream, unit)

        return on_frame

    def _configure(self, fps: float) -> dict[StreamName, tuple[int, int]]:
        """Set sizes, rate and rotation; the sizes that libcamera agreed to."""
        import libcamera  # noqa: PLC0415  # comes with picamera2

        width = self._settings.width_px or self._board.width_px
        height = self._settings.height_px or self._board.height_px
        enabled = self._settings.preview.enabled
        has_preview = self._board.has_preview if enabled is None else enabled
        lores = {"size": preview_size(self._settings, width, height), "format": "YUV420"}
        turned = self._settings.rotate == 180
        frame_us = round(1_000_000 / fps)
        self._picam.configure(
            self._picam.create_video_configuration(
                main={"size": (width, height), "format": "YUV420"},
                lores=lores if has_preview else None,
                transform=libcamera.Transform(hflip=turned, vflip=turned),
                buffer_count=self._board.buffer_count,
                controls={"FrameDurationLimits": (frame_us, frame_us)},
            )
        )
        agreed = self._picam.camera_configuration()
        streams: tuple[StreamName, ...] = ("main", "preview") if has_preview else ("main",)
        return {stream: _size(agreed[LIBCAMERA_NAMES[stream]]) for stream in streams}

    def _steer(
        self,
        picamera2: ModuleType,
        stream: StreamName,
        size: tuple[int, int],
        fps: float,
        demand: EncoderDemand,
        on_failure: Callable[[Exception], None],
    ) -> "Steered":
        encoders, settings = picamera2.encoders, self._settings
        is_software = encoders.H264Encoder is encoders.LibavH264Encoder  # picamera2's way to say so
        wanted_fps = fps if stream == "main" else settings.preview.fps
        if stream == "preview" and not is_software:
            wanted_fps = min(wanted_fps, HARDWARE_PREVIEW_FPS)
        stream_fps = min(fps, wanted_fps)
        gate = PictureGate(demand, stream_fps / fps)
        if is_software:
            return _software(picamera2, settings, size, stream_fps, demand, gate, on_failure)
        return _hardware(picamera2, settings, size, (fps, stream_fps), demand, gate)

    @staticmethod
    def _translated(exc: Exception) -> CameraError:
        words, cause = [], exc.__cause__ or exc.__context__
        for error in (exc, cause, cause and (cause.__cause__ or cause.__context__)):
            words += [str(error)] if error else []
        said = ": ".join(words)
        if "busy" in said.lower() or "acquire" in said.lower():
            return CameraError(f"another program uses the Pi camera; close it ({said})")
        if "memory" in said.lower():
            return CameraError(
                f"no memory for the frame buffers: choose a smaller picture, or more CMA ({said})"
            )
        return CameraError(f"the Pi camera does not start: {said}")


@dataclass(frozen=True, slots=True)
class Steered:
    """One of picamera2's encoders, and how it obeys."""

    encoder: Any
    format: StreamFormat
    apply: Callable[[EncoderDemand], None]


def _hardware(
    picamera2: ModuleType,
    settings: CameraSettings,
    size: tuple[int, int],
    rates: tuple[float, float],
    demand: EncoderDemand,
    gate: PictureGate,
) -> Steered:
    """The VC4 encoder. Told the camera's rate and given fewer pictures, it has a floor lower by as much."""
    fps, stream_fps = rates
    share = stream_fps / fps
    floor_bps = settings.min_bitrate_bps or BITRATE_MIN_BPS

    def setting_bps(of: EncoderDemand) -> int:
        return hardware_bitrate_bps(of.bitrate_bps / (share * of.fps_share), floor_bps)

    encoder = _gated(picamera2.encoders.H264Encoder, gate)(
        bitrate=setting_bps(demand),
        repeat=True,
        iperiod=max(1, round(settings.keyframe_interval_s * stream_fps)),
        framerate=fps,
        profile="constrained baseline",
    )

    def apply(now: EncoderDemand) -> None:
        node = encoder.vd
        gate.apply(now)
        if node is None or node.closed:
            return
        try:
            videodev.set_control(node, videodev.CID_BITRATE, setting_bps(now))
            if now.keyframe:  # `force_key_frame` came with picamera2 0.3.32: Bookworm's 0.3.31 has none
                videodev.set_control(node, videodev.CID_FORCE_KEY_FRAME, 1)
        except OSError as exc:
            log.warning(f"camera: the encoder refused {now}: {exc}")

    profile = hardware_profile_level_id(*size, fps, setting_bps(demand))
    stream_format = StreamFormat(*size, stream_fps, profile, round(floor_bps * share), can_rescale=False)
    return Steered(encoder, stream_format, apply)


def _software(
    picamera2: ModuleType,
    settings: CameraSettings,
    size: tuple[int, int],
    fps: float,
    demand: EncoderDemand,
    gate: PictureGate,
    on_failure: Callable[[Exception], None],
) -> Steered:
    """Our libx264, where there is no hardware encoder."""
    libx264 = H264Encoder(*size, fps, settings.keyframe_interval_s, demand)

    def apply(now: EncoderDemand) -> None:
        libx264.apply(now)
        gate.apply(now)

    encoder = _gated(_software_encoder(picamera2, libx264, on_failure), gate)()
    floor_bps = settings.min_bitrate_bps or SOFTWARE_MIN_BITRATE_BPS
    return Steered(encoder, StreamFormat(*size, fps, libx264.profile_level_id, floor_bps), apply)


def _gated(base: Any, gate: PictureGate) -> Any:
    """The encoder class, with pictures left out before it; picamera2 calls `encode` for each."""

    class Gated(base):  # type: ignore[misc]
        def encode(self, stream: Any, request: Any) -> None:
            if gate.take():
                super().encode(stream, request)

    return Gated


def _size(stream: Any) -> tuple[int, int]:
    width, height = stream["size"]
    return int(width), int(height)


def capture_time_us(timestamp_us: int, first_us: int | None, now_us: int) -> int:
    """When the sensor took it: picamera2 counts from the first picture, whose sensor time `first_us` is.

    The sensor's clock is the monotonic one as long as the board does not sleep; where it is not, now.
    """
    if first_us is not None and 0 <= now_us - (first_us + timestamp_us) <= CLOCK_SLACK_US:
        return first_us + timestamp_us
    return now_us


def _import() -> ModuleType:
    try:
        import picamera2  # noqa: PLC0415  # only there on a Pi, and slow to import
        import picamera2.encoders  # noqa: PLC0415
        import picamera2.outputs  # noqa: PLC0415
    except ImportError as exc:
        raise CameraError(
            "picamera2 is missing: `sudo apt install --no-install-recommends python3-picamera2`, "
            "in an environment with --system-site-packages"
        ) from exc
    return picamera2  # type: ignore[no-any-return]


def _make_output(picamera2: ModuleType, on_frame: Callable[[bytes, int], None]) -> Any:
    class UnitOutput(picamera2.outputs.Output):  # type: ignore[name-defined,misc]
        """Called by picamera2 under a lock of the encoder's, from its thread."""

        def outputframe(
            self,
            frame: bytes,
            keyframe: bool = True,  # noqa: ARG002  # the NAL types are the truth
            timestamp: int | None = None,
            packet: Any = None,  # noqa: ARG002
            audio: bool = False,
        ) -> None:
            if not audio:
                on_frame(bytes(frame), timestamp or 0)

    return UnitOutput()


def _software_encoder(
    picamera2: ModuleType, libx264: H264Encoder, on_failure: Callable[[Exception], None]
) -> Any:
    """A class that puts our libx264 behind picamera2's encoder interface.

    picamera2's own LibavH264Encoder opens x264 with frame threads, which delay pictures, and as ABR without
    VBV, which does not follow a live bitrate.
    """

    class SoftwareEncoder(picamera2.encoders.Encoder):  # type: ignore[name-defined,misc]
        """Called from the camera's thread for each picture."""

        _failed = False

        def _encode(self, stream: Any, request: Any) -> None:
            if self._failed:
                return
            timestamp_us = self._timestamp(request)
            with (
                picamera2.MappedArray(request, stream, reshape=False) as mapped,
                memoryview(mapped.array).cast("B") as pixels,
            ):
                frame = yuv420_frame(pixels, self.width, self.height, self.stride)
            try:
                unit = libx264.encode(frame, 0)
            except CameraError as exc:
                self._failed = True
                on_failure(exc)
                return
            self.outputframe(unit.data, unit.is_keyframe, timestamp_us)

    return SoftwareEncoder


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception as exc:  # noqa: BLE001  # the rest must be released all the same
        log.warning(f"camera: {call.__name__} failed: {exc}")
