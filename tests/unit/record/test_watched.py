"""What the audit log is told of a playback."""

from agent.record.watched import Watched

NOON_US = 1_800_000_000_000_000


def test_it_names_what_was_asked_what_was_seen_and_for_how_long():
    one = Watched(NOON_US, 100.0)
    assert one.words(103.4) == "from 2027-01-15 08:00:00 UTC on; saw nothing, in 3 s"
    for wall_us in (NOON_US + 5_000_000, NOON_US - 60_000_000, NOON_US + 1_000_000):
        one.note(wall_us)
    assert one.words(143.0) == (
        "from 2027-01-15 08:00:00 UTC on; saw 2027-01-15 07:59:00 UTC to 2027-01-15 08:00:05 UTC, in 43 s"
    )


def test_a_card_may_say_any_time():
    one = Watched(0, 0.0)
    one.note(-(2**62))
    one.note(2**62)
    assert "µs" in one.words(1.0)
    assert len(one.words(1e9)) < 400, "as much as the audit log takes"
