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
    _made_bytes: int = 0
    _made_since_s: float = 0.0

    def note(self, size_bytes: int, now_s: float) -> None:
        """A picture came out."""
        self._made_bytes += size_bytes
        elapsed_s = now_s - self._made_since_s
        if elapsed_s >= 1.0:
            self.made_bps = int(self._made_bytes * 8 / elapsed_s) if elapsed_s < 2.0 else None
            self._made_bytes, self._made_since_s = 0, now_s

    def cancel_timer(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None
