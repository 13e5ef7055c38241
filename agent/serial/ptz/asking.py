"""When a head is asked where it points: often while it moves, soon after it came to rest, else rarely.

Pure.
"""

from dataclasses import dataclass

MOVING_S, FIRST_S, RESTING_S = 0.25, 1.0, 10.0
COASTS_S = 0.4
"""After a stop it still turns for so long: what it tells meanwhile is not where it rests."""
SOON = 4
"""Position and zoom, or pan and tilt, of each two, where it came to rest: a click of the next moment is aimed
from there."""
NEAR_DEG = 0.1
"""What is told anew may differ by so much while nothing turns."""
STILL = 8
"""So many answers that say the same, two seconds: it is there. A mask that belongs to a preset waits for
that, and one axis may begin when the other is done. None of a start that takes time counts."""
STARTS_S = 2.0


@dataclass(slots=True)
class Asking:
    """Time is an argument."""

    due_s: float = 0.0
    """When to ask next."""
    _soon: int = 0
    _still: int = 0

    def begin(self, now_s: float) -> None:
        """It begins to move."""
        self._still = 0
        if self.due_s > now_s + MOVING_S:
            self.due_s = now_s

    def rest(self, now_s: float) -> None:
        """It comes to rest."""
        self._soon = SOON
        self.due_s = min(self.due_s, now_s + COASTS_S)

    def hurry(self, now_s: float) -> None:
        """Half of it is known."""
        self.due_s = min(self.due_s, now_s + FIRST_S)

    def plan(self, now_s: float, *, is_moving: bool) -> None:
        """It is asked now, or passed over."""
        self.due_s = now_s + (MOVING_S if is_moving or self._soon else RESTING_S)
        if not is_moving:
            self._soon = max(0, self._soon - 1)

    def has_arrived(self, turned_deg: float, since_s: float) -> bool:
        """By one answer more, `since_s` after its way began: of a head that does not say so itself."""
        self._still = self._still + 1 if turned_deg < NEAR_DEG else 0
        return self._still >= STILL and since_s >= STARTS_S
