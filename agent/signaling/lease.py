"""How long a session may play: until its lease ends, by the device's own clock. Pure, but for `keep`."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

CHECK_INTERVAL_S = 1.0


@dataclass(slots=True)
class Lease:
    """The right to watch, as it was promised with the offer and renewed since.

    A renewal says when it was issued, by the portal's clock; the offer showed how that relates to ours. So
    one that somebody held back extends nothing beyond what it says, and none gives more than its life from
    when it comes.
    """

    offset_s: float
    """Our monotonic clock less the portal's, as of the newest offer."""
    ends_s: float
    """Monotonic."""

    @classmethod
    def begin(cls, issued_at: float, lease_s: float, now_mono_s: float) -> Self:
        """As of an offer that was found to be new."""
        return cls(now_mono_s - issued_at, now_mono_s + lease_s)

    def renew(self, issued_at: float, lease_s: float, now_mono_s: float) -> None:
        """Never shortens it: what comes late, or from a clock that was set back, says nothing new."""
        since_s = min(issued_at + self.offset_s, now_mono_s)
        self.ends_s = max(self.ends_s, since_s + lease_s)


async def keep(end_unrenewed: Callable[[float], None], has_sessions: asyncio.Event) -> None:
    """Have those ended that nobody renewed, once a second while there are sessions, and for ever."""
    while True:
        await has_sessions.wait()
        end_unrenewed(time.monotonic())
        await asyncio.sleep(CHECK_INTERVAL_S)
