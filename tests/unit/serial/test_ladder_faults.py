"""Ten thousand faults of a modem, one life long: what is cured and how soon, and what is never done.

With a second address: without one, a modem that says it is connected is at fault by nobody's word.
"""

from collections import defaultdict
from random import Random

import pytest
from fakes.modem_faults import KINDS, PORTAL_IS_AWAY, FaultyModem
from pydantic import TypeAdapter

from agent.serial.modem.ladder import DAY_S, GENTLE, REBOOTS_A_DAY, RUNGS, Facts, Ladder, Memory, Take
from agent.serial.modem.recovery import FAULT_S

FAULTS = 10_000
FEWER = 250
TICK_S = 5.0
BOOT_S = 40.0
SOON_S = 300.0
MEMORY = TypeAdapter(Memory)


class Life:
    """A device over years; its ladder begins anew with every boot and every restart of the agent."""

    def __init__(self, seed, kinds=KINDS, *, has_second=True):
        self.random = Random(seed)
        self.modem, self.has_second = FaultyModem(self.random, kinds), has_second
        self.connected_s = 0.0
        self.now_s, self.born_s = 0.0, 0.0
        self.ladder = Ladder(0.0)
        self.taken = defaultdict(list)
        self.wrong = []
        self.cured_s = defaultdict(list)
        self.days = 0

    def rest(self):
        """Well, until the next fault; the wall clock is nobody's concern."""
        end_s = self.now_s + self.random.expovariate(1 / (5 * 3600.0))
        while self.now_s < end_s:
            self._decide(has_path=True)
            self.now_s = min(end_s, self.now_s + 3600.0)
        if self.random.random() < 0.1:
            self._start_again()

    def suffer(self):
        """One fault, to its end."""
        self.modem.strike(self.now_s)
        began_s = self.now_s
        while not self.modem.is_well(self.now_s) and self.now_s - began_s < 1.5 * DAY_S:
            decision = self._decide(has_path=not self.modem.link_is_down(self.now_s))
            if isinstance(decision, Take):
                self._take(decision.step)
            self.now_s += TICK_S if self.now_s - began_s < 600 else 6 * TICK_S
        self.cured_s[self.modem.kind.name].append(self.now_s - began_s)

    def _decide(self, has_path):
        hindrance = self.modem.shown_hindrance(self.now_s)
        if has_path or self.modem.says_connected(self.now_s):
            self.connected_s = self.now_s
        is_at_fault = self.has_second or self.now_s - self.connected_s >= FAULT_S
        facts = Facts(has_path, is_at_fault=is_at_fault, hindrance=hindrance)
        return self.ladder.decide(self.now_s - self.born_s, facts)

    def _take(self, step):
        self.taken[step].append(self.now_s)
        if self.modem.hindrance(self.now_s) or (self.modem.kind is PORTAL_IS_AWAY and step not in GENTLE):
            self.wrong.append((self.modem.kind.name, step))
        took_s, is_done = self.modem.take(step, self.now_s)
        self.now_s += took_s
        if step == "reboot":
            self.now_s += BOOT_S
            self._start_again()
        else:
            self.ladder.on_taken(self.now_s - self.born_s, is_done=is_done)

    def _start_again(self):
        """What was kept is all that is known."""
        kept = MEMORY.dump_json(self.ladder.memory)
        self.born_s = self.now_s
        self.ladder = Ladder(0.0, MEMORY.validate_json(kept))

    def most_in_a_day(self, step):
        """In any 24 hours of real time."""
        most, first = 0, 0
        times = self.taken[step]
        for last, at_s in enumerate(times):
            while at_s - times[first] >= DAY_S:
                first += 1
            most = max(most, last - first + 1)
        return most


@pytest.fixture(scope="module")
def life():
    life = Life(seed=17)
    for _ in range(FAULTS):
        life.rest()
        life.suffer()
    return life


def test_what_a_step_can_cure_is_cured_within_five_minutes(life):
    curable = [s for kind in KINDS if kind.cure for s in life.cured_s[kind.name]]
    assert len(curable) > FAULTS / 2
    assert sum(s < SOON_S for s in curable) / len(curable) >= 0.95


def test_so_is_each_kind_but_what_takes_a_reboot(life):
    for kind in KINDS:
        if kind.cure not in ("", "reboot"):
            took_s = life.cured_s[kind.name]
            assert sum(s < SOON_S for s in took_s) / len(took_s) >= 0.8, kind.name
        assert life.cured_s[kind.name], f"{kind.name} never came"


def test_nothing_is_tried_and_nothing_rebooted_where_cell_or_card_are_at_fault(life):
    assert life.wrong == []


def test_no_day_sees_more_than_its_bound(life):
    bounds = {rung.step: rung.per_day for rung in RUNGS} | {"reboot": REBOOTS_A_DAY}
    for step, bound in bounds.items():
        assert 0 < life.most_in_a_day(step) <= bound, step


@pytest.fixture(scope="module")
def alone():
    """Without a second address, and with a portal that is away at times."""
    life = Life(seed=18, kinds=(*KINDS, PORTAL_IS_AWAY), has_second=False)
    for _ in range(FEWER):
        life.rest()
        life.suffer()
    return life


def test_a_portal_that_is_away_resets_nothing(alone):
    assert len(alone.cured_s[PORTAL_IS_AWAY.name]) > FEWER / 10
    assert alone.wrong == []


def test_what_a_modem_says_itself_is_cured_without_a_second_address_too(alone):
    known = [kind for kind in KINDS if kind.cure not in ("", "reboot") and not kind.says_connected]
    took_s = [s for kind in known for s in alone.cured_s[kind.name]]
    assert len(took_s) > FEWER / 5
    assert sum(s < 2 * SOON_S for s in took_s) / len(took_s) >= 0.95
    for kind in KINDS:
        if kind.cure == "power-cycle" and kind.says_connected:
            assert alone.cured_s[kind.name], f"{kind.name} never came"
            assert min(alone.cured_s[kind.name]) >= 1.5 * DAY_S, "this is what a second address is for"
