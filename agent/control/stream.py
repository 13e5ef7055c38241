"""All viewers of one encoded stream: their lanes, and one demand on the encoder."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.control.demand import Demand, Limits
from agent.control.lane import LaneControl

FOLLOW_INTERVAL_S = 0.05
START_BPS = 1_500_000
"""What most mobile uplinks carry; a link that carries less is known within a second, more within a few."""
HEADROOM = 1.5
"""Over the encoder's most, for resends and keyframes: a link is not probed for more."""


class StreamControl:
    """Follows the viewers' links with the bitrate, and asks for keyframes, one for all who need it."""

    def __init__(
        self,
        limits: Callable[[], Limits],
        set_bitrate: Callable[[int], None],
        request_keyframe: Callable[[], None],
    ) -> None:
        """`limits` is asked when the first viewer comes: by then it is known which camera there is."""
        self._limits = limits
        self._set_bitrate = set_bitrate
        self._request_keyframe = request_keyframe
        self._lanes: set[LaneControl] = set()
        self._demand: Demand | None = None
        self.bitrate_bps = 0
        """What the encoder is asked for."""

    @contextmanager
    def lane(self) -> Iterator[LaneControl]:
        """A viewer's control for the length of the block; it gets a keyframe as soon as there can be one."""
        limits = self._limits()
        if self._demand is None:
            self._demand = Demand(limits, START_BPS)
        start_bps = min(START_BPS, limits.max_bps)
        lane = LaneControl(start_bps, limits.min_bps // 2, int(limits.max_bps * HEADROOM))
        self._lanes.add(lane)
        self._request_keyframe()
        try:
            yield lane
        finally:
            self._lanes.discard(lane)
            if not self._lanes:
                self._demand = None

    def follow(self) -> None:
        """Look at all lanes once."""
        if self._demand is None:
            return
        now_ns = time.monotonic_ns()
        wanted = self._demand.update([lane.viewer(now_ns) for lane in self._lanes], now_ns)
        if wanted.bitrate_bps != self.bitrate_bps:
            self.bitrate_bps = wanted.bitrate_bps
            self._set_bitrate(wanted.bitrate_bps)
        if wanted.keyframe:
            self._request_keyframe()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.follow()
            await asyncio.sleep(FOLLOW_INTERVAL_S)
