"""One timer for many."""

import asyncio
import time

from agent.rtc.alarm import Alarm


class Clock:
    """What `time.monotonic_ns` and `call_later` are to the alarm."""

    def __init__(self, monkeypatch):
        self.now_ns, self.timers = 0, []
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now_ns)
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_later(self, wait_s, call):
        timer = Timer(self.now_ns + round(wait_s * 1e9), call)
        self.timers.append(timer)
        return timer

    def run_to(self, ns):
        rung = 0
        while due := [timer for timer in self.timers if timer.is_set and timer.at_ns <= ns]:
            first = min(due, key=lambda timer: timer.at_ns)
            first.is_set, self.now_ns = False, first.at_ns
            first.call()
            rung += 1
        self.now_ns = ns
        return rung


class Timer:
    def __init__(self, at_ns, call):
        self.at_ns, self.call, self.is_set = at_ns, call, True

    def cancel(self):
        self.is_set = False


MS = 1_000_000


def test_those_who_are_due_together_are_woken_together(monkeypatch):
    clock, alarm, calls = Clock(monkeypatch), Alarm(), []
    for number in range(8):
        alarm.set(lambda number=number: calls.append((number, clock.now_ns)), 10 * MS + number * MS // 10)
    assert clock.run_to(20 * MS) == 1
    assert [number for number, _ in calls] == list(range(8))
    assert all(10.7 * MS <= at <= 11.7 * MS for _, at in calls), "never before its time"


def test_a_later_wish_replaces_the_former_and_an_earlier_one_is_kept_to(monkeypatch):
    clock, alarm, calls = Clock(monkeypatch), Alarm(), []

    def call():
        calls.append(clock.now_ns)

    alarm.set(call, 5 * MS)
    alarm.set(call, 50 * MS)
    clock.run_to(40 * MS)
    assert calls == []
    alarm.set(call, 42 * MS)
    clock.run_to(100 * MS)
    assert calls == [43 * MS]


def test_who_leaves_is_not_called_and_may_leave_another(monkeypatch):
    clock, alarm, calls = Clock(monkeypatch), Alarm(), []

    def second():
        calls.append("second")

    def first():
        calls.append("first")
        alarm.drop(second)

    alarm.set(first, MS)
    alarm.set(second, MS)
    clock.run_to(10 * MS)
    assert calls == ["first"]
    assert not any(timer.is_set for timer in clock.timers)
