"""Whether a viewer's clock is still the one that it was. Pure.

A packet arrives after it left, and before what tells of it is here. So each report bounds by how much the
viewer's clock is ahead of ours, however long a packet, or the report, was on its way: an outage widens the
bounds, and moves neither beyond the other one.
"""

import math

MARGIN_US = 1_000_000
"""A clock that steps by less, or by less than a round trip beyond it, is met as a longer or shorter route."""


class ViewerClock:
    """One a viewer; told of each report."""

    def __init__(self) -> None:
        self._least_us, self._most_us = -math.inf, math.inf

    def has_stepped(self, delay_us: float, newest_us: int, now_ns: int) -> bool:
        """Whether this report and the one before it are by two clocks.

        `delay_us` is its packets' least time from departure to arrival, and `newest_us` the last arrival.
        """
        least_us, most_us = newest_us - now_ns / 1000, delay_us
        is_ahead, is_behind = least_us > self._most_us + MARGIN_US, most_us < self._least_us - MARGIN_US
        self._least_us, self._most_us = least_us, most_us
        return is_ahead or is_behind
