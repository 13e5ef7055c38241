"""How often somebody may do something. Time is monotonic."""

from collections import OrderedDict, deque

MAX_OWNERS = 4096


class TokenBucket:
    """So many at once, and so many a second."""

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._filled_s = now_s

    def admits(self, now_s: float) -> bool:
        """Count one; False where there were too many."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class MinuteLimit:
    """How often each may ask for something in a minute; `owner` is a user, a share link or a camera."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: OrderedDict[object, deque[float]] = OrderedDict()

    def admits(self, owner: object, now_s: float) -> bool:
        """Count one; False where there were too many in the last minute."""
        times = self._times.setdefault(owner, deque(maxlen=self._per_minute))
        self._times.move_to_end(owner)
        if len(self._times) > MAX_OWNERS:
            self._times.popitem(last=False)
        if len(times) == self._per_minute and now_s - times[0] < 60:
            return False
        times.append(now_s)
        return True
