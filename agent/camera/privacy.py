"""Which masks are in force: from the disk, by command, and what becomes of the picture in a doubt."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from agent.camera.capture import Capture
from agent.camera.mask_file import KeptMasks, MaskFile, MaskFileError, View
from agent.camera.masking import BLANK, Cover, Masking
from agent.camera.overlay import Overlay
from agent.config import CameraSettings
from agent.errors import ConfigError
from agent.model.command import CommandError, Order
from agent.model.event import EventKind
from agent.model.masks import MaskState, SetMasks, ShownMasks, parse_polygon
from agent.model.media import STREAMS, Need
from agent.model.sections import MasksSection
from agent.model.threads import HungCallError, call_in_thread

log = logging.getLogger(__name__)

SET_AGAIN = "set the masks anew: on the camera's page under Privacy masks, or by the command set-masks"

KEEP_S = 10.0
"""A card may take a second for the masks, and one that fails may never answer."""
UNSURE = "the disk did not answer when masks were set, so that nobody knows which ones it has"

OTHER_SIGHT = (
    "another camera runs than the masks' one, "
    "or it shows another part of its sensor, as after a change of fps"
)


def view_of(settings: CameraSettings) -> View:
    """What the masks are drawn for."""
    width, height = settings.width_px, settings.height_px
    return View(
        source=settings.source,
        rotate=settings.rotate,
        sensor_mode=settings.image.sensor_mode,
        shape=str(Fraction(width, height)) if width and height else "",
    )


def read(file: MaskFile, view: View, *, has_head: bool) -> tuple[KeptMasks | None, str]:
    """What is kept, and why it cannot be relied on; no words where it can."""
    try:
        kept = file.load()
    except MaskFileError as exc:
        return None, str(exc)
    return kept, _misfit(kept, view, has_head=has_head) if kept and kept.polygons else ""


def _misfit(kept: KeptMasks, view: View, *, has_head: bool) -> str:
    if kept.view != view:
        return "the settings show another view (source, rotate, size or sensor_mode) than the masks' one"
    if not kept.sight:
        return "the masks are of another release, which did not keep of which camera they are"
    if has_head and not kept.preset:
        return "the camera has a head now, and its masks belong to no preset of it"
    if kept.preset and not has_head:
        return f"the masks belong to preset {kept.preset} of a head that the settings do not name"
    if kept.is_moved:
        return f"preset {kept.preset}, to which the masks belong, was kept anew or forgotten"
    return ""


@dataclass(frozen=True, slots=True)
class Around:
    """What a change of the masks concerns."""

    on_event: Callable[[EventKind, str, dict[str, str | int | float | bool]], None]
    on_change: Callable[[], None]
    """The section is another."""
    capture: Callable[[], Capture]
    """Built after this."""
    on_covered: Callable[[], None]
    """What was kept of the pictures before, to be shown again, counts no more."""
    now: Callable[[], float]
    """Unix time."""


class Privacy:
    """For the event loop's thread only. What it says holds from the camera's next picture on."""

    def __init__(
        self,
        file: MaskFile,
        settings: CameraSettings,
        around: Around,
        *,
        has_head: bool,
        name: str = "",
    ) -> None:
        """Read the disk: before the camera is opened, which takes `masking`. `name` is for the overlay."""
        self._file, self._around = file, around
        self.masking = Masking(overlay=Overlay.wanted(settings.overlay, name))
        self._changing = asyncio.Lock()
        self._view, self._has_head = view_of(settings), has_head
        self._kept: KeptMasks | None = None
        self._problem = ""
        self._place: int | None = None
        self._told_sight = ""
        self._kept, self._problem = read(file, self._view, has_head=has_head)
        self.masking.show(self._cover())
        if self._problem:
            log.error(f"masks: {self._problem}: the picture is blank; {SET_AGAIN}")
            around.on_event("mask-failed", f"the picture is blank: {self._problem}", {})

    @property
    def state(self) -> MaskState:
        """For people."""
        cover = self._cover()
        return "blank" if cover.is_blank or self._is_other_sight else "in-force" if cover.polygons else "none"

    def section(self) -> MasksSection:
        """For the state: everybody may know that a picture is blank, and nobody here what is covered."""
        version, since = (self._kept.version, self._kept.set_at) if self._kept else (0, 0.0)
        return MasksSection(self.state, self._words(), version, since)

    def on_place(self, preset: int | None) -> None:
        """Where the head stands: at a preset, or on its way, or nobody knows."""
        if preset != self._place:
            before, self._place = self.state, preset
            self.masking.show(self._cover())
            if self.state != before:
                self._around.on_change()

    def look(self) -> None:
        """The camera has started, or stopped: where it shows something else, that is told once."""
        sight = self.masking.sight
        if self._is_other_sight and not self._problem and sight != self._told_sight:
            self._told_sight = sight
            log.error(
                f"masks: {self._words()}; the masks are of {self._kept and self._kept.sight}; now: {sight}"
            )
            self._around.on_event("mask-failed", f"the picture is blank: {OTHER_SIGHT}", {})

    async def on_other_preset(self, preset: int) -> None:
        """It is another place from now on, or none. Raises CommandError where that cannot be kept."""
        async with self._changing:
            kept = self._kept
            if kept is None or not kept.polygons or kept.preset != preset or kept.is_moved:
                return
            moved = kept.model_copy(update={"version": self._file.next_version(), "is_moved": True})
            await self._keep(moved)
            self._kept = moved
            self._blank(self._problem or _misfit(moved, self._view, has_head=self._has_head))

    async def _keep(self, masks: KeptMasks) -> None:
        """On disk; until then what was in force stays so."""
        try:
            await call_in_thread("masks", KEEP_S, partial(self._file.keep, masks))
        except ConfigError as exc:
            raise CommandError("not-kept", f"nothing was changed: {exc}") from exc
        except HungCallError as exc:
            self._blank(UNSURE)
            raise CommandError("not-kept", f"the picture is blank now: {UNSURE}; {SET_AGAIN}") from exc

    def _blank(self, problem: str) -> None:
        self._problem = problem
        self.masking.show(self._cover())
        self._around.on_event("mask-failed", f"the picture is blank: {problem}", {})
        self._around.on_change()

    def show(self, _order: Order, _wish: object) -> ShownMasks:
        """The command `masks`."""
        kept = self._kept
        return ShownMasks(
            state=self.state,
            problem=self._words(),
            polygons=kept.polygons if kept else (),
            preset=kept.preset if kept else 0,
            version=kept.version if kept else 0,
            set_at=kept.set_at if kept else 0.0,
            set_by=kept.set_by if kept else "",
        )

    async def set(self, order: Order, wish: SetMasks) -> ShownMasks:
        """The command `set-masks`, one after the other; what it answers is in force. Raises CommandError."""
        async with self._changing:
            await self._set(order, wish)
            return self.show(order, wish)

    async def _set(self, order: Order, wish: SetMasks) -> None:
        self._check(wish)
        kept = KeptMasks(
            version=self._file.next_version(),
            polygons=wish.polygons,
            preset=wish.preset,
            view=self._view,
            set_at=self._around.now(),
            set_by=order.user[:256],
            sight=self.masking.sight,
        )
        await self._keep(kept)
        self._kept, self._problem = kept, ""
        self.masking.show(self._cover())
        capture = self._around.capture()
        if self.masking.is_bypassed and not self.masking.is_clear:
            capture.restart()
        self._around.on_covered()
        for stream in STREAMS:  # or what was seen before shines through for a while
            capture.request_keyframe(stream, Need.START)
        self._around.on_change()

    def _check(self, wish: SetMasks) -> None:
        """Whether it fits what the camera shows now. Raises CommandError."""
        if self._has_head and wish.polygons and not wish.preset:
            raise CommandError(
                "needs-preset",
                "this camera has a head: turn it to a preset, and name that (preset=NUMBER); while the head "
                "is elsewhere, or on its way, the whole picture is blank",
            )
        if self._has_head and wish.polygons and wish.preset != self._place:
            raise CommandError(
                "elsewhere",
                f"the head has not shown that it stands at preset {wish.preset}: turn it there, and wait for "
                "it; where it never does, keep the preset anew, and set ptz.trust_presets for a head that "
                "tells nothing",
            )
        if wish.preset and not self._has_head:
            raise CommandError("no-head", "this camera has no head, so its masks belong to no preset")
        if wish.polygons and not self.masking.sight:
            raise CommandError(
                "not-seen",
                "the camera has not run since the agent started, so nobody knows what it shows: watch its "
                "picture, or have a snapshot taken, and set the masks then",
            )

    def _words(self) -> str:
        if self._problem:
            return f"{self._problem}: {SET_AGAIN}"
        if self._is_other_sight:
            return f"{OTHER_SIGHT}: {SET_AGAIN}"
        if self._is_elsewhere:
            return f"the head is not at preset {self._kept.preset if self._kept else 0}, where its masks fit"
        return ""

    @property
    def _is_elsewhere(self) -> bool:
        kept = self._kept
        return kept is not None and bool(kept.polygons and kept.preset) and kept.preset != self._place

    @property
    def _is_other_sight(self) -> bool:
        """As `masking` finds by itself, before the first picture; nothing is wrong while no camera ran."""
        kept, sight = self._kept, self.masking.sight
        return kept is not None and bool(kept.polygons and sight) and kept.sight != sight

    def _cover(self) -> Cover:
        if self._problem or self._is_elsewhere:
            return BLANK
        if self._kept is None or not self._kept.polygons:
            return Cover()
        return Cover(tuple(map(parse_polygon, self._kept.polygons)), sight=self._kept.sight)
