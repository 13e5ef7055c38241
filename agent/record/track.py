"""One stream on its way to the card: a ring while nothing happens, fragments while it is recorded. Pure."""

from collections.abc import Callable

from agent.model.media import StreamName, Unit
from agent.record.fragmenter import Fragmenter, Piece
from agent.record.ring import Ring


class Track:
    """A reader of a stream, which returns at once."""

    def __init__(
        self,
        stream: StreamName,
        ring: Ring,
        keyframe_us: int,
        write: Callable[[Piece], bool],
        finish: Callable[[StreamName], None],
    ) -> None:
        """`write` is False where a piece is lost; `finish` is called behind the last of a recording."""
        self.stream = stream
        self.is_recording = False
        self.lost = 0
        """Pictures that were not recorded, since the card is slow or away."""
        self._ring, self._keyframe_us = ring, keyframe_us
        self._write, self._finish = write, finish
        self._cut = Fragmenter(stream)
        self._is_ending = self._is_broken = False
        self._last_us = self._keyframe_at_us = 0

    @property
    def wants_keyframe(self) -> bool:
        """Whether the last one is so long ago that a clip would begin too early, or a seek take too long."""
        return self._last_us - self._keyframe_at_us >= self._keyframe_us

    def push(self, unit: Unit) -> None:
        """The next picture; what is no picture is not kept."""
        if unit.medium != "video":
            return
        self._last_us = unit.capture_us
        if unit.is_keyframe:
            self._keyframe_at_us = unit.capture_us
            if self._is_ending:
                self._stop()  # here, so that the ring begins where the recording has ended
        if self.is_recording:
            self._record(unit)
        else:
            self._ring.push(unit)

    def begin(self, from_us: int) -> None:
        """Record what the ring has since then, and all that comes; goes on where it was about to end."""
        self._is_ending = False
        if not self.is_recording:
            self.is_recording = True
            for unit in self._ring.take(from_us):
                self._record(unit)

    def hurry(self, *, is_urgent: bool) -> None:
        """Whether what comes has to be on the card at once."""
        self._cut.is_urgent = is_urgent

    def end(self) -> None:
        """Record up to the next keyframe."""
        self._is_ending = self.is_recording

    def stop(self) -> None:
        """End now, whatever is missing of the group of pictures."""
        if self.is_recording:
            self._stop()

    def flush_stale(self, now_us: int) -> None:
        """Hand on a fragment that no picture ends: the camera may have stopped."""
        if self._cut.is_stale(now_us):
            self._hand_on(self._cut.flush())

    def _stop(self) -> None:
        self._hand_on(self._cut.flush(self._last_us if self._is_ending else None))
        self.is_recording = self._is_ending = self._is_broken = False
        self._finish(self.stream)

    def _record(self, unit: Unit) -> None:
        if self._is_broken and not unit.is_keyframe:
            self.lost += 1
            return
        self._is_broken = False
        self._hand_on(self._cut.push(unit))
        if self._is_broken and not unit.is_keyframe:  # it needs what was lost just now
            self._cut.flush()
            self.lost += 1
        if unit.is_keyframe:  # it needs nothing of what was lost before it
            self._is_broken = False

    def _hand_on(self, piece: Piece | None) -> None:
        if piece and not self._write(piece):
            self.lost += len(piece.units)
            self._is_broken = True
