"""libx264 by PyAV, for cameras without an encoder: one picture in, one access unit out, at once."""

import math
import os
import threading
from fractions import Fraction

import av
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from agent.camera import color
from agent.errors import CameraError
from agent.model.h264 import is_idr
from agent.model.media import EncoderDemand, Unit

VBV_S = 0.3
"""The decoder buffer in seconds of the bitrate: it bounds an IDR, and so how long one takes to send."""
HEADROOM = 4
"""x264 cannot raise the bitrate above the VBV rate it was opened with, so it gets this much room."""
VBV_MISMATCH = 1.25
"""From this ratio between asked and opened bitrate on, the next IDR renews the VBV."""
VBV_LOSS = 0.05
"""What x264 falls short by for each time the opened bitrate: measured, 10 % at three times."""
SLICE_THREADS_FROM_PX = 1280 * 720 + 1
"""Up to 720p one thread is quick enough and keeps a picture in one slice; frame threads would delay."""
MAX_SLICE_THREADS = 4

# H.264 table A-1 from 3.1 on, which every browser takes: level_idc, macroblocks a second and a picture.
_LEVELS = ((31, 108_000, 3_600), (32, 216_000, 5_120), (40, 245_760, 8_192), (42, 522_240, 8_704))


def level_idc(width_px: int, height_px: int, fps: float) -> int:
    """The lowest H.264 level from 3.1 on that holds this picture (table A-1); 5.1 beyond 4.2."""
    macroblocks = math.ceil(width_px / 16) * math.ceil(height_px / 16)
    for level, rate, size in _LEVELS:
        if macroblocks <= size and macroblocks * fps <= rate:
            return level
    return 51


class H264Encoder:
    """Constrained baseline, no B-frames, SPS and PPS before each IDR, colours named in the SPS.

    `width_px` and `height_px` are the full size, which a demand may scale.

    The bitrate is live: x264 is opened as CBR with `HEADROOM`, where it follows a new bitrate within a few
    pictures (opened as plain ABR it takes minutes: it settles accounts with its whole past). Its VBV size is
    fixed in bits, so an IDR that comes anyway renews the encoder where the bitrate has moved far from what it
    was opened for, and a move beyond `HEADROOM` either way renews it at once.
    `apply` may be called from any thread, `encode` from one.
    """

    def __init__(
        self, width_px: int, height_px: int, fps: float, keyframe_interval_s: float, demand: EncoderDemand
    ) -> None:
        """Raise CameraError where the picture's size cannot be encoded."""
        if width_px < 16 or height_px < 16 or width_px % 2 or height_px % 2:
            raise CameraError(f"{width_px}x{height_px} cannot be encoded: both must be even and 16 or more")
        self.width_px, self.height_px, self.fps = width_px, height_px, fps
        self._level_idc = level_idc(width_px, height_px, fps)
        self._keyframe_every = max(1, round(keyframe_interval_s * fps))
        self._keyframe_wanted = threading.Event()
        self._since_keyframe = self._keyframe_every
        self._is_active = False
        self._colors = self._wanted_colors = color.Colors()
        self._is_broken = False
        self._reformatter = VideoReformatter()
        self.apply(demand)
        self._open()

    def apply(self, demand: EncoderDemand) -> None:
        """Take bitrate and size, and remember a wanted keyframe, for the next picture.

        A new size starts with a keyframe, and so does what comes after a pause.
        """
        # x264 believes in its full frame rate: of fewer pictures each may be larger.
        self._bitrate_bps = round(demand.bitrate_bps / demand.fps_share)
        self._wanted_size = _scaled(self.width_px, demand.scale), _scaled(self.height_px, demand.scale)
        if demand.keyframe or (demand.is_active and not self._is_active):
            self._keyframe_wanted.set()
        self._is_active = demand.is_active

    def encode(self, frame: av.VideoFrame, capture_us: int) -> Unit:
        """Encode a picture of any size, format and colours; `frame.pts` and `pict_type` are overwritten.

        Raises CameraError where libx264 fails; the next picture is then a keyframe of a new one.
        """
        color.label(frame, color.usual_matrix(frame.height))
        self._wanted_colors = color.colors_of(frame)
        try:
            return self._encode(frame, capture_us)
        except (av.FFmpegError, ValueError) as exc:
            self._is_broken = True
            raise CameraError(f"libx264 failed: {exc}") from exc

    def _encode(self, frame: av.VideoFrame, capture_us: int) -> Unit:
        keyframe = self._take_keyframe()
        if keyframe:
            self._renew()
        frame = color.as_encoded(self._reformatter, frame, *self._size)
        self._context.bit_rate = self._compensated_bps()
        frame.pts, frame.time_base = self._pts, self._context.time_base
        self._pts += 1
        # A decoded picture still carries the type it had in its file, which x264 would take for an order.
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = self._context.encode(frame)
        if len(packets) != 1:
            raise CameraError(f"libx264 gave {len(packets)} packets for one picture")
        data = bytes(packets[0])
        unit = Unit(data, capture_us, 0, is_keyframe=is_idr(data))
        self._since_keyframe = 1 if unit.is_keyframe else self._since_keyframe + 1
        return unit

    def _take_keyframe(self) -> bool:
        wanted = self._keyframe_wanted.is_set()
        if wanted:  # never clear what `apply` may have set just now
            self._keyframe_wanted.clear()
        within_headroom = 1 / HEADROOM <= self._bitrate_bps / self._opened_bps <= HEADROOM
        is_due = self._since_keyframe >= self._keyframe_every
        return wanted or self._is_outdated() or not within_headroom or is_due

    def _is_outdated(self) -> bool:
        return self._is_broken or (self._wanted_size, self._wanted_colors) != (self._size, self._colors)

    def _renew(self) -> None:
        ratio = self._bitrate_bps / self._opened_bps
        if self._is_outdated() or not 1 / VBV_MISMATCH < ratio < VBV_MISMATCH:
            self._open()

    def _compensated_bps(self) -> int:
        """What to ask of x264 so that it makes what is wanted: a VBV of a lower rate holds it down."""
        excess = max(0.0, self._bitrate_bps / self._opened_bps - 1)
        return min(round(self._bitrate_bps * (1 + VBV_LOSS * excess)), HEADROOM * self._opened_bps)

    def _open(self) -> None:
        self._opened_bps, self._size = self._bitrate_bps, self._wanted_size
        self._colors = self._wanted_colors
        width, height = self._size
        self._pts = 0
        ceiling_bps = HEADROOM * self._opened_bps
        # x264 wants room for one picture at the ceiling, and says so in its log otherwise.
        vbv_bits = max(int(self._opened_bps * VBV_S), math.ceil(ceiling_bps / self.fps) + 1000)
        large = width * height >= SLICE_THREADS_FROM_PX
        try:
            context = av.CodecContext.create("libx264", "w")
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.colorspace, context.color_range = color.MATRIX, color.LIMITED
            context.color_primaries, context.color_trc = self._colors.primaries, self._colors.transfer
            context.framerate = Fraction(self.fps).limit_denominator(1001)
            context.time_base = 1 / context.framerate
            context.bit_rate = ceiling_bps
            context.gop_size = 2**30  # `_take_keyframe` counts, so that an IDR can renew the VBV
            context.max_b_frames = 0
            context.thread_count = min(MAX_SLICE_THREADS, os.cpu_count() or 1) if large else 1
            context.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "profile": "baseline",
                "level": str(self._level_idc),
                "maxrate": str(ceiling_bps),
                "bufsize": str(vbv_bits),
                "sc_threshold": "0",  # a scene cut must not cost an IDR that nobody asked for
                "forced-idr": "1",
            }
            context.open()
        except (av.FFmpegError, ValueError) as exc:
            raise CameraError(f"libx264 cannot encode {width}x{height} at {self.fps:g} fps: {exc}") from exc
        context.bit_rate = self._bitrate_bps
        self._context, self._is_broken = context, False


def _scaled(side_px: int, scale: float) -> int:
    return max(16, round(side_px * scale) & ~1)
