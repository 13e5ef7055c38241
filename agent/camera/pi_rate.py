"""How fast a Pi's sensor runs: at its full rate while anything is encoded, else as motion needs it."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.model.media import StreamName

REST_US = 100_000
"""Ten pictures a second: every second one is looked at. At five a second the exposure would follow the light
half as fast, and who comes would wait for the full rate for twice as long."""
CONTROL = "FrameDurationLimits"


class SensorRate:
    """One running camera's. Its calls return at once: the change goes with the next request.

    Those that libcamera holds already keep the old rate, and so does the sensor for two or three pictures
    more: the very next picture is encoded all the same, one that is late by a tenth of a second at most.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        known: Mapping[str, Any],
        set_controls: Callable[[dict[str, Any]], None],
    ) -> None:
        """`given` are the controls of the full rate, `known` the camera's with their limits in this mode."""
        self._set_controls = set_controls
        self._active = set[StreamName]()
        self._full: tuple[int, int] | None = given.get(CONTROL)
        """None where this camera's rate cannot be set."""
        self._rest = self._full and _rest(self._full, known.get(CONTROL))
        self._now = self._full

    def note(self, stream: StreamName, *, is_active: bool) -> None:
        """Whether this stream is encoded from now on."""
        if is_active:
            self._active.add(stream)
        else:
            self._active.discard(stream)
        wanted = self._full if self._active else self._rest
        if wanted != self._now:
            self._now = wanted
            self._set_controls({CONTROL: wanted})


def _rest(full: tuple[int, int], known: Any) -> tuple[int, int]:
    """No faster than the full rate, and no slower than the sensor's mode goes."""
    slowest_us = int(known[1]) if known and known[1] else REST_US
    shortest_us = max(full[0], min(REST_US, slowest_us))
    return shortest_us, max(full[1], shortest_us)
