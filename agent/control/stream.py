"""All viewers of a camera: which stream each one gets, and one demand on each stream's encoder."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from agent.control.demand import MIN_BITS_PER_PIXEL, OVERHEAD, Demand, Limits, Viewer, share_bps
from agent.control.feed import Feed, Sink, Subscribe
from agent.control.hold import Hold
from agent.control.lane import LaneControl
from agent.control.placement import Placement
from agent.model.media import STREAMS, Need, RtpFrame, StreamName
from agent.model.pacing import Room

log = logging.getLogger(__name__)

FOLLOW_INTERVAL_NS = 50_000_000
"""Between two looks at the viewers: each is right after a picture, which wakes the process anyhow, ..."""
SILENT_S = 0.15
"""... or when none has come for so long."""
START_BPS = 1_500_000
"""What most mobile uplinks carry; a link that carries less is known within a second, more within a few."""
MIN_LANE_BPS = 50_000
"""Less is an outage: the estimate need not go lower."""
HEADROOM = 1.5
"""Over the encoder's most, for resends and keyframes: a link is not probed for more."""
SERVED = 1.2
"""Who carries no more than this multiple of the preview's bitrate is as well served by the preview."""


class Encoders(Protocol):
    """The camera's side."""

    def demand(self, stream: StreamName, bitrate_bps: int, fps_share: float, scale: float) -> None:
        """From the next picture on."""

    def hold(self, stream: StreamName, *, is_held: bool) -> None:
        """Whether the next pictures are left out before the encoder."""

    def request_keyframe(self, stream: StreamName, need: Need) -> None:
        """As soon as there can be one for this need."""

    def made_bps(self, stream: StreamName) -> int | None:
        """What came out lately; None while that is not known."""


class ViewerControl:
    """One viewer: its wish, the stream that it gets, and its lane."""

    def __init__(
        self,
        wanted: StreamName,
        feed: Feed,
        lane: LaneControl,
        on_begin: Callable[[], None],
        on_frame: Callable[[StreamName], None],
    ) -> None:
        self.wanted: StreamName = wanted
        """May change at any time."""
        self.lane = lane
        self.is_streaming = False
        self.is_live = True
        """Else it is shown recorded pictures, and has no voice in what is encoded."""
        self.placement = Placement()
        self.feed = feed
        self._on_begin = on_begin
        self._on_frame = on_frame

    @property
    def stream(self) -> StreamName:
        """What the viewer gets now."""
        return self.feed.stream

    @property
    def room(self) -> Room:
        """What its link carries, and what waits to leave."""
        state = self.lane.viewer(time.monotonic_ns())
        return Room(share_bps(state), state.queue_ms, state.is_stalled, state.wants_keyframe)

    def leave_live(self) -> None:
        """From now on only what is given to `show` reaches the viewer."""
        self.is_live = False
        self.feed.leave_live()

    def show(self, frame: RtpFrame) -> None:
        """A recorded frame."""
        self.feed.show(frame)

    def go_live(self) -> None:
        """From the stream's next keyframe on."""
        self.feed.go_live()
        self.is_live = True
        self._on_begin()

    @contextmanager
    def streaming(self, sink: Sink) -> Iterator[None]:
        """Frames go to `sink` for the length of the block, from a keyframe on."""

        def take(frame: RtpFrame) -> None:
            sink(frame)
            if self.is_live:
                self._on_frame(self.feed.stream)

        self.feed.begin(take)
        self.is_streaming = True
        self._on_begin()
        try:
            yield
        finally:
            self.is_streaming = False
            self.feed.end()


class StreamControl:
    """Follows the viewers' links: each stream's bitrate, each viewer's stream, keyframes where needed."""

    def __init__(
        self,
        encoders: Encoders,
        limits: Callable[[], Mapping[StreamName, Limits]],
        subscribe: Subscribe,
        uplink_bps: int | None = None,
        is_read: Callable[[StreamName], bool] = lambda _: False,
    ) -> None:
        """`limits` of each stream that there is, asked all the time, for the camera may come late.

        `uplink_bps` is what all viewers together may take. `is_read` says whether somebody else than viewers
        wants every picture of a stream.
        """
        self._encoders = encoders
        self._limits = limits
        self._subscribe = subscribe
        self._uplink_bps = uplink_bps
        self._is_read = is_read
        self._holds: dict[StreamName, Hold] = {stream: Hold() for stream in STREAMS}
        self._viewers: list[ViewerControl] = []
        self._is_watched, self._is_due = asyncio.Event(), asyncio.Event()
        self._due_ns = 0
        self._demands: dict[StreamName, Demand] = {}
        self._asked: dict[StreamName, tuple[int, float, float]] = {}
        self._kept_bps: dict[StreamName, int] = {}

    @contextmanager
    def viewer(self, wanted: StreamName) -> Iterator[ViewerControl]:
        """A viewer from its offer to its end; the stream it wants is encoded from now on."""
        limits = self._limits()
        most = limits.get(wanted) or limits["main"]
        most_bps = int(most.max_bps * HEADROOM)
        lane = LaneControl(min(START_BPS, most.max_bps), MIN_LANE_BPS, most_bps, self._follow_holds)
        with Feed(self._subscribe, wanted if wanted in limits else "main") as feed:
            one = ViewerControl(wanted, feed, lane, partial(self._begin, feed), self._on_frame)
            self._viewers.append(one)
            self._is_watched.set()
            try:
                yield one
            finally:
                self._viewers.remove(one)
                self._follow_holds()
                if not self._viewers:
                    self._is_watched.clear()
                    self._demands.clear()
                    for stream in STREAMS:
                        self._rest(stream)

    @contextmanager
    def keeping(self, stream: StreamName, bitrate_bps: int) -> Iterator[None]:
        """While nobody watches this stream its encoder makes so much, for who records it.

        Without that it stays as the last viewer's link had it. Who watches still decides for all: a recording
        has no link, and can do with whatever they carry.
        """
        self._kept_bps[stream] = bitrate_bps
        self._rest(stream)
        try:
            yield
        finally:
            del self._kept_bps[stream]

    def refusal(self, wanted: StreamName) -> str | None:
        """Why one more viewer of this stream cannot be served well; None where it can."""
        if self._uplink_bps is None:
            return None
        limits, counts = self._limits(), self.watchers()
        needed_bps = sum(
            count * _decent_bps(limits.get(stream) or limits["main"])
            for stream, count in {**counts, wanted: counts[wanted] + 1}.items()
        )
        if needed_bps <= self._uplink_bps * (1 - OVERHEAD):
            return None
        return f"the camera's uplink of {self._uplink_bps / 1e6:g} Mb/s has no room for another viewer"

    def bitrate_bps(self, stream: StreamName) -> int:
        """What a stream's encoder is asked for; 0 while nobody watches."""
        return self._asked[stream][0] if stream in self._demands else 0

    def watchers(self) -> Mapping[StreamName, int]:
        """How many viewers want each stream."""
        return {stream: sum(one.wanted == stream for one in self._viewers) for stream in STREAMS}

    def follow(self, *, is_beginning: bool = False) -> None:
        """Look at all viewers once; where one begins, its first keyframe is asked for besides."""
        streaming = [one for one in self._viewers if one.is_streaming and one.is_live]
        if not streaming:
            self._demands.clear()  # all look back, or are on their way
            for stream in STREAMS:
                self._rest(stream)
            self._follow_holds()
            return
        now_ns = time.monotonic_ns()
        limits = self._within_uplink(self._limits())
        states = {one: self._state(one, now_ns) for one in streaming}
        self._place(states, limits, now_ns)
        for stream, of in limits.items():
            keyframe = self._follow_stream(stream, of, states, limits, now_ns)
            if keyframe and not is_beginning:
                self._encoders.request_keyframe(stream, keyframe)
        self._follow_holds()

    def _state(self, one: ViewerControl, now_ns: int) -> Viewer:
        """What waits while pictures are held is one or two, and no reason for smaller ones beside that."""
        state = one.lane.viewer(now_ns)
        return replace(state, queue_ms=0) if self._holds[one.stream].is_on else state

    async def run(self) -> None:
        """Follow until cancelled; nothing runs while nobody watches."""
        while True:
            await self._is_watched.wait()
            self.follow()
            self._due_ns = time.monotonic_ns() + FOLLOW_INTERVAL_NS
            self._is_due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENT_S):
                    await self._is_due.wait()

    def _on_frame(self, stream: StreamName) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._due_ns:
            self._is_due.set()
        if self._holds[stream].is_wanted:
            self._holds[stream].on_picture(now_ns)
            self._follow_holds()

    def _follow_holds(self) -> None:
        """At once: the very next picture is to be left out, or not to be."""
        now_ns = time.monotonic_ns()
        for stream, hold in self._holds.items():
            held_up = [
                one.lane.is_held_up
                for one in self._viewers
                if one.is_streaming and one.is_live and one.stream == stream
            ]
            if (any(held_up) or hold.is_wanted) and not self._may_hold(stream):
                held_up = []
            if hold.update(held_up, now_ns):
                self._encoders.hold(stream, is_held=hold.is_on)

    def _may_hold(self, stream: StreamName) -> bool:
        limits = self._limits().get(stream)
        return limits is not None and limits.can_skip and not self._is_read(stream)

    def _place(
        self, states: Mapping[ViewerControl, Viewer], limits: Mapping[StreamName, Limits], now_ns: int
    ) -> None:
        main = limits["main"]
        for one, state in states.items():
            most = limits.get(one.wanted, main)
            one.lane.set_max_bps(int(most.max_bps * HEADROOM))
            stream: StreamName = one.wanted if one.wanted in limits else "main"
            if stream == "main" and "preview" in limits and not state.is_stalled:
                main_bps = self._demands["main"].bitrate_bps if "main" in self._demands else main.floor_bps
                stream = one.placement.update(share_bps(state), main_bps, main.floor_bps, now_ns)
            elif stream == "main" and "preview" in limits:
                continue  # while the path is out nothing is known
            if one.feed.move(stream):
                log.info("a viewer whose link has %d kb/s goes to %s", share_bps(state) // 1000, stream)
                self._encoders.request_keyframe(stream, Need.START)

    def _begin(self, feed: Feed) -> None:
        # At once: a keyframe at what a recorder is served, or held back for others, comes late.
        self.follow(is_beginning=True)
        self._encoders.request_keyframe(feed.stream, Need.START)

    def _follow_stream(
        self,
        stream: StreamName,
        limits: Limits,
        states: Mapping[ViewerControl, Viewer],
        all_limits: Mapping[StreamName, Limits],
        now_ns: int,
    ) -> Need | None:
        """Ask for what its viewers carry; what they need a keyframe for."""
        voices = [
            state if one.stream == stream else replace(state, wants_keyframe=False)
            for one, state in states.items()
            if one.stream == stream or (one.wanted == stream and stream == "main")
        ]
        if not voices:
            self._demands.pop(stream, None)
            self._rest(stream)
            return None
        demand = self._demands.setdefault(stream, Demand(limits, START_BPS))
        demand.limits = limits
        preview = all_limits.get("preview") if stream == "main" else None
        demand.made_bps = self._encoders.made_bps(stream)
        wanted = demand.update(voices, now_ns, int(preview.max_bps * SERVED) if preview else 0)
        asked = wanted.bitrate_bps, wanted.fps_share, wanted.scale
        if asked != (before := self._asked.get(stream)):
            if before and before[1:] != asked[1:]:
                rate, scale, kbps = limits.fps * asked[1], asked[2], asked[0] // 1000
                log.info("%s: %.3g fps at %.3g of its size, for %d kb/s", stream, rate, scale, kbps)
            self._asked[stream] = asked
            self._encoders.demand(stream, *asked)
        return wanted.keyframe

    def _rest(self, stream: StreamName) -> None:
        """Nobody watches it."""
        kept_bps, of = self._kept_bps.get(stream), self._limits().get(stream)
        if kept_bps is None or stream in self._demands:
            return
        asked = max(of.floor_bps, kept_bps) if of else kept_bps, 1.0, 1.0
        if asked != self._asked.get(stream):
            self._asked[stream] = asked
            self._encoders.demand(stream, *asked)

    def _within_uplink(self, limits: Mapping[StreamName, Limits]) -> Mapping[StreamName, Limits]:
        """The same, with no more for each viewer than the uplink has for all of them."""
        if self._uplink_bps is None:
            return limits
        counts = self.watchers()
        media_bps = self._uplink_bps * (1 - OVERHEAD)
        preview = limits.get("preview")
        if preview and counts["preview"]:
            share_of_previews = min(preview.max_bps, media_bps / max(1, sum(counts.values())))
            preview = replace(preview, max_bps=max(preview.floor_bps, int(share_of_previews)))
            media_bps -= share_of_previews * counts["preview"]
        main = limits["main"]
        main_bps = max(main.floor_bps, min(main.max_bps, int(media_bps / max(1, counts["main"]))))
        held: dict[StreamName, Limits] = {"main": replace(main, max_bps=main_bps)}
        if preview:
            held["preview"] = preview
        return held


def _decent_bps(limits: Limits) -> int:
    """What the full picture at its full rate takes; see `demand.py`."""
    full_bps = int(MIN_BITS_PER_PIXEL * limits.pixels * limits.fps)
    return max(limits.floor_bps, min(limits.max_bps, full_bps))
