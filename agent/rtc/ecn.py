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

FULL_NS, LATER_FULL_NS = 10_000_000_000, 30_000_000_000
"""A queue that the first picture fills is empty by then, and has let some pass with ECT(1). One that fills
later, as where a link falls, has done so by then."""


class Path(Enum):
    """What is known of the path in use."""

    RELAYED = "relayed"
    """A TURN server, ours or the viewer's, writes an IP header of its own."""
    TRIED = "tried"
    MARKING = "marking"
    """A mark has come through."""
    SILENT = "silent"
    """Nothing is heard of it any more: nothing is marked until something is, for marks may be why."""
    BARE = "bare"
    """It does not carry marks."""


class Marking:
    """One a viewer that reports the ECN field."""

    def __init__(self) -> None:
        self.state = Path.RELAYED
        self.ledger = Ledger()
        """Numbers what leaves, as part of the trial under way."""
        self.trial = UNMARKED
        """How often marking has begun anew: what was marked before says nothing of now."""
        self._said: set[str] = set()
        self._path: Hashable | None = None
        self._is_heard = False
        self._began_ns = 0
        self._unheard_ns: int | None = None
        """Since when enough is to be heard of; a camera may take its time, and a picture may rest."""
        self._heard_packets = 0  # of those that left in the trial, at the last report
        self._passed_ns = 0
        self._bare_packets = self._marked_packets = 0  # in a row

    def follow(self, path: Hashable | None, now_ns: int) -> Ecn:
        """The field for what leaves now by this path, None for a relayed one; a new path is tried anew."""
        if path != self._path:
            self._path = path
            self._begin(Path.RELAYED if path is None else Path.TRIED, now_ns)
        elif self.is_on and self._is_unheard(now_ns):
            if self._is_heard:
                self._begin(Path.SILENT, now_ns)
            else:
                self.give_up("nothing that has a mark arrives", now_ns)
        return Ecn.ECT_1 if self.is_on else Ecn.NOT_ECT

    @property
    def is_on(self) -> bool:
        """Whether what leaves now is marked."""
        return self.state in (Path.TRIED, Path.MARKING)

    def on_marks(self, marks: Marks, now_ns: int) -> None:
        """Follow one report, also of packets without a mark."""
        if self.state is Path.SILENT:
            self._begin(Path.TRIED, now_ns)
        elif self.is_on and marks.received:
            self._is_heard = True
            self._unheard_ns, self._heard_packets = None, self.ledger.tried_packets
            self._judge(marks, now_ns)

    def give_up(self, why: str, now_ns: int) -> None:
        """Mark nothing more on this path."""
        if self.is_on:
            self._say(f"no ECN on this path: {why}")
            self._begin(Path.BARE, now_ns)

    def _judge(self, marks: Marks, now_ns: int) -> None:
        is_tried = self.state is Path.TRIED
        self._bare_packets = self._bare_packets + marks.bare if marks.bare == marks.received else 0
        is_slow = is_tried and now_ns - self._began_ns >= TRIAL_NS
        if marks.bare + marks.marked < marks.received:
            if is_tried:
                self._say("ECN works on this path")
            self.state, self._passed_ns, self._marked_packets = Path.MARKING, now_ns, 0
            return
        self._marked_packets += marks.marked
        full_ns = now_ns - self._passed_ns
        if self._bare_packets >= (MIN_TRIAL_PACKETS if is_slow else TRIAL_PACKETS):
            self.give_up("marks do not arrive", now_ns)
        elif self._marked_packets >= TRIAL_PACKETS and full_ns >= (FULL_NS if is_tried else LATER_FULL_NS):
            self.give_up("all arrives with CE", now_ns)

    def _say(self, words: str) -> None:
        if words not in self._said:  # a viewer may change between paths as often as it likes
            log.info("%s", words)
        self._said.add(words)

    def _is_unheard(self, now_ns: int) -> bool:
        packets = self.ledger.tried_packets - self._heard_packets
        if packets >= MIN_TRIAL_PACKETS and self._unheard_ns is None:
            self._unheard_ns = now_ns
        return self._unheard_ns is not None and now_ns - self._unheard_ns >= TRIAL_NS

    def _begin(self, state: Path, now_ns: int) -> None:
        self.state = state
        self.trial += 1
        self._began_ns = self._passed_ns = now_ns
        self._unheard_ns, self._is_heard, self._heard_packets = None, False, 0
        self._bare_packets = self._marked_packets = 0
        self.ledger.begin_trial(self.trial if self.is_on else UNMARKED)
