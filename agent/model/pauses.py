"""How long to leave alone what has ended, before it is begun anew. Pure."""

FIRST_PAUSE_S = 1.0
STEADY_S = 60.0
"""What has lived so long begins its pauses anew."""


class Pauses:
    """Of one thing that is begun anew after each end: each twice as long as the one before, up to a most."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._next_s = FIRST_PAUSE_S

    def after(self, lived_s: float) -> float:
        """How long to wait now, where it ended after so long a life."""
        pause_s = FIRST_PAUSE_S if lived_s >= STEADY_S else self._next_s
        self._next_s = min(2 * pause_s, self._most_s)
        return pause_s
