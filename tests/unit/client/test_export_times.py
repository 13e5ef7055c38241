"""Times as people type them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.client.export import parse_time
from agent.errors import PinholeError

NOW = datetime(2026, 11, 29, 12, 30, 15, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", NOW),
        ("15m", NOW - timedelta(minutes=15)),
        ("90s", NOW - timedelta(seconds=90)),
        ("2d", NOW - timedelta(days=2)),
        ("10:00", NOW.replace(hour=10, minute=0, second=0)),
        ("10:00:07", NOW.replace(hour=10, minute=0, second=7)),
        ("2026-11-28T23:59", datetime(2026, 11, 28, 22, 59, tzinfo=UTC)),
        ("2026-11-28 23:59", datetime(2026, 11, 28, 22, 59, tzinfo=UTC)),
        ("2026-11-28T23:59Z", datetime(2026, 11, 28, 23, 59, tzinfo=UTC)),
    ],
)
def test_a_time_is_understood(text, wanted):
    assert parse_time(text, NOW) == wanted.timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "m", "-5m", "25:00", "99999999d", "10", "1.5h"])
def test_what_is_no_time_is_told_with_what_is(text):
    with pytest.raises(PinholeError, match=r"no time: 2026-11-29T10:00, 10:00 \(today\), 15m \(ago\) or now"):
        parse_time(text, NOW)
