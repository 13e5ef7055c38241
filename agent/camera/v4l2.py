"""USB cameras, and whatever else captures through V4L2, read by PyAV."""

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import av

from agent.camera import videodev
from agent.camera.annexb import UnitMaker, profile_level_id
from agent.camera.duo import Duo
from agent.camera.source import Demands, Formats, OnUnit
from agent.camera.worker import Worker
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import AccessUnit, EncoderDemand, StreamFormat, StreamName

log = logging.getLogger(__name__)

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 30.0
MIN_BITRATE_BPS = 500_000
"""Of a camera's own encoder, of which nothing is known: below, many make slabs or stop."""
CLOCK_SLACK_US = 1_000_000
"""A driver's time stamp that is older than this, or from the future, is on another clock than ours."""

_RAW = {"YUYV": "yuyv422", "NV12": "nv12", "YU12": "yuv420p", "UYVY": "uyvy422", "RGB3": "rgb24"}
"""FourCC to FFmpeg's name, the cheapest for us first."""


def usb_cameras() -> list[videodev.Device]:
    """USB cameras that are attached and have a format we can read."""
    return [device for device in videodev.devices() if device.is_usb and input_format(device)]


def input_format(device: videodev.Device) -> str | None:
    """FFmpeg's `input_format` to read from this device, or None.

    The camera's own H.264 is taken where its bitrate and keyframes can be controlled, else MJPEG (large
    pictures at full rate over USB 2), else raw pictures.
    """
    if "H264" in device.formats and {videodev.CID_BITRATE, videodev.CID_FORCE_KEY_FRAME} <= device.controls:
        return "h264"
    if {"MJPG", "JPEG"} & set(device.formats):
        return "mjpeg"
    return next((name for fourcc, name in _RAW.items() if fourcc in device.formats), None)


class Transcoder:
    """Decodes what the camera gives, scales it to the asked sizes and encodes it."""

    def __init__(self, stream: "av.VideoStream", duo: Duo) -> None:
        self._stream = stream
        self._duo = duo
        self.formats = duo.formats
        self.apply = duo.apply

    def units(self, packet: "av.Packet[Any]", capture_us: int) -> Iterator[tuple[StreamName, AccessUnit]]:
        try:
            frames = self._stream.decode(packet)
        except av.error.InvalidDataError:
            return  # many cameras begin with a broken JPEG; silence is noticed by who runs the camera
        for frame in frames:
            yield from self._duo.encode(frame, capture_us)

    def close(self) -> None:
        """Nothing is held."""


class PassThrough:
    """Hands on the camera's own H.264, and steers its encoder through a second descriptor of the device.

    There is no preview: it would have to be decoded first.
    """

    def __init__(
        self, path: str, maker: UnitMaker, stream_format: StreamFormat, demand: EncoderDemand
    ) -> None:
        self._maker = maker
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.formats: Formats = {"main": stream_format}
        self.apply("main", demand)

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        if stream != "main":
            return
        try:
            videodev.set_control(self._fd, videodev.CID_BITRATE, demand.bitrate_bps)
            if demand.keyframe:
                videodev.set_control(self._fd, videodev.CID_FORCE_KEY_FRAME, 1)
        except OSError as exc:
            log.warning(f"camera: the encoder refused {demand}: {exc}")

    def units(self, packet: "av.Packet[Any]", capture_us: int) -> Iterator[tuple[StreamName, AccessUnit]]:
        unit = self._maker.make(bytes(packet), capture_us)
        if unit:
            yield "main", unit

    def close(self) -> None:
        os.close(self._fd)


class V4l2Camera:
    """See `agent.camera.source.Camera`."""

    kind = "v4l2"
    has_stamp = False

    def __init__(
        self,
        settings: CameraSettings,
        path: str,
        probe: Callable[[str], videodev.Device] = videodev.probe,
        open_container: Callable[..., Any] = av.open,
    ) -> None:
        self._settings = settings
        self._path = path
        self._probe = probe
        self._open_container = open_container
        self._container: Any = None
        self._chain: Transcoder | PassThrough | None = None
        self._worker: Worker | None = None

    def start(self, demands: Demands, on_unit: OnUnit, on_failure: Callable[[Exception], None]) -> Formats:
        try:
            format_name = self._format()
            self._container = self._open(format_name)
            stream = self._container.streams.video[0]
            chain = self._build(stream, format_name, demands)
        except (OSError, av.FFmpegError) as exc:
            self._release()
            raise self._translated(exc) from exc
        except CameraError:
            self._release()
            raise
        self._chain = chain
        body = self._reader(self._container, stream, chain, on_unit)
        self._worker = Worker("camera-v4l2", body, on_failure)
        self._worker.start()
        return chain.formats

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        chain = self._chain
        if chain:
            chain.apply(stream, demand)

    def stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker:
            worker.stop()  # where it hangs, the device is still being read: nothing may be closed
        self._release()

    def _format(self) -> str:
        device = self._probe(self._path)
        format_name = input_format(device) if device.captures else None
        if format_name is None:
            offers = ", ".join(device.formats) or "nothing"
            raise CameraError(
                f"{self._path} ({device.card}) is no camera that we can read: it offers {offers}"
            )
        log.info(f"camera: reading {format_name} from {device.card} at {self._path}")
        return format_name

    def _open(self, format_name: str) -> Any:
        width, height = self._settings.width_px or WIDTH_PX, self._settings.height_px or HEIGHT_PX
        options = {
            "input_format": format_name,
            "video_size": f"{width}x{height}",
            "framerate": f"{self._settings.fps or FPS:g}",
            "fflags": "nobuffer",
        }
        return self._open_container(self._path, format="v4l2", options=options)

    def _build(self, stream: Any, format_name: str, demands: Demands) -> Transcoder | PassThrough:
        fps = float(stream.average_rate or self._settings.fps or FPS)
        given = stream.codec_context
        if format_name == "h264":
            headers = given.extradata or b""
            plain = StreamFormat(
                given.width,
                given.height,
                fps,
                min_bitrate_bps=self._settings.min_bitrate_bps or MIN_BITRATE_BPS,
                can_skip=False,
                can_rescale=False,
            )
            known = replace(plain, profile_level_id=profile_level_id(headers) or plain.profile_level_id)
            return PassThrough(self._path, UnitMaker(fps, headers), known, demands["main"])
        width, height = (
            self._settings.width_px or given.width & ~1,
            self._settings.height_px or given.height & ~1,
        )
        given.thread_count = 1  # more threads delay pictures, and one decodes JPEG quickly enough
        return Transcoder(stream, Duo(self._settings, width, height, fps, demands))

    def _reader(
        self,
        container: Any,
        stream: Any,
        chain: Transcoder | PassThrough,
        on_unit: OnUnit,
    ) -> Callable[[threading.Event], None]:
        def body(stopping: threading.Event) -> None:
            try:
                for packet in container.demux(stream):
                    capture_us = capture_time_us(packet, time.monotonic_ns() // 1000)
                    for name, unit in chain.units(packet, capture_us):
                        if stopping.is_set():
                            return
                        on_unit(name, unit)
            except (OSError, av.FFmpegError) as exc:
                raise self._translated(exc) from exc

        return body

    def _release(self) -> None:
        chain, self._chain = self._chain, None
        container, self._container = self._container, None
        if chain:
            chain.close()
        if container:
            with contextlib.suppress(av.FFmpegError):
                container.close()

    def _translated(self, exc: Exception) -> CameraError:
        reasons = {
            errno.ENOENT: "there is no such device; is the camera plugged in?",
            errno.ENODEV: "the camera was unplugged",
            errno.EACCES: "no permission; add the user to the group `video`",
            errno.EBUSY: "another program uses the camera; close it",
            errno.ENOTTY: "this is no video device",
            errno.EINVAL: "the camera refuses this size or rate; leave width_px, height_px and fps out",
        }
        reason = reasons.get(getattr(exc, "errno", None) or 0, str(exc))
        return CameraError(f"{self._path}: {reason}")


def capture_time_us(packet: Any, now_us: int) -> int:
    """The driver's time stamp where it is on the monotonic clock (as UVC's is), else now."""
    if packet.pts is None or packet.time_base is None:
        return now_us
    stamp_us = int(packet.pts * packet.time_base * 1_000_000)
    return stamp_us if 0 <= now_us - stamp_us <= CLOCK_SLACK_US else now_us
