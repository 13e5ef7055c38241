"""Days and hours, as `mon-fri 18:00-06:00`, in the device's local time. Pure."""

import re
from dataclasses import dataclass

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RULE = re.compile(r"([a-z]{3}(?:[-,][a-z]{3})*) (\d\d):(\d\d)-(\d\d):(\d\d)")
DAY_MIN = 24 * 60
"""Minutes."""


@dataclass(frozen=True, slots=True)
class Hours:
    """One line of a schedule."""

    days: frozenset[int]
    """0 is Monday; the day on which they begin."""
    begin_min: int
    end_min: int
    """Where it is not behind `begin_min`, of the day after."""

    def covers(self, weekday: int, minute: int) -> bool:
        """Whether that time is within them."""
        if self.begin_min < self.end_min:
            return weekday in self.days and self.begin_min <= minute < self.end_min
        yesterday = (weekday - 1) % 7
        return (weekday in self.days and minute >= self.begin_min) or (
            yesterday in self.days and minute < self.end_min
        )


def parse_hours(text: str) -> Hours:
    """One line. Raises ValueError that says what it should be."""
    found = _RULE.fullmatch(text.strip().lower())
    if not found:
        raise ValueError('must be days and hours, as in "mon-fri 18:00-06:00" or "sat,sun 00:00-24:00"')
    days = frozenset(day for part in found[1].split(",") for day in _days(part))
    begin, end = _minutes(found[2], found[3]), _minutes(found[4], found[5])
    if begin in (end, DAY_MIN):
        raise ValueError("must end at another time than it begins; a whole day is 00:00-24:00")
    return Hours(days, begin, end)


def _days(part: str) -> list[int]:
    names = part.split("-")
    if unknown := [name for name in names if name not in DAYS]:
        raise ValueError(f"{unknown[0]} is no day: they are {', '.join(DAYS)}")
    if len(names) > 2:  # from, to
        raise ValueError(f"{part} must be one day, or two with a dash between them")
    first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    return [day % 7 for day in range(first, last + 1 if last >= first else last + 8)]


def _minutes(hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or found > DAY_MIN:  # minutes
        raise ValueError(f"{hour}:{minute} is no time of day")
    return found
