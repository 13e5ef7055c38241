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

from agent.camera import color, videodev
from agent.camera.annexb import UnitMaker
from agent.camera.duo import Duo
from agent.camera.losses import Losses
from agent.camera.masking import Masking
from agent.camera.moment import capture_time_us
from agent.camera.source import Demands, Formats, OnUnit
from agent.camera.transcoder import Transcoder
from agent.camera.vui import name_colors
from agent.camera.worker import Worker
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.clock import now_us
from agent.model.media import EncoderDemand, StreamFormat, StreamName, Unit

log = logging.getLogger(__name__)

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 30.0
MIN_BITRATE_BPS = 500_000
"""Of a camera's own encoder, of which nothing is known: below, many make slabs or stop."""
"""A driver's time stamp that is older than this, or from the future, is on another clock than ours."""

MIN_DAMAGED_IN_A_ROW = 5
KEYFRAME_PATIENCE_S = 2.0
"""So long the camera's own encoder may take for one. Who refreshes line by line never gives one."""
REASONS = {
    errno.ENOENT: "there is no such device; is the camera plugged in?",
    errno.ENODEV: "the camera was unplugged",
    errno.EACCES: "no permission; add the user to the group `video`",
    errno.EBUSY: "another program uses the camera; close it",
    errno.ENOTTY: "this is no video device",
    errno.EINVAL: "the camera refuses this size or rate; leave width_px, height_px and fps out",
}
"""Errors of the driver that do not pass, in words; any other costs a picture."""

INTRA = ("mjpeg", "rawvideo")
"""Codecs of which each picture stands alone."""
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


class Decoded:
    """Decodes what the camera gives, and has it encoded at the asked sizes."""

    def __init__(self, stream: "av.VideoStream", duo: Duo, losses: Losses, rotate: int) -> None:
        self._stream, self._duo = stream, duo
        self._is_intra = stream.codec_context.name in INTRA
        self._losses = losses
        # What is not labelled is BT.601: the default of V4L2's sRGB and of UVC's colour matching descriptor.
        self._transcoder = Transcoder(duo, losses, color.SMPTE170M, rotate)
        self.formats = duo.formats
        self.apply = duo.apply

    def units(self, packet: "av.Packet[Any]", capture_us: int) -> Iterator[tuple[StreamName, Unit]]:
        if self._is_intra and not self._duo.wants(capture_us):
            return  # no later picture hangs on this one
        try:
            frames = self._stream.decode(packet)
        except (av.FFmpegError, ValueError) as exc:  # many cameras begin with a broken JPEG
            self._losses.bad(exc, time.monotonic())
            return
        for frame in frames:
            yield from self._transcoder.units(frame, None, capture_us)

    def lost(self) -> None:
        """No picture hangs on another, or the decoder conceals it."""

    def close(self) -> None:
        """Nothing is held."""


class NoKeyframeError(CameraError):
    """The camera's own encoder cannot be joined by a viewer."""


class PassThrough:
    """Hands on the camera's own H.264, and steers its encoder through a second descriptor of the device.

    There is no preview: it would have to be decoded first.
    """

    def __init__(
        self,
        path: str,
        maker: UnitMaker,
        stream_format: StreamFormat,
        demand: EncoderDemand,
        losses: Losses,
        masking: Masking,
    ) -> None:
        self._maker = maker
        self._losses = losses
        self._masking = masking
        self._patience = round(KEYFRAME_PATIENCE_S * stream_format.fps)
        self._demand = demand
        self._pictures_without: int | None = None
        """Since a keyframe was asked for; None where it has come."""
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.formats: Formats = {"main": stream_format}
        self.apply("main", replace(demand, keyframe=True))  # it may have run before

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        if stream != "main":
            return
        self._demand = demand
        try:
            videodev.set_control(self._fd, videodev.CID_BITRATE, demand.bitrate_bps)
            if demand.keyframe:
                self._pictures_without = self._pictures_without or 0
                videodev.set_control(self._fd, videodev.CID_FORCE_KEY_FRAME, 1)
        except OSError as exc:
            log.warning(f"camera: the encoder refused {demand}: {exc}")

    def units(self, packet: "av.Packet[Any]", capture_us: int) -> Iterator[tuple[StreamName, Unit]]:
        unit = self._maker.make(bytes(packet), capture_us)
        if not self._masking.is_clear:
            return  # until the camera is started anew, and its pictures are decoded
        if unit and unit.is_keyframe:
            self._pictures_without = None
        elif self._pictures_without is not None:
            self._pictures_without += 1
            if self._pictures_without > self._patience:
                raise NoKeyframeError(
                    f"the camera's own encoder gave no keyframe within {KEYFRAME_PATIENCE_S:g} s of being "
                    "asked; from now on its pictures are decoded and encoded here"
                )
        if unit:
            self._losses.good()
            yield "main", unit

    def lost(self) -> None:
        """The following pictures hang on one that did not come."""
        if self._pictures_without is None:
            self.apply("main", replace(self._demand, keyframe=True))

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
        masking: Masking | None = None,
    ) -> None:
        self._settings = settings
        self._masking = masking or Masking()
        self._path = path
        self._probe = probe
        self._open_container = open_container
        self._container: Any = None
        self._chain: Decoded | PassThrough | None = None
        self._worker: Worker | None = None
        self._losses = Losses(1)
        self._name = ""
        """Its model and the port to which it is plugged: numbers of /dev/video change."""
        self._must_decode = settings.rotate != 0
        """Its own H.264 cannot be handed on."""

    @property
    def damaged(self) -> int:
        return self._losses.total

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
        self._name = f"{device.card}, {device.bus}"
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

    def _build(self, stream: Any, format_name: str, demands: Demands) -> Decoded | PassThrough:
        fps = float(stream.average_rate or self._settings.fps or FPS)
        given = stream.codec_context
        self._masking.begin(f"{self._name}, {given.width}x{given.height}")  # cameras crop in some sizes
        # About a second of nothing but damage is a failure, and not one that silence explains.
        losses = self._losses = Losses(max(MIN_DAMAGED_IN_A_ROW, round(fps)))
        is_ours = self._must_decode or not self._masking.is_clear or self._masking.luma.is_wanted
        self._masking.is_bypassed = format_name == "h264" and not is_ours
        if self._masking.is_bypassed:
            stream_format = StreamFormat(
                given.width,
                given.height,
                fps,
                min_bitrate_bps=self._settings.min_bitrate_bps or MIN_BITRATE_BPS,
                can_skip=False,
                can_rescale=False,
            )
            namer = None if given.colorspace != color.UNSPECIFIED else name_colors
            maker = UnitMaker(given.extradata or b"", namer)
            return PassThrough(self._path, maker, stream_format, demands["main"], losses, self._masking)
        width, height = (
            self._settings.width_px or given.width & ~1,
            self._settings.height_px or given.height & ~1,
        )
        given.thread_count = 1  # more threads delay pictures, and one decodes JPEG quickly enough
        duo = Duo(self._settings, width, height, fps, demands, self._masking)
        return Decoded(stream, duo, losses, self._settings.rotate)

    def _reader(
        self,
        container: Any,
        stream: Any,
        chain: Decoded | PassThrough,
        on_unit: OnUnit,
    ) -> Callable[[threading.Event], None]:
        def body(stopping: threading.Event) -> None:
            for packet in self._packets(container, stream, chain):
                capture_us = capture_time_us(_stamp_us(packet), now_us())
                try:
                    for name, unit in chain.units(packet, capture_us):
                        if stopping.is_set():
                            return
                        on_unit(name, unit)
                except NoKeyframeError:
                    self._must_decode = True
                    raise

        return body

    def _packets(
        self, container: Any, stream: Any, chain: Decoded | PassThrough
    ) -> Iterator["av.Packet[Any]"]:
        """What the driver gives. Raises CameraError where it is gone, or fails too often in a row."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (OSError, av.FFmpegError) as exc:
                if exc.errno in REASONS:
                    raise self._translated(exc) from exc
                self._losses.bad(exc, time.monotonic())
                chain.lost()
                packets = container.demux(stream)  # an error ends the one before
                continue
            if packet is None:
                return
            if packet.size:
                yield packet
            elif packet.pts is not None:  # the driver's buffer was bad; to a decoder it would mean the end
                self._losses.bad("the driver gave an empty buffer", time.monotonic())
                chain.lost()

    def _release(self) -> None:
        chain, self._chain = self._chain, None
        container, self._container = self._container, None
        if chain:
            chain.close()
        if container:
            with contextlib.suppress(av.FFmpegError):
                container.close()

    def _translated(self, exc: Exception) -> CameraError:
        reason = REASONS.get(getattr(exc, "errno", None) or 0, str(exc))
        return CameraError(f"{self._path}: {reason}")


def _stamp_us(packet: Any) -> int | None:
    if packet.pts is None or packet.time_base is None:
        return None
    return int(packet.pts * packet.time_base * 1_000_000)
