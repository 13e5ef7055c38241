"""The data plan of a SIM card: what was sent this month, and what that means for the bitrate. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import Field, with_config

from agent.model.clock import EARLIEST_UNIX_S
from agent.model.event import EventKind
from agent.model.signal import STRICT


@dataclass(frozen=True, slots=True)
class Plan:
    """What may be sent in a month."""

    cap_bytes: int
    warn_share: float
    first_day: int
    """Of the month, 1 to 28, in UTC: when the count starts anew."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Usage:
    """What was sent in one month."""

    since: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """The month's first day, or empty as long as the clock is wrong."""
    sent_bytes: Annotated[int, Field(ge=0)] = 0
    is_warned: bool = False
    is_exceeded: bool = False


class DataBudget:
    """Counts, and says once a month when it becomes tight and when it is used up."""

    def __init__(self, plan: Plan, usage: Usage | None) -> None:
        """`usage` is what was counted before this process."""
        self._plan = plan
        self.usage = usage or Usage(date.min.isoformat())

    def add(self, sent_bytes: int, unix_s: float) -> tuple[EventKind, ...]:
        """Count what was sent; what there is to tell about it now."""
        before = self.at(unix_s)
        if unix_s >= EARLIEST_UNIX_S:
            # Counted while the clock was wrong, in the past or in the future: it was sent all the same.
            before = replace(before, since=month_of(unix_s, self._plan.first_day).isoformat())
        total = before.sent_bytes + sent_bytes
        is_warned = before.is_warned or total >= self._plan.warn_share * self._plan.cap_bytes
        is_exceeded = before.is_exceeded or total >= self._plan.cap_bytes
        self.usage = Usage(before.since, total, is_warned, is_exceeded)
        if is_exceeded and not before.is_exceeded:
            return ("data-cap-reached",)
        return ("data-cap-near",) if is_warned and not before.is_warned else ()

    def at(self, unix_s: float) -> Usage:
        """What was sent in this moment's month: one may have begun while nothing was sent.

        A clock that is behind takes none back, and one that was ahead for a while has lost no count.
        """
        month = month_of(unix_s, self._plan.first_day).isoformat()
        is_new = unix_s >= EARLIEST_UNIX_S and date.min.isoformat() < self.usage.since < month
        return Usage(month) if is_new else self.usage

    def refill(self) -> None:
        """The month's count begins anew."""
        self.usage = Usage(self.usage.since)


def month_of(unix_s: float, first_day: int) -> date:
    """The first day of the plan's month that this moment is in."""
    today = datetime.fromtimestamp(unix_s, UTC).date()
    if today.day >= first_day:
        return today.replace(day=first_day)
    year, month = (today.year, today.month - 1) if today.month > 1 else (today.year - 1, 12)
    return date(year, month, first_day)
