"""What is laid over a camera's pictures now: decided on the event loop, drawn by the camera's threads."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import av
from av.video.reformatter import VideoReformatter

from agent.camera import color, mask
from agent.camera.luma import LumaTap
from agent.camera.mask import Plane, Polygon, Runs
from agent.camera.overlay import Overlay, label
from agent.camera.pixels import Layout
from agent.camera.upright import Chain
from agent.model.labels import Area

COARSE = 64
"""Cells across and down, by which it is asked whether something lies behind a mask."""
HIDDEN_SHARE = 0.25
"""A sensor's network sees through the masks: of what it names more than this share must not be covered."""
MAX_KNOWN = 8
"""Sizes for which a cover is kept ready: main and preview, and what a film changes to."""


@dataclass(frozen=True, slots=True)
class Cover:
    """What must not be seen."""

    polygons: tuple[Polygon, ...] = ()
    is_blank: bool = False
    """The whole picture."""
    sight: str = ""
    """Of what the polygons are drawn: which camera, and what it shows of its sensor. Empty for anything."""

    @property
    def is_clear(self) -> bool:
        return not (self.polygons or self.is_blank)


CLEAR, BLANK = Cover(), Cover(is_blank=True)


class Masking:
    """The one place by which every picture goes before its encoder, and before anybody else who reads it.

    `show` may be called from any thread, and holds from the next picture on; a picture is drawn on by the
    thread of its camera alone.
    """

    def __init__(self, cover: Cover = CLEAR, overlay: Overlay | None = None) -> None:
        self.is_bypassed = False
        """The camera that runs hands on what it encodes by itself: a cover holds from its next start on."""
        self.luma = LumaTap()
        """Who looks at what is left of them, for motion."""
        self._cover, self._overlay = cover, overlay
        self.sight = ""
        """What the camera shows that runs, or ran last; empty before its first start."""
        self._labels: dict[object, tuple[Runs, ...]] = {}
        self._known: dict[object, tuple[Runs, ...]] = {}
        self._coarsely: tuple[Cover, mask.Spans] | None = None
        self._reformatter = VideoReformatter()
        self._copier: Chain | None = None

    @property
    def is_clear(self) -> bool:
        """Nothing is drawn: pictures may pass as they are."""
        return self._overlay is None and self._cover.is_clear

    def show(self, cover: Cover) -> None:
        """From the next picture on."""
        self._cover = cover

    def begin(self, sight: str) -> None:
        """A camera starts that shows this: before its first picture."""
        self.sight = sight

    @property
    def _now(self) -> Cover:
        cover = self._cover
        return BLANK if cover.sight and cover.sight != self.sight else cover

    def hides(self, area: Area) -> bool:
        """Whether so much of this is covered that what is in it may be behind the masks."""
        cover = self._now
        if cover.is_clear or cover.is_blank:
            return cover.is_blank
        spans = self._coarse(cover)
        left, right = (
            int(area.left * COARSE),
            max(int(area.left * COARSE) + 1, math.ceil(area.right * COARSE)),
        )
        top, bottom = int(area.top * COARSE), max(int(area.top * COARSE) + 1, math.ceil(area.bottom * COARSE))
        covered = sum(
            max(0, min(right, last) - max(left, first)) for row in spans[top:bottom] for first, last in row
        )
        return covered > HIDDEN_SHARE * (right - left) * (bottom - top)

    def _coarse(self, cover: Cover) -> mask.Spans:
        known = self._coarsely
        if known is None or known[0] is not cover:
            known = self._coarsely = cover, mask.rasterize(cover.polygons, COARSE, COARSE, margin_px=0)
        return known[1]

    def cover_pixels(self, layout: Layout, pixels: memoryview) -> None:
        """Draw into a buffer of libcamera's. Raises ValueError where it is too short."""
        cover = self._now
        if not cover.is_clear:
            for runs in self._runs(cover, layout.size, layout, layout.planes):
                mask.paint(pixels, runs)

    def write_pixels(self, layout: Layout, pixels: memoryview) -> None:
        """The overlay: behind who looks at pictures, since its clock moves."""
        for runs in self._label(layout.size, layout, layout.planes):
            mask.paint(pixels, runs)

    def cover_frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture itself where nothing is drawn; else a copy as the encoders take it.

        A decoder still reads what it has given out, so nothing may be drawn there. Raises av.FFmpegError.
        """
        cover = self._now
        if cover.is_clear and self._overlay is None:
            return frame
        own = self._copy(frame)
        if not cover.is_clear:
            _paint(own, self._runs(cover, (own.width, own.height), _strides(own), lambda: _planes(own)))
        return own

    def write_frame(self, own: av.VideoFrame) -> None:
        """The overlay, into what `cover_frame` gave."""
        if self._overlay:
            _paint(own, self._label((own.width, own.height), _strides(own), lambda: _planes(own)))

    def _runs(
        self, cover: Cover, size: tuple[int, int], layout: object, planes: Callable[[], tuple[Plane, ...]]
    ) -> tuple[Runs, ...]:
        key = cover, size, layout
        found = self._known.get(key)
        if found is None:
            spans = mask.everything(*size) if cover.is_blank else mask.rasterize(cover.polygons, *size)
            found = tuple(mask.runs(spans, plane) for plane in planes())
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = found
        return found

    def _label(
        self, size: tuple[int, int], layout: object, planes: Callable[[], tuple[Plane, ...]]
    ) -> tuple[Runs, ...]:
        if self._overlay is None:
            return ()
        text = self._overlay.line(time.time())
        key = text, size, layout
        found = self._labels.get(key)
        if found is None:
            made = label(text, self._overlay.corner, *size)
            found = tuple(made.runs(plane) for plane in planes()) if made else ()
            if len(self._labels) >= MAX_KNOWN:
                self._labels.clear()
            self._labels[key] = found
        return found

    def _copy(self, frame: av.VideoFrame) -> av.VideoFrame:
        color.label(frame, color.usual_matrix(frame.height))
        colors = color.colors_of(frame)
        made = color.as_encoded(self._reformatter, frame, frame.width, frame.height)
        if made is frame:
            if self._copier is None or not self._copier.takes(frame):
                self._copier = Chain(frame, "copy")  # into buffers that it uses again: ten times as quick
            made = self._copier.make(frame)
        made.color_primaries, made.color_trc = colors.primaries, colors.transfer
        return made


def _planes(frame: av.VideoFrame) -> tuple[Plane, ...]:
    return tuple(
        Plane(plane.width, plane.height, plane.line_size, is_chroma=index > 0)
        for index, plane in enumerate(frame.planes)
    )


def _strides(frame: av.VideoFrame) -> tuple[int, ...]:
    return tuple(plane.line_size for plane in frame.planes)


def _paint(own: av.VideoFrame, what: tuple[Runs, ...]) -> None:
    for plane, runs in zip(own.planes, what, strict=False):  # a label for which there is no room is none
        mask.paint(memoryview(plane).cast("B"), runs)
