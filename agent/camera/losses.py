"""Pictures that came damaged: left out, counted, told now and then, and too many in a row end the camera."""

import logging

from agent.errors import CameraError
from agent.model.log_limit import LogLimit

log = logging.getLogger(__name__)

LOG_EVERY_S = 10.0


class Losses:
    """The damaged pictures of one run of a camera. Pure but for its log: the time is an argument."""

    def __init__(self, in_a_row: int) -> None:
        """So many `in_a_row` are no accident any more."""
        self.last: object = None
        """Why the last one was left out."""
        self._limit = max(1, in_a_row)
        self._row = 0
        self._log_limit = LogLimit(LOG_EVERY_S)

    @property
    def total(self) -> int:
        """How many were left out."""
        return self._log_limit.count

    def good(self) -> None:
        """A picture was whole."""
        self._row = 0

    def bad(self, reason: object, now_s: float) -> None:
        """A picture is left out. Raises CameraError where it is one too many in a row."""
        is_told = self._log_limit.note(now_s)
        self.last = reason
        self._row += 1
        if self._row >= self._limit:
            raise CameraError(f"{self._row} pictures in a row were damaged, the last one: {reason}")
        if is_told:
            log.warning(f"camera: a damaged picture is left out ({self.total} so far): {reason}")
