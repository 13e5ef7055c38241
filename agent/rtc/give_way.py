"""How fast a file may go beside a live picture: it takes what is left, and lets go at the first sign. Pure.

As LEDBAT does (RFC 6817): delay that grows, or anything lost, halves the rate at once; calm raises it slowly.
"""

import math
from dataclasses import dataclass

STEP_S = 0.1
"""Between two looks: so the file gives way within 200 ms."""
FLOOR_BPS, START_BPS, MOST_BPS = 64_000, 500_000, 8_000_000
"""SCTP in Python costs a core of a Pi at about the last."""
BACK_OFF, RISE, RISE_BPS = 0.5, 1.08, 8_000
QUEUE_MS, DELAY_S, LOSS = 40, 0.06, 0.02
"""What waits before the pacer, what a round trip has grown by, and what was lost."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the live lane says of the link."""

    queue_ms: int = 0
    rtt_s: float | None = None
    loss: float | None = None


class GiveWay:
    """The rate of one file."""

    def __init__(self) -> None:
        self.rate_bps = float(START_BPS)
        self._least_rtt_s = math.inf

    def look(self, link: Link) -> float:
        """Once every `STEP_S`; the rate until the next look, in bits a second."""
        delay_s = 0.0
        if link.rtt_s is not None:
            self._least_rtt_s = min(self._least_rtt_s, link.rtt_s)
            delay_s = link.rtt_s - self._least_rtt_s
        is_crowded = link.queue_ms > QUEUE_MS or delay_s > DELAY_S or (link.loss or 0.0) > LOSS
        wanted = self.rate_bps * BACK_OFF if is_crowded else self.rate_bps * RISE + RISE_BPS
        self.rate_bps = min(MOST_BPS, max(FLOOR_BPS, wanted))
        return self.rate_bps
