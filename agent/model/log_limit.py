"""What may happen at any rate is counted each time and logged now and then. Pure: the time is an argument."""

import math

LOG_INTERVAL_S = 1.0


class LogLimit:
    """One kind of happening."""

    def __init__(self, interval_s: float = LOG_INTERVAL_S) -> None:
        self.count = 0
        """How often it has happened."""
        self._interval_s = interval_s
        self._logged_s = -math.inf

    def note(self, now_s: float) -> bool:
        """It has happened once more; whether to log it, with the count."""
        self.count += 1
        if abs(now_s - self._logged_s) < self._interval_s:  # abs: a clock set back must not silence the log
            return False
        self._logged_s = now_s
        return True
