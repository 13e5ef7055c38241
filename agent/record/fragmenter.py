"""Cuts a stream's pictures into fragments: a second each, and a new one at each IDR. Pure."""

from dataclasses import dataclass

from agent.model.media import StreamName, Unit

FRAGMENT_US = 1_000_000
EVENT_FRAGMENT_US = 500_000
"""While something happens: with what is on its way to the card, a power cut costs less than a second."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One fragment to write."""

    stream: StreamName
    units: tuple[Unit, ...]
    """The first may be an IDR, and no other."""
    next_us: int | None
    """When the picture behind them was taken; None where that is not known."""
    is_urgent: bool
    """To be on the card at once."""

    @property
    def size_bytes(self) -> int:
        """In memory."""
        return sum(len(unit.data) for unit in self.units) + 256 * len(self.units)


class Fragmenter:
    """Of one stream."""

    def __init__(self, stream: StreamName) -> None:
        self.is_urgent = False
        self._stream = stream
        self._units: list[Unit] = []

    def push(self, unit: Unit) -> Piece | None:
        """The next picture; gives the fragment that it ends."""
        made = None
        if self._units and (unit.is_keyframe or self._is_long(unit.capture_us)):
            made = self.flush(unit.capture_us)
        self._units.append(unit)
        return made

    def flush(self, next_us: int | None = None) -> Piece | None:
        """What there is of a fragment."""
        if not self._units:
            return None
        made = Piece(self._stream, tuple(self._units), next_us, self.is_urgent)
        self._units.clear()
        return made

    def is_stale(self, now_us: int) -> bool:
        """Whether no picture ends the fragment that is begun: the camera may have stopped."""
        return bool(self._units) and now_us - self._units[0].capture_us > 2 * FRAGMENT_US

    def _is_long(self, now_us: int) -> bool:
        length_us = EVENT_FRAGMENT_US if self.is_urgent else FRAGMENT_US
        return now_us - self._units[0].capture_us >= length_us
