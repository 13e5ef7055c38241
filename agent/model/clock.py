"""What is known of the time before anybody was asked for it."""

from datetime import UTC, datetime

EARLIEST_UNIX_S = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
"""No right clock says less; a board without a battery starts in the past."""
