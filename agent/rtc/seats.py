"""Who gives a place up at a camera that has no more of them. Pure.

A higher grant goes before a lower one, but nobody needs more than half of the places to do so, and who holds
more than that gives them up to whoever has fewer. Among equals the one with most gives, where that makes
things more even. Each rule leaves the one who gave unable to take the place back, so nobody takes turns.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.model.grant import Grant


@dataclass(frozen=True, slots=True)
class Seat:
    """One viewer, from the offer on."""

    session: str
    owner: str
    """The user, or the share link."""
    grant: Grant
    is_connected: bool = True
    """A picture can reach the viewer."""


def who_yields(seats: Sequence[Seat], owner: str, grant: Grant) -> Seat | None:
    """Whose place this owner gets, of all that are taken, oldest first; None where nobody gives one up."""
    held = Counter(seat.owner for seat in seats)
    fair = max(1, len(seats) // 2)
    own = held[owner]

    def yields(seat: Seat) -> bool:
        if seat.owner == owner:
            return False
        if seat.grant < grant:
            return own < fair
        is_evener = held[seat.owner] >= own + 2
        return is_evener and (seat.grant == grant or held[seat.owner] > fair)

    newest_first = [seat for seat in reversed(seats) if yields(seat)]
    return min(
        newest_first, key=lambda seat: (seat.grant, -held[seat.owner], seat.is_connected), default=None
    )
