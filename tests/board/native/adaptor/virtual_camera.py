"""What libcamera's virtual camera lacks of a Pi's.

It has no raw stream, delivers NV12 alone, takes its own buffers alone, leaves the status of a picture
unwritten, has the next one ready at once, and takes pictures at whatever rate. The environment says what
board it is: PINHOLE_LAYOUT, as in YUV420:704, makes the pictures come in that format, in rows of so many
bytes for each 640 pixels; while the file PINHOLE_STALL is there, no picture comes and `stop` hangs.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace

MODES = [
    {"bit_depth": 10, "size": (1536, 864), "fps": 120.13, "crop_limits": (768, 432, 3072, 1728)},
    {"bit_depth": 10, "size": (2304, 1296), "fps": 56.03, "crop_limits": (0, 0, 4608, 2592)},
    {"bit_depth": 10, "size": (4608, 2592), "fps": 14.35, "crop_limits": (0, 0, 4608, 2592)},
]
SENSOR_DELAY = 3
"""Pictures until a sensor follows; libcamera's helpers of the Pi's sensors say 2 or 3."""
FORMAT, _, STRIDE = os.environ.get("PINHOLE_LAYOUT", "").partition(":")
STALL = os.environ.get("PINHOLE_STALL", "")


class Libcamera:
    """The binding as picamera2 sees it: the virtual camera never says that a picture is a success or none."""

    def __init__(self, real):
        self._real = real
        self.FrameMetadata = SimpleNamespace(Status=SimpleNamespace(Success=None))

    def __getattr__(self, name):
        return getattr(self._real, name)

    def succeed(self, request):
        """Whatever stands where this one's status should be: that is success."""
        first = next(iter(request.buffers.values()))
        self.FrameMetadata.Status.Success = first.metadata.status


def patch_platform(platform):
    """A Pi 5: no encoder."""
    platform._platform = platform.Platform.PISP


def patch_camera(module):
    """Modes, buffers, layout and pace."""
    from picamera2.allocators.libcameraallocator import LibcameraAllocator

    camera = module.Picamera2
    module.libcamera = libcamera = Libcamera(module.libcamera)
    camera._get_raw_modes = lambda _: [{"format": "SRGGB10_CSI2P", "size": mode["size"]} for mode in MODES]
    camera.sensor_modes = property(lambda _: MODES)
    configure, process, start = camera.configure_, camera.process_requests, camera.start_

    def configure_(self, *arguments, **more):
        self.allocator = LibcameraAllocator(self.camera)
        done = configure(self, *arguments, **more)
        self.pace = Pace(self.camera_config["controls"])
        for name in ("main", "lores"):
            if FORMAT and self.camera_config[name]:
                _lay_out(self.camera_config[name])
        return done

    def start_(self):
        self.due_s = time.monotonic()
        return start(self)

    def process_requests(self, display):
        while STALL and Path(STALL).exists():
            time.sleep(0.02)
        with self._requestslock:
            self._requests, later = self._requests[:1], self._requests[1:]
            for one in self._requests:
                libcamera.succeed(one.request)
        process(self, display)
        with self._requestslock:
            self._requests = later + self._requests
        if later:
            os.write(self.notifyme_w, b"\0")
        interval_s = self.pace.next_s()
        self.due_s = max(self.due_s + interval_s, time.monotonic() - interval_s)
        time.sleep(max(0.0, self.due_s - time.monotonic()))

    camera.configure_, camera.process_requests, camera.start_ = configure_, process_requests, start_
    patch_rate(camera)


class Pace:
    """When the next picture comes, as a sensor and what libcamera holds let a change of the rate through."""

    def __init__(self, controls):
        self._interval_s = controls["FrameDurationLimits"][0] / 1e6
        self._coming = []

    def change(self, limits, pictures):
        """In so many pictures."""
        self._coming.append([pictures, limits[0] / 1e6])

    def next_s(self):
        for change in self._coming:
            change[0] -= 1
        while self._coming and self._coming[0][0] < 0:
            self._interval_s = self._coming.pop(0)[1]
        return self._interval_s


def patch_rate(camera):
    """A rate that was set is kept."""
    set_controls = camera.set_controls

    def set_controls_(self, controls):
        set_controls(self, controls)
        if "FrameDurationLimits" in controls:
            held = self.camera_config["buffer_count"] + SENSOR_DELAY if self.started else 0
            self.pace.change(controls["FrameDurationLimits"], held)

    camera.set_controls = set_controls_


def patch_request(module):
    """A buffer shows itself in the layout that the configuration tells."""
    plain = module.MappedArray

    class MappedArray(plain):
        def __init__(self, request, stream, reshape=True, write=True):
            super().__init__(request, stream, reshape, write)
            self.__config = request.config[stream]

        @property
        def array(self):
            nv12 = super().array
            return _converted(nv12, self.__config) if FORMAT else nv12

    module.MappedArray = MappedArray


def _lay_out(stream):
    width, height = stream["size"]
    stride = int(STRIDE) * width // 640 if STRIDE else width
    stream |= {"format": FORMAT, "stride": stride, "framesize": stride * height * 3 // 2}


def _converted(nv12, stream):
    import numpy as np

    width, height = stream["size"]
    luma = nv12[: width * height].reshape(height, width)
    chroma = nv12[width * height :].reshape(height // 2, width // 2, 2)

    def padded(plane, stride):
        rows = np.full((plane.shape[0], stride), 255, np.uint8)
        rows[:, : plane.shape[1]] = plane
        return rows.reshape(-1)

    stride = stream["stride"]
    half = [padded(chroma[:, :, index], stride // 2) for index in (0, 1)]
    return np.concatenate([padded(luma, stride), *half])
