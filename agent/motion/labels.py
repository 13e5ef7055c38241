"""Which labels are those of what moves. Pure."""

from collections import deque

from agent.model.labels import Area, Label, Sighting, Sightings
from agent.motion.detector import Motion
from agent.motion.grid import Box

SURE = 2
"""Pictures in which it has to be seen: a network errs in one more often than in two."""
KEPT_US = 3_000_000
NEAR_US = 700_000
"""So far apart may be the picture that was labelled and the one in which it moved: a thing is seen to move
only after a second, and a network needs its time."""
COVER = 0.4
"""The share of a labelled thing that moves: of a parked car somebody who walks by covers less."""
MAX_KEPT = 64


class Labels:
    """Of one camera."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Sighting]] = deque(maxlen=MAX_KEPT)
        self._moved: deque[tuple[int, Area]] = deque(maxlen=MAX_KEPT)

    def see(self, sightings: Sightings) -> None:
        """Take what was seen in one picture."""
        self._seen.extend((sightings.at_us, one) for one in sightings.found)

    def move(self, motion: Motion, columns: int, rows: int) -> None:
        """Take what moved in one sample of so many cells."""
        if motion.box:
            # A cell more: what moved on since, and what of it the sample did not tell from what it hides.
            area = area_of(motion.box, columns, rows).grown(1 / columns, 1 / rows)
            self._moved.append((motion.at_us, area))

    def sure(self, now_us: int) -> frozenset[Label]:
        """What is known to move, or to have moved just now."""
        times: dict[Label, set[int]] = {}
        for at_us, one in self._seen:
            if now_us - at_us <= KEPT_US and self._moves(at_us, one):
                times.setdefault(one.label, set()).add(at_us)
        return frozenset(label for label, seen in times.items() if len(seen) >= SURE)

    def _moves(self, at_us: int, one: Sighting) -> bool:
        near = min(self._moved, key=lambda moved: abs(moved[0] - at_us), default=None)
        if near is None or abs(near[0] - at_us) > NEAR_US:
            return False
        return near[1].common(one.area).size >= COVER * one.area.size


def area_of(box: Box, columns: int, rows: int) -> Area:
    """Cells as a part of the picture."""
    return Area(box.left / columns, box.top / rows, box.right / columns, box.bottom / rows)
