"""What is left of the data plan, kept over restarts: counts, tells, and holds the bitrate down."""

import time
from collections.abc import Callable
from typing import Protocol

from agent.control.budget import DataBudget, Plan, Usage
from agent.model.event import EventKind
from agent.model.sections import PlanSection

MB = 1_000_000


class Record(Protocol):
    """Where the count survives a restart."""

    def load(self) -> Usage | None: ...
    def keep(self, value: Usage, now_s: float, *, is_urgent: bool = False) -> None: ...
    def write(self, value: Usage) -> None: ...


class DataAllowance:
    """One a device."""

    def __init__(
        self, plan: Plan, ceiling_bps: int, record: Record, on_event: Callable[[EventKind, str], None]
    ) -> None:
        self._plan = plan
        self._ceiling_bps = ceiling_bps
        self._record = record
        self._on_event = on_event
        self._budget = DataBudget(plan, record.load())

    @property
    def usage(self) -> Usage:
        """What was sent this month."""
        return self._budget.at(time.time())

    def section(self) -> PlanSection:
        """What the device's state says of the plan."""
        usage = self.usage
        return PlanSection(usage.since, usage.sent_bytes, self._plan.cap_bytes, usage.is_exceeded)

    @property
    def ceiling_bps(self) -> int | None:
        """The most that an encoder may make; None while there is data left."""
        return self._ceiling_bps if self.usage.is_exceeded else None

    def on_sent(self, sent_bytes: int) -> None:
        """Count what left."""
        news = self._budget.add(sent_bytes, time.time())
        usage = self._budget.usage
        used, cap = usage.sent_bytes / MB, self._plan.cap_bytes / MB
        for kind in news:
            words = f"{used:,.0f} of {cap:,.0f} MB of this month's data are used"
            if kind == "data-cap-reached":
                words += f"; streams are held to {self._ceiling_bps // 1000} kb/s"
            self._on_event(kind, words)
        self._record.keep(usage, time.monotonic(), is_urgent=bool(news))

    def keep(self) -> None:
        """Write what was counted since the last write, once that is due: a power cut forgets no more."""
        self._record.keep(self._budget.usage, time.monotonic())

    def refill(self) -> None:
        """Somebody bought more data."""
        self._budget.refill()
        self._record.keep(self._budget.usage, time.monotonic(), is_urgent=True)

    def close(self) -> None:
        """Write what was counted last."""
        self._record.write(self._budget.usage)
