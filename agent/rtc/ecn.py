"""Whether media to one viewer leaves with ECT(1) (RFC 9331), by the path in use. Pure: time is an argument.

A path may take the mark off, or lose whatever has one (RFC 6679 section 7.2.1): each is tried by what the
viewer says of the first packets, and where it does, no more is marked. What is heard later is watched too,
for a route may change without a word.
"""

import logging
from collections.abc import Hashable
from enum import Enum

from agent.rtc.ccfb import Ecn
from agent.rtc.ledger import UNMARKED, Ledger, Marks

log = logging.getLogger(__name__)

TRIAL_PACKETS = 50
"""So many in a row without a mark, or from the first one on with CE: the path writes the field itself."""
TRIAL_NS, MIN_TRIAL_PACKETS = 2_000_000_000, 10
"""A slow stream is judged by fewer after this time; a path by which none of them is heard of, too."""

FULL_NS = 10_000_000_000
"""A queue that the first picture fills is empty by then, and has let some pass with ECT(1)."""


class Path(Enum):
    """What is known of the path in use."""

    RELAYED = "relayed"
    """A TURN server, ours or the viewer's, writes an IP header of its own."""
    TRIED = "tried"
    MARKING = "marking"
    """A mark has come through."""
    BARE = "bare"
    """It does not carry marks."""


class Marking:
    """One a viewer that reports the ECN field."""

    def __init__(self) -> None:
        self.state = Path.RELAYED
        self.ledger = Ledger()
        """Numbers what leaves, as part of the trial under way."""
        self._path: Hashable | None = None
        self._trials = UNMARKED
        self._began_ns = 0
        self._bare_packets = self._marked_packets = 0  # in a row

    def follow(self, path: Hashable | None, now_ns: int) -> Ecn:
        """The field for what leaves now by this path, None for a relayed one; a new path is tried anew."""
        if path != self._path:
            self._path = path
            self._trials += 1
            self._began_ns, self._bare_packets, self._marked_packets = now_ns, 0, 0
            self._enter(Path.RELAYED if path is None else Path.TRIED)
        elif self.state is Path.TRIED and self._is_unheard(now_ns):
            self._give_up("nothing that has a mark arrives")
        return Ecn.ECT_1 if self.state in (Path.TRIED, Path.MARKING) else Ecn.NOT_ECT

    def on_marks(self, marks: Marks, now_ns: int) -> None:
        """Follow one report."""
        if not marks.received or self.state in (Path.RELAYED, Path.BARE):
            return
        self._bare_packets = self._bare_packets + marks.bare if marks.bare == marks.received else 0
        self._marked_packets += marks.marked
        if marks.bare + marks.marked < marks.received:
            if self.state is Path.TRIED:
                log.info("ECN works on this path")
            self._enter(Path.MARKING)
        elif self._bare_packets >= (MIN_TRIAL_PACKETS if self._is_over(now_ns, TRIAL_NS) else TRIAL_PACKETS):
            self._give_up("marks do not arrive")
        elif self._marked_packets >= TRIAL_PACKETS and self._is_over(now_ns, FULL_NS):
            self._give_up("all arrives with CE")

    def _is_over(self, now_ns: int, length_ns: int) -> bool:
        return self.state is Path.TRIED and now_ns - self._began_ns >= length_ns

    def _is_unheard(self, now_ns: int) -> bool:
        is_heard = self._bare_packets or self._marked_packets
        are_many = self.ledger.tried_packets >= MIN_TRIAL_PACKETS
        return are_many and not is_heard and self._is_over(now_ns, TRIAL_NS)

    def _give_up(self, why: str) -> None:
        log.info("no ECN on this path: %s", why)
        self._enter(Path.BARE)

    def _enter(self, state: Path) -> None:
        self.state = state
        self.ledger.begin_trial(self._trials if state in (Path.TRIED, Path.MARKING) else UNMARKED)
