"""The ladder, step by step."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import TypeAdapter

from agent.config.settings import ModemRecoverySettings
from agent.serial.modem.ladder import (
    DAY_S,
    MAX_REST_S,
    MAX_TAKEN,
    OBSERVE_S,
    REBOOT_AFTER_S,
    REBOOTS_A_DAY,
    RUNGS,
    START_S,
    WELL_S,
    Facts,
    Held,
    Ladder,
    Memory,
    Recovered,
    Take,
    Taken,
)

STEPS = [rung.step for rung in RUNGS]
LIVED = Memory(lived_s=DAY_S)
PATH, LOST = Facts(has_path=True), Facts(has_path=False)
ADAPTER = TypeAdapter(Memory)


class Climb:
    """A ladder that was well for an hour, and what it wants."""

    def __init__(self, memory=LIVED, **options):
        self.now_s = 5000.0
        self.ladder = Ladder(self.now_s, memory, **options)
        self.ladder.decide(self.now_s, PATH)
        self.now_s = self.lost_s = self.now_s + 3600

    def wait(self, seconds, facts=LOST, *, is_done=True, tick_s=1.0):
        """Each decision with its time since the loss."""
        made, end_s = [], self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += tick_s
            if decision := self.ladder.decide(self.now_s, facts):
                made.append((self.now_s - self.lost_s, decision))
                if isinstance(decision, Take):
                    self.ladder.on_taken(self.now_s, is_done=is_done)
        return made


def steps(made):
    return [decision.step for _, decision in made if isinstance(decision, Take)]


def test_each_step_comes_after_the_proof_of_the_one_before():
    climb = Climb()
    made = climb.wait(299)
    due_s = 1 + OBSERVE_S
    for (at_s, decision), rung in zip(made, RUNGS, strict=True):
        assert (decision, at_s) == (Take(rung.step), due_s)
        due_s += rung.proof_s
    assert climb.ladder.memory.last_step == "power-cycle"
    assert climb.ladder.memory.steps == len(RUNGS)


def test_what_comes_back_by_itself_is_left_alone():
    climb = Climb()
    assert climb.wait(OBSERVE_S) == []
    (_, decision), *more = climb.wait(100, PATH)
    assert (decision, more) == (Recovered("", OBSERVE_S), [])


def test_a_path_ends_the_climb_and_the_next_begins_below():
    climb = Climb()
    assert steps(climb.wait(60)) == STEPS[:2]
    (_, decision), *_ = climb.wait(10, PATH)
    assert decision == Recovered("cycle-radio", 60.0)
    assert steps(climb.wait(40)) == STEPS[:1]


def test_steps_that_cannot_be_done_cost_no_time():
    made = Climb().wait(100, is_done=False)
    assert [at_s for at_s, _ in made] == [31.0, 32.0, 33.0, 34.0, 35.0]


def test_what_the_device_has_no_means_for_is_left_out():
    climb = Climb()
    able = frozenset({"renew-bearer", "reset-modem"})
    assert steps(climb.wait(1000, Facts(False, able=able))) == ["renew-bearer", "reset-modem"] * 2


@pytest.mark.parametrize("hindrance", ["sim-missing", "sim-locked", "denied", "no-coverage", "plan-spent"])
def test_where_no_step_can_help_it_only_says_so_once(hindrance):
    climb = Climb()
    made = climb.wait(DAY_S, Facts(False, hindrance=hindrance), tick_s=20.0)
    assert [decision for _, decision in made] == [Held(hindrance)]
    assert steps(climb.wait(int(OBSERVE_S))) == [], "the path may come back by itself now"
    assert steps(climb.wait(10)) == STEPS[:1]
    assert "reboot" not in steps(climb.wait(REBOOT_AFTER_S - 100)), "its time counts from the end of that"


def test_nobody_who_watches_is_cut_off():
    climb = Climb()
    assert climb.wait(3000, Facts(False, has_media=True)) == []
    assert steps(climb.wait(OBSERVE_S + 5)) == STEPS[:1]


def test_a_modem_that_looks_for_its_network_after_a_step_is_not_without_coverage():
    climb = Climb()
    assert steps(climb.wait(80)) == STEPS[:3]
    assert climb.wait(30, Facts(False, hindrance="no-coverage")) == []
    assert steps(climb.wait(60)) == ["reauthorize-usb"]


def test_rests_double_and_reboots_become_rare():
    climb = Climb()
    made = climb.wait(3 * DAY_S, tick_s=20.0)
    reboots = [at_s for at_s, decision in made if decision == Take("reboot")]
    assert reboots[0] == pytest.approx(REBOOT_AFTER_S, abs=120)
    pauses_s = [later - before for before, later in pairwise(reboots)]
    assert pauses_s[:4] == pytest.approx([2400, 4800, 9600, DAY_S - 16800], rel=0.05), (
        "the fifth has to wait for the first to be a day old"
    )
    resets = [at_s for at_s, decision in made if decision == Take("reset-modem")]
    assert resets[-1] - resets[-2] == pytest.approx(MAX_REST_S, rel=0.1)


def test_a_path_for_some_seconds_is_no_recovery_for_good():
    climb = Climb()
    climb.wait(2000)
    before = climb.ladder.memory
    climb.wait(60, PATH)
    assert (climb.ladder.memory.rounds, climb.ladder.memory.reboots) == (before.rounds, before.reboots)
    climb.wait(WELL_S, PATH)
    assert (climb.ladder.memory.rounds, climb.ladder.memory.reboots) == (0, 0)


def test_a_modem_that_starts_with_the_board_is_given_time():
    ladder = Ladder(0.0)
    times = [s for s in range(200) if isinstance(ladder.decide(float(s), LOST), Take)]
    assert times[0] == START_S


def test_a_start_of_the_agent_forgets_nothing():
    climb = Climb()
    climb.wait(1300)
    kept = ADAPTER.validate_json(ADAPTER.dump_json(climb.ladder.memory))
    again = Climb(kept)
    assert again.ladder.taken_today()["reboot"] == 1
    assert again.ladder.memory.steps == climb.ladder.memory.steps


@pytest.mark.parametrize("reboots_a_day", [1, 4])
def test_a_record_asks_for_no_reboot_before_its_share_of_the_day(reboots_a_day):
    """Or a disk that forgets with each boot would let one be followed by the next."""
    climb, share_s = Climb(None, reboots_a_day=reboots_a_day), DAY_S / reboots_a_day
    assert "reboot" not in steps(climb.wait(share_s - 3700, tick_s=20.0))
    assert "reboot" in steps(climb.wait(200, tick_s=20.0))


def test_no_reboot_where_the_settings_want_none():
    assert "reboot" not in steps(Climb(reboots_a_day=0).wait(DAY_S, tick_s=20.0))


def test_a_step_that_a_damaged_file_puts_in_the_future_counts_from_now():
    ladder = Ladder(0.0, Memory(lived_s=10.0, taken=(Taken("reboot", 1e9),), rebooted_s=1e9))
    assert ladder.memory == Memory(lived_s=10.0, taken=(Taken("reboot", 10.0),), rebooted_s=10.0)
    ladder.decide(DAY_S + 1, PATH)
    assert ladder.taken_today() == {}


def test_a_day_of_all_steps_is_kept_whole():
    most = [
        field
        for field in ModemRecoverySettings.model_fields["reboots_a_day"].metadata
        if hasattr(field, "le")
    ]
    assert sum(rung.per_day for rung in RUNGS) + most[0].le <= MAX_TAKEN


BOUNDS = {rung.step: rung.per_day for rung in RUNGS} | {"reboot": REBOOTS_A_DAY}


class AnyLife(RuleBasedStateMachine):
    """Whatever happens, in whatever order: what never is."""

    def __init__(self):
        super().__init__()
        self.real_s, self.born_s = 0.0, 0.0
        self.ladder = Ladder(0.0)
        self.taken = []

    @rule(
        seconds=st.sampled_from([1, 5, 30, 100, 700, 3600, 30_000]),
        has_path=st.booleans() | st.just(False),
        has_media=st.sampled_from([False, False, False, True]),
        hindrance=st.sampled_from(["", "", "", "sim-missing", "no-coverage", "denied"]),
        able=st.sets(st.sampled_from([*STEPS, "reboot"]), min_size=4).map(frozenset),
        is_done=st.booleans(),
    )
    def pass_time(self, seconds, has_path, has_media, hindrance, able, is_done):
        facts = Facts(has_path, has_media, hindrance, able)
        for _ in range(12):
            self.real_s += seconds / 12
            decision = self.ladder.decide(self.real_s - self.born_s, facts)
            if isinstance(decision, Take):
                assert not has_path
                assert not has_media
                assert hindrance == ""
                assert decision.step in able
                self.taken.append((self.real_s, decision.step))
                today = [step for at_s, step in self.taken if self.real_s - at_s < DAY_S]
                assert today.count(decision.step) <= BOUNDS[decision.step]
                if decision.step == "reboot":
                    self.start_again(90)
                else:
                    self.ladder.on_taken(self.real_s - self.born_s, is_done=is_done)

    @rule(away_s=st.sampled_from([0, 60, 100_000]))
    def start_again(self, away_s):
        kept = ADAPTER.validate_json(ADAPTER.dump_json(self.ladder.memory))
        self.real_s += away_s
        self.born_s = self.real_s
        self.ladder = Ladder(0.0, kept)

    @invariant()
    def what_is_kept_is_small(self):
        assert len(ADAPTER.dump_json(self.ladder.memory)) < 8 * 1024


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
