"""The encoders of the stand-in: real H.264 from libx264."""
# ruff: noqa: ARG002  # the signatures are the original's

import threading

from agent.camera.encoder import H264Encoder as Libx264
from agent.camera.pixels import Layout, video_frame
from agent.model.media import EncoderDemand
from picamera2.outputs import Output

FORCE_KEY_FRAME = 0x009909E5
"""V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME of linux/v4l2-controls.h."""


class Encoder:
    def __init__(self, framerate=30):
        self.width = self.height = self.stride = 0
        self.format = None
        self.firsttimestamp = None
        self._lock = threading.Lock()
        self._output_lock = threading.Lock()
        self._output: list[Output] = []
        self._running = False

    @property
    def output(self):
        return self._output[0]

    @output.setter
    def output(self, value):
        if not isinstance(value, Output):
            raise RuntimeError("Must pass Output")  # noqa: TRY004  # as the original
        self._output = [value]

    def encode(self, stream, request):
        with self._lock:
            if self._running:
                self._encode(stream, request)

    def _encode(self, stream, request):
        raise AssertionError("the base encoder hands on raw pictures: not wanted here")

    def start(self, quality=None):
        with self._lock:
            if self._running:
                raise RuntimeError("Encoder already running")
            self._setup(quality)
            self._running = True
            self.firsttimestamp = None
            for output in self._output:
                output.start()
            self._start()

    def stop(self):
        with self._lock:
            if not self._running:
                raise RuntimeError("Encoder already stopped")
            self._running = False
            self._stop()
            for output in self._output:
                output.stop()

    def _setup(self, quality):
        pass

    def _start(self):
        pass

    def _stop(self):
        pass

    def outputframe(self, frame, keyframe=True, timestamp=None, packet=None, audio=False):
        with self._output_lock:
            for output in self._output:
                output.outputframe(frame, keyframe, timestamp, packet, audio)

    def _timestamp(self, request):
        if self.firsttimestamp is None:
            self.firsttimestamp = request.sensor_us
        return request.sensor_us - self.firsttimestamp


class Device:
    """Stands for the open /dev/video11; the test's `set_control` writes into it."""

    def __init__(self) -> None:
        self.closed = False
        self.controls: list[tuple[int, int]] = []
        self._forced = 0

    def forced_keyframe(self) -> bool:
        """Whether the next picture is to be one: V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME is a button."""
        forced = [control for control in self.controls if control[0] == FORCE_KEY_FRAME]
        is_new = len(forced) > self._forced
        self._forced = len(forced)
        return is_new

    def close(self) -> None:
        self.closed = True


class H264Encoder(Encoder):
    def __init__(
        self,
        bitrate=None,
        repeat=True,
        iperiod=None,
        framerate=None,
        enable_sps_framerate=False,
        qp=None,
        profile=None,
    ):
        super().__init__()
        self.bitrate, self.repeat, self.iperiod, self.framerate = bitrate, repeat, iperiod, framerate
        self.profile, self.enable_sps_framerate = profile, enable_sps_framerate
        self.vd = None

    def _start(self):
        if self.profile not in ("baseline", "constrained baseline", "main", "high"):
            raise RuntimeError("Profile " + self.profile + " not recognised")
        self.vd = Device()
        demand = EncoderDemand(self.bitrate)
        self._libx264 = Libx264(
            self.width, self.height, self.framerate, self.iperiod / self.framerate, demand
        )

    def _stop(self):
        self.vd.close()

    def _encode(self, stream, request):
        from picamera2 import scene

        timestamp_us = self._timestamp(request)
        if scene.encoder_stalled:
            return
        forced = self.vd.forced_keyframe()
        self._libx264.apply(EncoderDemand(self.bitrate, keyframe=forced))
        layout = Layout(self.format, self.width, self.height, self.stride)
        unit = self._libx264.encode(video_frame(layout, memoryview(request.arrays[stream])), 0)
        # The driver's keyframe flag is not to be relied on, so here it is always wrong.
        self.outputframe(unit.data, not unit.is_keyframe, timestamp_us)


class LibavH264Encoder(Encoder):
    def __init__(self, bitrate=None, repeat=True, iperiod=30, framerate=30, qp=None, profile=None):
        super().__init__()
        raise AssertionError("it delays pictures and does not follow a live bitrate")
