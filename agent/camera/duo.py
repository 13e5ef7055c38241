"""Main and preview of the same pictures by libx264, for cameras without encoders of their own."""

from collections.abc import Iterator

import av

from agent.camera.encoder import H264Encoder
from agent.camera.gate import PictureGate
from agent.camera.masking import Masking
from agent.camera.source import Demands, Formats
from agent.config import CameraSettings
from agent.model.media import EncoderDemand, StreamFormat, StreamName, Unit

MIN_BITRATE_BPS = 100_000
"""libx264 goes there, and a small picture stays watchable."""


def preview_size(settings: CameraSettings, width_px: int, height_px: int) -> tuple[int, int]:
    """The settings' width, in the shape of the main picture and never larger than that; even."""
    width = min(settings.preview.width_px, width_px)
    return max(16, width & ~1), max(16, round(height_px * width / width_px) & ~1)


class Duo:
    """One encoder a stream; each picture goes through those that somebody watches.

    `apply` may be called from any thread, `encode` from one.
    """

    def __init__(
        self,
        settings: CameraSettings,
        width_px: int,
        height_px: int,
        fps: float,
        demands: Demands,
        masking: Masking,
    ) -> None:
        """Raise CameraError where the picture's size cannot be encoded."""
        self._masking = masking
        self.formats: Formats = {}
        self._encoders: dict[StreamName, tuple[PictureGate, H264Encoder]] = {}
        self._add("main", (width_px, height_px), fps, 1.0, settings, demands)
        if settings.preview.enabled is not False:
            preview_fps = min(fps, settings.preview.fps)
            size = preview_size(settings, width_px, height_px)
            self._add("preview", size, preview_fps, preview_fps / fps, settings, demands)

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        """Change what a stream's encoder makes; a stream that there is not is passed over."""
        if stream in self._encoders:
            gate, encoder = self._encoders[stream]
            encoder.apply(demand)
            gate.apply(demand)

    def wants(self, capture_us: int) -> bool:
        """Whether anything comes of a picture of this moment: no camera need make, or decode, one in vain."""
        return self._masking.luma.is_due(capture_us) or any(
            gate.is_active for gate, _ in self._encoders.values()
        )

    def encode(self, frame: av.VideoFrame, capture_us: int) -> Iterator[tuple[StreamName, Unit]]:
        """What comes of one picture. Raises CameraError where libx264 fails."""
        wanted = [(stream, encoder) for stream, (gate, encoder) in self._encoders.items() if gate.take()]
        luma = self._masking.luma
        is_looked_at = luma.is_due(capture_us)
        if wanted or is_looked_at:
            frame = self._masking.cover_frame(frame)
        if is_looked_at:
            luma.take_frame(frame, capture_us)
            luma.crop_frame(frame, capture_us)
        if wanted:
            self._masking.write_frame(frame)
        for stream, encoder in wanted:
            yield stream, encoder.encode(frame, capture_us)

    def _add(
        self,
        stream: StreamName,
        size: tuple[int, int],
        fps: float,
        share: float,
        settings: CameraSettings,
        demands: Demands,
    ) -> None:
        encoder = H264Encoder(*size, fps, settings.keyframe_interval_s, demands[stream])
        self._encoders[stream] = (PictureGate(demands[stream], share), encoder)
        floor_bps = settings.min_bitrate_bps or MIN_BITRATE_BPS
        self.formats[stream] = StreamFormat(*size, fps, floor_bps)
