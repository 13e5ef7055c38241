"""From a camera's thread to the event loop: bounded, with one wake-up pending at most."""

import threading
from collections import deque
from collections.abc import Callable

from agent.model.media import Unit

MAX_UNITS = 64
"""About two seconds of pictures: a loop that stalls for longer does not want to see them any more."""


class Handover:
    """A queue of pictures that drops to the next keyframe when the loop falls behind."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called from the camera's thread where a `take` is due and none has been asked for yet."""
        self._wake = wake
        self._lock = threading.Lock()
        self._units: deque[Unit] = deque()
        self._wake_pending = False
        self._keyframe_needed = True
        self.dropped = 0
        """Pictures that were not handed over, since ever."""

    @property
    def keyframe_needed(self) -> bool:
        """Nothing more comes before a keyframe does."""
        return self._keyframe_needed

    def put(self, unit: Unit) -> None:
        """Called from the camera's thread; never waits for the loop."""
        with self._lock:
            if not self._admit(unit):
                self.dropped += 1
                return
            self._units.append(unit)
            wake, self._wake_pending = not self._wake_pending, True
        if wake:
            self._wake()

    def take(self) -> list[Unit]:
        """All that wait, in order."""
        with self._lock:
            units, self._units = list(self._units), deque()
            self._wake_pending = False
        return units

    def _admit(self, unit: Unit) -> bool:
        full = len(self._units) >= MAX_UNITS
        if unit.is_keyframe:
            if full:
                self.dropped += len(self._units)
                self._units.clear()
            self._keyframe_needed = False
            return True
        if full:
            self._keyframe_needed = True
        return not self._keyframe_needed
