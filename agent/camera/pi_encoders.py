"""picamera2's encoders, steered: the hardware encoder on boards up to the Pi 4, our libx264 on a Pi 5.

picamera2 is an argument here: `agent.camera.picamera` alone imports it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from agent.camera import videodev
from agent.camera.encoder import H264Encoder
from agent.camera.gate import PictureGate
from agent.camera.pi_masking import is_masked
from agent.camera.pixels import Layout, video_frame
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import EncoderDemand, StreamFormat, StreamName

log = logging.getLogger(__name__)

BITRATE_STEP_BPS, BITRATE_MIN_BPS, BITRATE_MAX_BPS = 25_000, 1_000_000, 25_000_000
"""The VC4 encoder's steps and top; below 1 Mb/s its firmware may stall, unless the settings know better."""
HARDWARE_PREVIEW_FPS = 10.0
"""The encoder's floor is for its full rate; of so many pictures of 30 it makes a third: 333 kb/s."""
SOFTWARE_MIN_BITRATE_BPS = 100_000


def is_software(picamera2: ModuleType) -> bool:
    """Whether this board has no encoder: then picamera2's two names are one. Raises CameraError."""
    encoders = picamera2.encoders
    if not hasattr(encoders, "LibavH264Encoder"):
        raise CameraError(
            "this picamera2 is older than 0.3.18 and cannot be used",
            "sudo apt update && sudo apt full-upgrade",
        )
    return bool(encoders.H264Encoder is encoders.LibavH264Encoder)


def pixel_formats(picamera2: ModuleType) -> tuple[str, ...]:
    """What the encoders take, the first choice first; the hardware's driver is told YUV420."""
    return ("YUV420", "NV12") if is_software(picamera2) else ("YUV420",)


def hardware_bitrate_bps(bitrate_bps: float, floor_bps: int = BITRATE_MIN_BPS) -> int:
    """What the VC4 encoder takes next to the wanted bitrate."""
    rounded = round(bitrate_bps / BITRATE_STEP_BPS) * BITRATE_STEP_BPS
    return max(floor_bps, min(BITRATE_MAX_BPS, rounded))


@dataclass(frozen=True, slots=True)
class Steered:
    """One of picamera2's encoders, and how it obeys."""

    encoder: Any
    format: StreamFormat
    apply: Callable[[EncoderDemand], None]


def steer(
    picamera2: ModuleType,
    settings: CameraSettings,
    stream: StreamName,
    layout: Layout,
    fps: float,
    demand: EncoderDemand,
    on_failure: Callable[[Exception], None],
) -> Steered:
    """An encoder for one stream of a camera that takes `fps` pictures a second."""
    in_software = is_software(picamera2)
    wanted_fps = fps if stream == "main" else settings.preview.fps
    if stream == "preview" and not in_software:
        wanted_fps = min(wanted_fps, HARDWARE_PREVIEW_FPS)
    stream_fps = min(fps, wanted_fps)
    gate = PictureGate(demand, stream_fps / fps)
    if in_software:
        return _software(picamera2, settings, layout, stream_fps, demand, gate, on_failure)
    return _hardware(picamera2, settings, layout.size, (fps, stream_fps), demand, gate)


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
        enable_sps_framerate=True,  # else the driver reckons with 30, and makes less at any lower rate
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

    stream_format = StreamFormat(*size, stream_fps, round(floor_bps * share), can_rescale=False)
    return Steered(encoder, stream_format, apply)


def _software(
    picamera2: ModuleType,
    settings: CameraSettings,
    layout: Layout,
    fps: float,
    demand: EncoderDemand,
    gate: PictureGate,
    on_failure: Callable[[Exception], None],
) -> Steered:
    """Our libx264, where there is no hardware encoder."""
    libx264 = H264Encoder(*layout.size, fps, settings.keyframe_interval_s, demand)

    def apply(now: EncoderDemand) -> None:
        libx264.apply(now)
        gate.apply(now)

    encoder = _gated(_software_encoder(picamera2, layout, libx264, on_failure), gate)()
    floor_bps = settings.min_bitrate_bps or SOFTWARE_MIN_BITRATE_BPS
    return Steered(encoder, StreamFormat(*layout.size, fps, floor_bps), apply)


def _gated(base: Any, gate: PictureGate) -> Any:
    """The encoder class, with pictures left out before it; picamera2 calls `encode` for each.

    One that did not go by the masks is among them, whatever the reason.
    """

    class Gated(base):  # type: ignore[misc]
        def encode(self, stream: Any, request: Any) -> None:
            if is_masked(request) and gate.take():
                super().encode(stream, request)

    return Gated


def make_output(picamera2: ModuleType, on_frame: Callable[[bytes, int], None]) -> Any:
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
    picamera2: ModuleType,
    layout: Layout,
    libx264: H264Encoder,
    on_failure: Callable[[Exception], None],
) -> Any:
    """A class that puts our libx264 behind picamera2's encoder interface.

    picamera2's own LibavH264Encoder opens x264 with frame threads, which delay pictures, and as ABR without
    VBV, which does not follow a live bitrate.
    """

    class SoftwareEncoder(picamera2.encoders.Encoder):  # type: ignore[name-defined,misc]
        """Called from the camera's thread for each picture."""

        _failed = False

        def _start(self) -> None:
            """Not the base class's: it tells outputs of raw pictures, and 0.3.31 knows no NV12 there."""

        def _encode(self, stream: Any, request: Any) -> None:
            if self._failed:
                return
            timestamp_us = self._timestamp(request)
            try:
                with (
                    picamera2.MappedArray(request, stream, reshape=False) as mapped,
                    memoryview(mapped.array).cast("B") as pixels,
                ):
                    frame = video_frame(layout, pixels)
                unit = libx264.encode(frame, 0)
            except CameraError as exc:
                self._failed = True
                on_failure(exc)
                return
            self.outputframe(unit.data, unit.is_keyframe, timestamp_us)

    return SoftwareEncoder
