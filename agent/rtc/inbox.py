"""What one viewer sends under SRTP: read as it comes, or with the next picture where that is soon enough.

The process sleeps between two pictures, and wakes with its caches full of others' things. To judge all the
reports in a row, right before they are needed, costs a fraction of judging each by itself.
"""

import time
from collections.abc import Callable

from agent.rtc.rtcp import is_transport_report

MAX_HELD = 4
"""Between two pictures comes one, or two."""


class Inbox:
    """One a viewer."""

    def __init__(self, read: Callable[[bytes], None]) -> None:
        self.at_ns = 0
        """When what is being read came."""
        self.can_wait: Callable[[int], bool] = lambda _: False
        """Whether a report changes nothing before the next picture, which is near."""
        self._read = read
        self._held: list[tuple[bytes, int]] = []

    def take(self, packet: bytes) -> None:
        """Read it, or hold it back; what it is, its head says, which nobody has proven yet."""
        now_ns = time.monotonic_ns()
        if is_transport_report(packet) and len(self._held) < MAX_HELD and self.can_wait(now_ns):
            self._held.append((packet, now_ns))
            return
        self.catch_up()
        self.at_ns = now_ns
        self._read(packet)

    def catch_up(self) -> None:
        """Read what was held back."""
        if self._held:
            held, self._held = self._held, []
            for packet, self.at_ns in held:
                self._read(packet)
