"""How long to wait before the next attempt. Pure."""

FIRST_CEILING_S = 1.0
QUICK_S = 60.0
FREE_QUICK_ENDS = 4
"""So many connections in a row may be closed soon after they began: a proxy may do that while it restarts."""
LONGEST_TRUCE_S = 600.0


def pause_s(outage_s: float, max_s: float, draw: float) -> float:
    """Exponential back-off with full jitter: `draw` in [0, 1) of a ceiling that grows with the outage.

    The ceiling is half the time since the connection was lost, from 1 s to `max_s`. So an outage of up to
    10 s ends within 5 s of the broker's return, and a fleet comes back spread over half of what it missed.
    """
    return draw * min(max_s, max(FIRST_CEILING_S, outage_s / 2))


class Twins:
    """Whether another client has our id: each of the two throws the other out, and comes back at once.

    From the fifth time in a row on the truce doubles, up to ten minutes, and our own patience with it.
    """

    def __init__(self) -> None:
        self._quick_ends = 0
        self._truce_s = 0.0

    def on_end(self, lived_s: float) -> None:
        """The broker closed a connection of ours that had lived so long, without a fault of the link."""
        self._quick_ends = self._quick_ends + 1 if lived_s < max(QUICK_S, 2 * self._truce_s) else 1

    def on_other_end(self) -> None:
        """The link failed, or nobody answered: a twin would have."""
        self._quick_ends, self._truce_s = 0, 0.0

    @property
    def are_likely(self) -> bool:
        """Say so, and wait."""
        return self._quick_ends > FREE_QUICK_ENDS

    def truce_s(self, draw: float) -> float:
        """How long to leave the id to the other one: `draw` in [0, 1) of a ceiling; 0 where there is none."""
        if not self.are_likely:
            return 0.0
        ceiling_s = min(LONGEST_TRUCE_S, 2.0 ** (self._quick_ends - FREE_QUICK_ENDS))
        self._truce_s = ceiling_s * (1 + draw) / 2
        return self._truce_s
