"""Slows down whoever guesses passwords."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

FREE_FAILURES = 5
MAX_WAIT_S = 300.0
MAX_ADDRESSES = 4096
FORGET_AFTER_S = 3600.0


@dataclass(slots=True)
class _Record:
    failures: int
    last_s: float


class Throttle:
    """After five failures an address waits 1 s, then 2 s, 4 s … up to 5 min.

    It starts afresh when it succeeds or rests for an hour. `now_s` is monotonic.
    At most 4096 addresses are remembered; the one that failed longest ago goes first.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address has to wait before the next attempt; 0 where it need not."""
        record = self._records.get(_network(address))
        if record is None or record.failures < FREE_FAILURES:
            return 0.0
        pause = min(MAX_WAIT_S, 2.0 ** (record.failures - FREE_FAILURES))
        return max(0.0, record.last_s + pause - now_s)

    def on_failure(self, address: str, now_s: float) -> None:
        """Count one wrong password."""
        key = _network(address)
        record = self._records.setdefault(key, _Record(0, now_s))
        if now_s - record.last_s > FORGET_AFTER_S:
            record.failures = 0
        record.failures = min(record.failures + 1, 64)  # keeps 2**n finite
        record.last_s = now_s
        self._records.move_to_end(key)
        if len(self._records) > MAX_ADDRESSES:
            self._records.popitem(last=False)

    def on_success(self, address: str) -> None:
        """Forget what an address did wrong."""
        self._records.pop(_network(address), None)


def _network(address: str) -> str:
    """An IPv6 host owns a /64 of addresses (RFC 4291 section 2.5.1): they count as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 4 or (parsed.version == 6 and parsed.ipv4_mapped):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
