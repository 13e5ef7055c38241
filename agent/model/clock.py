"""The clock of pictures, and what is known of the time before anybody was asked for it."""

import time
from datetime import UTC, datetime

EARLIEST_UNIX_S = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
"""No right clock says less; a board without a battery starts in the past."""


def now_us() -> int:
    """Of the monotonic clock, by which pictures and units are stamped; it never steps."""
    return time.monotonic_ns() // 1000
