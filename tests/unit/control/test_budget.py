"""The month's data: counted, told, held down."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agent.control import allowance
from agent.control.allowance import DataAllowance
from agent.control.budget import DataBudget, Plan, Usage, month_of

GB = 1_000_000_000
PLAN = Plan(10 * GB, 0.8, 1)


def at(*when):
    return datetime(*when, tzinfo=UTC).timestamp()


NOVEMBER = at(2026, 11, 24)


def test_it_tells_once_when_it_becomes_tight_and_once_when_it_is_used_up():
    budget = DataBudget(PLAN, None)
    news = [budget.add(GB, NOVEMBER) for _ in range(12)]
    assert news == [()] * 7 + [("data-cap-near",), (), ("data-cap-reached",), (), ()]
    assert budget.usage == Usage("2026-11-01", 12 * GB, is_warned=True, is_exceeded=True)


def test_a_new_month_starts_anew():
    budget = DataBudget(PLAN, Usage("2026-11-01", 11 * GB, is_warned=True, is_exceeded=True))
    assert budget.add(5, at(2026, 11, 30, 23, 59)) == ()
    budget.add(7, at(2026, 12, 1, 0, 1))
    assert budget.usage == Usage("2026-12-01", 7)


def test_a_clock_that_is_wrong_loses_no_count():
    budget = DataBudget(PLAN, Usage("2026-11-01", 3 * GB))
    budget.add(GB, at(1970, 1, 1, 0, 1))
    assert budget.usage.sent_bytes == 4 * GB, "a board without a battery boots into the past"
    budget.add(GB, NOVEMBER)
    assert budget.usage == Usage("2026-11-01", 5 * GB)
    fresh = DataBudget(PLAN, None)
    fresh.add(GB, at(1970, 1, 1))
    fresh.add(GB, NOVEMBER)
    assert fresh.usage == Usage("2026-11-01", 2 * GB)
    ahead = DataBudget(PLAN, Usage("2038-01-01", 3 * GB))
    ahead.add(GB, NOVEMBER)
    assert ahead.usage == Usage("2026-11-01", 4 * GB)


def test_the_providers_month():
    assert month_of(at(2026, 11, 14), 15).isoformat() == "2026-10-15"
    assert month_of(at(2026, 11, 15), 15).isoformat() == "2026-11-15"
    assert month_of(at(2027, 1, 3), 15).isoformat() == "2026-12-15"


@given(st.lists(st.integers(0, GB), max_size=50), st.integers(0, 50))
def test_a_restart_changes_nothing(sent, restart_at):
    one, other, told, retold = DataBudget(PLAN, None), DataBudget(PLAN, None), [], []
    for number, count in enumerate(sent):
        if number == restart_at:
            other = DataBudget(PLAN, other.usage)
        told += one.add(count, NOVEMBER)
        retold += other.add(count, NOVEMBER)
    assert (one.usage, told) == (other.usage, retold)


class Record:
    def __init__(self):
        self.value, self.urgent = None, []

    def load(self):
        return self.value

    def keep(self, value, _now_s, *, is_urgent=False):
        self.value = value
        self.urgent.append(is_urgent)

    def write(self, value):
        self.value = value


def test_once_it_is_used_up_streams_are_held_down_also_after_a_restart(monkeypatch):
    monkeypatch.setattr(allowance.time, "time", lambda: NOVEMBER)
    record, events = Record(), []
    it = DataAllowance(Plan(100_000_000, 0.8, 1), 300_000, record, lambda *event: events.append(event))
    it.on_sent(79_000_000)
    assert (it.ceiling_bps, events) == (None, [])
    it.on_sent(1_000_000)
    it.on_sent(20_000_000)
    assert it.ceiling_bps == 300_000
    assert [kind for kind, _ in events] == ["data-cap-near", "data-cap-reached"]
    assert events[1][1] == "100 of 100 MB of this month's data are used; streams are held to 300 kb/s"
    assert record.urgent == [False, True, True]
    again = DataAllowance(Plan(100_000_000, 0.8, 1), 300_000, record, lambda *event: events.append(event))
    assert again.ceiling_bps == 300_000
    again.on_sent(5)
    assert len(events) == 2, "it is told once"


def test_a_month_begins_though_nothing_is_sent(monkeypatch):
    """Else what waits for it, as an upload, would wait until somebody watched."""
    record = Record()
    it = DataAllowance(Plan(100_000_000, 0.8, 1), 300_000, record, lambda *_: None)
    monkeypatch.setattr(allowance.time, "time", lambda: NOVEMBER)
    it.on_sent(100_000_000)
    for unix_s in (0.0, at(2026, 10, 15), at(2026, 11, 30, 23, 59)):
        monkeypatch.setattr(allowance.time, "time", lambda now=unix_s: now)
        assert it.usage == Usage("2026-11-01", 100_000_000, is_warned=True, is_exceeded=True)
    monkeypatch.setattr(allowance.time, "time", lambda: at(2026, 12, 1, 0, 1))
    assert it.usage == Usage("2026-12-01")
    assert it.section().is_exceeded is False
    assert it.ceiling_bps is None
    again = DataAllowance(Plan(100_000_000, 0.8, 1), 300_000, record, lambda *_: None)
    assert again.usage == Usage("2026-12-01"), "also where it began while the agent did not run"


def test_a_clock_that_was_ahead_while_nothing_was_sent_loses_no_count(monkeypatch):
    record = Record()
    it = DataAllowance(Plan(100_000_000, 0.8, 1), 300_000, record, lambda *_: None)
    monkeypatch.setattr(allowance.time, "time", lambda: NOVEMBER)
    it.on_sent(100_000_000)
    monkeypatch.setattr(allowance.time, "time", lambda: at(2038, 1, 19))
    assert it.ceiling_bps is None
    it.keep()
    it.close()
    monkeypatch.setattr(allowance.time, "time", lambda: NOVEMBER + 60)
    again = DataAllowance(Plan(100_000_000, 0.8, 1), 300_000, record, lambda *_: None)
    for each in (it, again):
        assert each.usage == Usage("2026-11-01", 100_000_000, is_warned=True, is_exceeded=True)


def test_a_plan_that_was_filled_up_begins_anew_and_is_told_anew(monkeypatch):
    monkeypatch.setattr(allowance.time, "time", lambda: NOVEMBER)
    record, events = Record(), []
    it = DataAllowance(Plan(100_000_000, 0.8, 1), 300_000, record, lambda *event: events.append(event))
    it.on_sent(100_000_000)
    it.refill()
    assert it.ceiling_bps is None
    assert (record.value, record.urgent[-1]) == (Usage("2026-11-01"), True)
    it.on_sent(100_000_000)
    assert [kind for kind, _ in events] == ["data-cap-reached"] * 2
