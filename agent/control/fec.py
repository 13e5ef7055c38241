"""How much forward error correction pays for one viewer. Pure.

A retransmission costs only what was lost, and a round trip. Where that is longer than a picture may wait, and
packets are lost all the time, a packet of parity a picture costs more and repairs at once.
"""

import math

ON_WAIT_S, OFF_WAIT_S = 0.0006, 0.0003
"""What the mean packet waits for resends: the share that is lost times the round trip. With less, a
retransmission now and then costs less. At 130 packets a second the picture stands for 8 % of the time."""
MAX_LOSS = 0.15
"""More is congestion, which parity feeds."""
ON_RTT_S, OFF_RTT_S = 0.060, 0.045
"""Below, what is lost comes again within two pictures: nobody sees that."""
RESIDUAL = 0.01
"""Share of the groups that may lose more than their parity repairs: those are sent again."""
MAX_SHARE = 0.34
"""Of the packets it protects."""


class Protection:
    """Whether to protect, and how strongly."""

    def __init__(self) -> None:
        self.is_offered = False
        """Whether the viewer takes it."""
        self._is_needed = False
        self._loss = 0.0

    @property
    def is_needed(self) -> bool:
        """Whether the link loses packets, and a retransmission takes long."""
        return self._is_needed

    @property
    def is_on(self) -> bool:
        """Whether parity is needed, and the viewer takes it."""
        return self.is_offered and self._is_needed

    def update(self, loss: float, rtt_s: float) -> None:
        """Follow the link: the loss of the last ten seconds, and the round trip without queues."""
        self._loss = loss
        least_s, least_rtt_s = (OFF_WAIT_S, OFF_RTT_S) if self._is_needed else (ON_WAIT_S, ON_RTT_S)
        self._is_needed = loss * rtt_s >= least_s and loss <= MAX_LOSS and rtt_s >= least_rtt_s

    def repairs(self, packets: int) -> int:
        """How many packets of parity a group of so many is worth."""
        if not self.is_on:
            return 0
        most = max(1, int(packets * MAX_SHARE))
        return next((n for n in range(1, most) if _beyond(packets + n, n, self._loss) < RESIDUAL), most)


def _beyond(packets: int, repaired: int, loss: float) -> float:
    """How likely it is to lose more than `repaired` of `packets`."""
    kept = 1 - loss
    within = (math.comb(packets, n) * loss**n * kept ** (packets - n) for n in range(repaired + 1))
    return 1 - sum(within)
