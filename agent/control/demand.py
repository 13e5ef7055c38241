"""From what each viewer's link carries to one demand on a stream's encoder. Pure.

Everybody on a stream gets the same pictures, so somebody decides for all. The rule: at least half of the
viewers can carry the bitrate (of two, the faster one decides), and those who carry nearly as much are waited
for. Whom the preview serves as well has no voice beside others, and neither has a viewer whose path is out.
Who cannot follow is moved to the preview, where there is one (`placement.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.model.media import Need, StreamFormat, StreamName

NS_PER_S = 1_000_000_000

OVERHEAD = 0.09
"""Of the target: headers (6 % at 1200 bytes a packet), and room for keyframes and the encoder's own noise."""
RESEND_TIMES = 2
"""What is lost is sent again, perhaps twice."""
MAX_LOSS = 0.10
CALM_QUEUE_MS, QUEUE_SPAN_MS = 60, 400
"""A backlog in the pacer beyond the first takes a share of the bitrate; 400 ms take all of it, ..."""
MIN_PUSHBACK = 0.5
"""... but half stays."""
HYSTERESIS = 0.03
"""A change of less is not worth a call into the encoder."""
RISE, RISE_INTERVAL_NS = 1.25, 100_000_000
"""Up by at most this in this time, so that one optimistic estimate costs little; down at once."""
MIN_BITS_PER_PIXEL, RETURN_BITS_PER_PIXEL = 0.02, 0.03
"""Below the first, fewer and smaller pictures look better: 720p30 at 550 kb/s. Back at the second."""
SHORT = 0.85
"""An encoder that makes less than this share of what it may needs no more for its scene."""
ENOUGH, NEED_LIFETIME_NS = 0.7, 5 * NS_PER_S
"""This share of what the scene needed lately looks nearly the same, and costs no frame rate."""
DOWN_AFTER_NS, UP_AFTER_NS = 1 * NS_PER_S, 5 * NS_PER_S
SLOW = 0.8
"""A viewer that carries less than this share of the bitrate is slow."""

HEALTHY = 0.8
"""Who carries this share of what the faster half carries is waited for; who carries less is slow."""

_LADDER = ((1.0, 1.0), (0.5, 1.0), (0.5, 0.5), (1 / 3, 0.5))
_LADDER_OF_ONE_SIZE = ((1.0, 1.0), (0.5, 1.0), (1 / 3, 1.0))
"""Shares of the full frame rate and of each side: motion goes first: a camera mostly sees what stands."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the camera and its encoder can do."""

    min_bps: int
    """Of the encoder at its full frame rate: VC4 1 Mb/s, because it may stall below; libx264 100 kb/s."""
    max_bps: int
    fps: float
    pixels: int
    can_rescale: bool
    """Whether the size changes while the encoder runs."""
    can_skip: bool = False
    """Whether pictures can be left out."""

    @property
    def ladder(self) -> tuple[tuple[float, float], ...]:
        """Shares of the frame rate and of each side that the encoder can be asked for, the best first."""
        if not self.can_skip:
            return _LADDER[:1]
        return _LADDER if self.can_rescale else _LADDER_OF_ONE_SIZE

    @property
    def floor_bps(self) -> int:
        """The least that the stream can be, with the fewest pictures."""
        return int(self.min_bps * min(share for share, _ in self.ladder))


def limits_of(
    formats: Mapping[StreamName, StreamFormat], most_bps: Mapping[StreamName, int], ceiling_bps: int | None
) -> dict[StreamName, Limits]:
    """By stream: what its format allows within what the settings do, and under the data plan's ceiling."""
    return {
        stream: Limits(
            min_bps=min(of.min_bitrate_bps, most_bps[stream]),
            max_bps=min(most_bps[stream], ceiling_bps or most_bps[stream]),
            fps=of.fps,
            pixels=of.width_px * of.height_px,
            can_rescale=of.can_rescale,
            can_skip=of.can_skip,
        )
        for stream, of in formats.items()
    }


@dataclass(frozen=True, slots=True)
class Viewer:
    """What one viewer's lane reports."""

    target_bps: int
    loss: float
    queue_ms: int
    is_stalled: bool
    wants_keyframe: bool
    repair_share: float = 0.0
    """Bytes of parity for each byte of media."""


@dataclass(frozen=True, slots=True)
class StreamDemand:
    """What to ask of the encoder."""

    bitrate_bps: int
    fps_share: float
    """Of the full frame rate."""
    scale: float
    """Of each side of the full picture."""
    keyframe: Need | None
    """What one is needed for now."""


class Demand:
    """One a stream."""

    def __init__(self, limits: Limits, start_bps: int) -> None:
        self.limits = limits
        """May change at any time, as when a budget is used up."""
        self.made_bps: int | None = None
        """What the encoder makes: while the scene needs less than it may have, no picture is left out."""
        self._wanted_bps = max(limits.floor_bps, min(limits.max_bps, start_bps))
        self._rung = 0
        self._raised_ns = -RISE_INTERVAL_NS
        self._rung_since_ns: int | None = None
        self._need_bps, self._need_ns = 0, -NEED_LIFETIME_NS

    @property
    def bitrate_bps(self) -> int:
        """What the stream is now."""
        share, _ = self.limits.ladder[self._rung]
        return max(self._wanted_bps, int(self.limits.min_bps * share))

    def update(self, viewers: Sequence[Viewer], now_ns: int, preview_bps: int = 0) -> StreamDemand:
        """Follow the viewers; without any, all stays as it is. `preview_bps`: what else they could have."""
        self._rung = min(self._rung, len(self.limits.ladder) - 1)
        if viewers:
            self._follow(media_bps(viewers, preview_bps), now_ns)
            self._climb_or_descend(now_ns)
        fps_share, scale = self.limits.ladder[self._rung]
        return StreamDemand(self.bitrate_bps, fps_share, scale, self._keyframe_need(viewers))

    def _follow(self, wanted_bps: int, now_ns: int) -> None:
        floor_bps, max_bps = self.limits.floor_bps, self.limits.max_bps
        wanted_bps = max(floor_bps, min(max_bps, wanted_bps))
        is_extreme = wanted_bps in {floor_bps, max_bps}
        if not is_extreme and abs(wanted_bps - self._wanted_bps) < HYSTERESIS * self._wanted_bps:
            return
        if wanted_bps > self._wanted_bps:
            if now_ns - self._raised_ns < RISE_INTERVAL_NS:
                return
            self._raised_ns = now_ns
            wanted_bps = min(wanted_bps, int(RISE * self._wanted_bps))
        self._wanted_bps = wanted_bps

    def _climb_or_descend(self, now_ns: int) -> None:
        """One rung at a time, once its reason has lasted."""
        is_last = self._rung + 1 == len(self.limits.ladder)
        is_short = self._is_short(now_ns)
        is_poor = not is_last and is_short and self._richness(self._rung) < MIN_BITS_PER_PIXEL
        # Some viewers' own estimate follows what they are sent: where the scene needs little, it stays low.
        return_at = RETURN_BITS_PER_PIXEL if is_short else MIN_BITS_PER_PIXEL
        is_rich = self._rung > 0 and self._richness(self._rung - 1) >= return_at
        if not (is_poor or is_rich):
            self._rung_since_ns = None
            return
        if self._rung_since_ns is None:
            self._rung_since_ns = now_ns
        if now_ns - self._rung_since_ns >= (DOWN_AFTER_NS if is_poor else UP_AFTER_NS):
            self._rung += 1 if is_poor else -1
            self._rung_since_ns = None

    def _is_short(self, now_ns: int) -> bool:
        """Whether the encoder would make clearly more of the scene if it might; else notes what it takes."""
        if self.made_bps is None:
            return True
        if self.made_bps < SHORT * self._wanted_bps:
            self._need_bps, self._need_ns = self.made_bps, now_ns
            return False
        return self._wanted_bps < ENOUGH * self._need_bps or now_ns - self._need_ns > NEED_LIFETIME_NS

    def _richness(self, rung: int) -> float:
        """Bits a pixel; none where the encoder's floor is above what the viewers carry."""
        fps_share, scale = self.limits.ladder[rung]
        if self._wanted_bps < int(self.limits.min_bps * fps_share):
            return 0.0
        return self._wanted_bps / (self.limits.pixels * scale**2 * self.limits.fps * fps_share)

    def _keyframe_need(self, viewers: Sequence[Viewer]) -> Need | None:
        """One for all who ask; how often they get it, the camera decides."""
        asking = [viewer for viewer in viewers if viewer.wants_keyframe]
        if not asking:
            return None
        is_slow = all(share_bps(viewer) < SLOW * self.bitrate_bps for viewer in asking)
        # Alone, or all slow together: the floor is above them, and nobody else pays.
        return Need.SLOW_REPAIR if is_slow and len(asking) < len(viewers) else Need.REPAIR


def share_bps(viewer: Viewer) -> int:
    """The encoder's bitrate that one viewer can take, in bits a second."""
    resends = RESEND_TIMES * min(MAX_LOSS, max(0.0, viewer.loss))
    backlog = max(0, viewer.queue_ms - CALM_QUEUE_MS) / QUEUE_SPAN_MS
    room = (1 - OVERHEAD - resends) / (1 + viewer.repair_share)
    return int(viewer.target_bps * room * max(MIN_PUSHBACK, 1 - backlog))


def media_bps(viewers: Sequence[Viewer], preview_bps: int = 0) -> int:
    """The bitrate that at least half of the viewers with a voice, and at least one, can carry."""
    voices = [viewer for viewer in viewers if not viewer.is_stalled] or viewers
    shares = sorted(share_bps(viewer) for viewer in voices)
    shares = [share for share in shares if share > preview_bps] or shares[-1:]
    middle_bps = shares[len(shares) // 2]
    return next(share for share in shares if share >= HEALTHY * middle_bps)
