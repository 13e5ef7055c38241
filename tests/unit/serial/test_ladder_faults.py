"""Ten thousand faults of a modem, one life long: what is cured and how soon, and what is never done."""

from collections import defaultdict
from random import Random

import pytest
from fakes.modem_faults import KINDS, FaultyModem
from pydantic import TypeAdapter

from agent.serial.modem.ladder import DAY_S, REBOOTS_A_DAY, RUNGS, Facts, Ladder, Memory, Take

FAULTS = 10_000
TICK_S = 5.0
BOOT_S = 40.0
SOON_S = 300.0
MEMORY = TypeAdapter(Memory)


class Life:
    """A device over years; its ladder begins anew with every boot and every restart of the agent."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.modem = FaultyModem(self.random)
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
        while not self.modem.is_well(self.now_s):
            decision = self._decide(has_path=not self.modem.link_is_down(self.now_s))
            if isinstance(decision, Take):
                self._take(decision.step)
            self.now_s += TICK_S if self.now_s - began_s < 600 else 6 * TICK_S
        self.cured_s[self.modem.kind.name].append(self.now_s - began_s)

    def _decide(self, has_path):
        hindrance = self.modem.shown_hindrance(self.now_s)
        return self.ladder.decide(self.now_s - self.born_s, Facts(has_path, hindrance=hindrance))

    def _take(self, step):
        self.taken[step].append(self.now_s)
        if self.modem.hindrance(self.now_s):
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
