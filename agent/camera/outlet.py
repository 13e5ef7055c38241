"""One stream of a running camera, as its watchers want it. Pure, but for the timer that it keeps."""

import asyncio
import dataclasses

from agent.camera.keyframes import KeyframeGate
from agent.model.media import EncoderDemand


@dataclasses.dataclass(slots=True)
class Outlet:
    """One stream, as its watchers want it."""

    demand: EncoderDemand
    watchers: int = 0
    gate: KeyframeGate = dataclasses.field(default_factory=KeyframeGate)
    timer: asyncio.TimerHandle | None = None
    """Until the next forced IDR may come."""
    made_bps: int | None = None
    """What came out in the last whole second; None while that is not known."""
    was_held: bool = False
    """In this second: what came out says nothing of what the scene needs."""
    _made_bytes: int = 0
    _made_since_s: float = 0.0

    def note(self, size_bytes: int, now_s: float) -> None:
        """A picture came out."""
        self._made_bytes += size_bytes
        elapsed_s = now_s - self._made_since_s
        if elapsed_s >= 1.0:
            is_known = elapsed_s < 2.0 and not self.was_held
            self.made_bps = int(self._made_bytes * 8 / elapsed_s) if is_known else None
            self._made_bytes, self._made_since_s, self.was_held = 0, now_s, self.demand.is_held

    def hold(self, *, is_held: bool) -> None:
        """The next pictures are left out, or are not."""
        self.demand = dataclasses.replace(self.demand, is_held=is_held)
        self.was_held |= is_held

    def cancel_timer(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None
