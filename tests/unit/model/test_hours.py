"""Days and hours of a schedule."""

import pytest

from agent.model.hours import DAYS, parse_hours


@pytest.mark.parametrize(
    ("text", "within", "outside"),
    [
        ("mon-fri 08:00-18:00", ["mon 08:00", "fri 17:59"], ["mon 07:59", "fri 18:00", "sat 12:00"]),
        ("sat,sun 00:00-24:00", ["sat 00:00", "sun 23:59"], ["fri 23:59", "mon 00:00"]),
        ("fri 22:00-06:00", ["fri 22:00", "sat 05:59"], ["fri 05:00", "sat 06:00", "sat 23:00"]),
        ("sat-mon 10:00-11:00", ["sat 10:30", "sun 10:30", "mon 10:30"], ["tue 10:30"]),
        ("sun 23:00-01:00", ["sun 23:30", "mon 00:30"], ["mon 23:30", "sun 00:30"]),
    ],
)
def test_what_they_cover(text, within, outside):
    hours = parse_hours(text)
    for when, expected in [*((one, True) for one in within), *((one, False) for one in outside)]:
        day, time = when.split()
        minute = int(time[:2]) * 60 + int(time[3:])
        assert hours.covers(DAYS.index(day), minute) is expected, when


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("08:00-18:00", "must be days and hours"),
        ("mon 8-18", "must be days and hours"),
        ("mon 08:00-08:00", "another time"),
        ("mon 24:00-08:00", "another time"),
        ("mon 08:60-09:00", "no time of day"),
        ("mon 08:00-24:01", "no time of day"),
        ("foo 08:00-09:00", "foo is no day"),
        ("mon-wed-fri 08:00-09:00", "two with a dash"),
    ],
)
def test_what_is_none_is_said(text, words):
    with pytest.raises(ValueError, match=words):
        parse_hours(text)
