"""How much one device may say to a portal: beyond it, what it says is dropped unread. Pure.

No broker of ours limits how often a client publishes (Mosquitto 2.0 and 2.1 have no option for it), and to
prove one message costs a portal about as much as to forward a hundred.
"""

from collections import OrderedDict
from dataclasses import dataclass

RATE_PER_S, BURST = 50.0, 1000.0
"""A device that serves 64 viewers, all of whom restart at once, says some 15 messages to each."""
UNIT_BYTES = 8 * 1024
"""A message counts once, and once more for each of these: to read it costs as it is long."""
MAX_DEVICES = 16_384
MAX_LOUD = 64
LOUD_S = 60.0
"""A device is told of for so long after its last message that was dropped."""
MAX_DROPPED = 2000
"""A device of which so many were dropped has filled what is under way to us: all others wait behind it."""
STRAY_COUNTS = 100
"""As many that were dropped: a device is kept out that leaves twenty at the broker."""
KEEP_OUT_S = 300.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Quotas:
    """A token bucket for each device. Any clock will do: one that steps gives at most a full bucket."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._loud: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """How many messages of it were dropped, and when the last."""
        self._out: dict[str, float] = {}
        """Who is kept out, and until when."""

    def admits(self, device: str, size_bytes: int, now_s: float) -> bool:
        """Count one message; False where it is one too many."""
        bucket = self._buckets.get(device)
        if bucket is None:
            bucket = self._buckets[device] = _Bucket(BURST, now_s)
            if len(self._buckets) > MAX_DEVICES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(device)
        passed_s = max(0.0, now_s - bucket.at_s)
        bucket.tokens, bucket.at_s = min(BURST, bucket.tokens + passed_s * RATE_PER_S), now_s
        cost = 1 + size_bytes // UNIT_BYTES
        if bucket.tokens >= cost:
            bucket.tokens -= cost
            return True
        self._note(device, 1, now_s)
        return False

    def blame(self, device: str, now_s: float) -> None:
        """It left something at the broker where nothing of it belongs: a sound agent never does."""
        self._note(device, STRAY_COUNTS, now_s)

    def loud(self, now_s: float) -> dict[str, int]:
        """Of whom messages were dropped within the last minute, and how many since that began."""
        for device, (_, last_s) in list(self._loud.items()):
            if not 0 <= now_s - last_s <= LOUD_S:
                del self._loud[device]
        return {device: count for device, (count, _) in self._loud.items()}

    def keep_out(self, now_s: float) -> frozenset[str]:
        """Who shall not reach the broker for a while: to drop what such a device says is not enough."""
        for device, count in self.loud(now_s).items():
            if count >= MAX_DROPPED:
                del self._loud[device]
                self._out[device] = now_s + KEEP_OUT_S
        for device, until_s in list(self._out.items()):
            if not now_s < until_s <= now_s + KEEP_OUT_S:  # over, or the clock was set back
                del self._out[device]
        return frozenset(self._out)

    def _note(self, device: str, count: int, now_s: float) -> None:
        self._loud[device] = self._loud.get(device, (0, 0.0))[0] + count, now_s
        self._loud.move_to_end(device)
        if len(self._loud) > MAX_LOUD:
            self._loud.popitem(last=False)
