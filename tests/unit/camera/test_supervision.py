from itertools import product

import pytest

from agent.camera.supervision import TRANSITIONS, Patience, Phase, Signal, Supervisor, next_phase
from agent.errors import CameraError

GRID = """
          opened   started  picture stopped broke    asked    hung     silent   wanted  unwanted hopeless
probing   resting  -        -       -       failed   -        failed   -        -       -        -
resting   -        -        -       -       -        -        -        -        opening -        -
opening   starting -        -       -       failed   -        failed   -        -       -        -
starting  -        awaiting -       -       clearing -        clearing -        -       -        -
awaiting  -        -        live    -       clearing stopping -        clearing -       stopping -
live      -        -        live    -       clearing stopping -        clearing -       stopping -
stopping  -        -        -       resting -        -        failed   -        -       -        -
clearing  -        -        -       failed  -        -        failed   -        -       -        -
failed    -        -        -       -       -        -        -        -        opening -        ended
ended     -        -        -       -       -        -        -        -        -       -        -
"""
"""What follows in each phase from each signal; `-` cannot be."""
LINGER_S = 10.0
PATIENCE = Patience()
BUSY = CameraError("the camera is busy")
OPEN, RUN = (Signal.OPENED,), (Signal.OPENED, Signal.STARTED)


def grid() -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in GRID.strip().splitlines())
    return {(row[0], signal): cell for row in rows for signal, cell in zip(head, row[1:], strict=True)}


@pytest.mark.parametrize(("phase", "signal"), list(product(Phase, Signal)), ids=lambda it: it.value)
def test_every_signal_in_every_phase(phase, signal):
    wanted = grid()[phase.value, signal.value]
    if wanted != "-":
        assert next_phase(phase, signal).value == wanted
    else:
        with pytest.raises(
            LookupError, match=f"'{signal.value}' cannot come while the camera is {phase.value}"
        ):
            next_phase(phase, signal)


def test_every_phase_but_the_last_can_be_left_and_none_is_out_of_reach():
    reached = {Phase.PROBING}
    for _ in Phase:
        reached |= {after for phase in reached for after in TRANSITIONS[phase].values()}
    assert reached == set(Phase)
    assert [phase for phase in Phase if not set(TRANSITIONS[phase].values()) - {phase}] == [Phase.ENDED]


class Watch:
    """A supervisor, its runner's words, and the time."""

    def __init__(self, **patience) -> None:
        self.now_s = 1000.0
        self.it = Supervisor(Patience(**patience), LINGER_S, jitter=lambda: 1.0)
        self.it.begin(self.now_s)
        self.events: list[str] = []

    def say(self, *signals: Signal, error: CameraError | None = None) -> "Watch":
        for signal in signals:
            if event := self.it.on(signal, self.now_s, error):
                self.events.append(event)
        return self

    def watched(self, is_watched: bool = True) -> "Watch":
        self.it.watch(is_watched=is_watched, now_s=self.now_s)
        return self

    def after(self, seconds: float) -> Signal | None:
        """Let the time pass, and obey what it brings."""
        self.now_s += seconds
        signal = self.it.brought(self.now_s)
        if signal:
            self.say(signal, error=CameraError("no picture") if signal is Signal.SILENT else None)
        return signal

    def live(self) -> "Watch":
        assert self.after(0) is Signal.WANTED
        return self.say(*RUN, Signal.PICTURE)

    def fail(self) -> "Watch":
        """Once more, while somebody watches."""
        self.after(self.it.wait_s(self.now_s))
        return self.say(Signal.BROKE, error=BUSY)

    @property
    def told(self) -> tuple[str, str]:
        return self.it.state, self.it.problem


def ready(**patience) -> Watch:
    return Watch(**patience).say(*OPEN)


# --- what time brings


@pytest.mark.parametrize("phase", [Phase.PROBING, Phase.OPENING, Phase.STARTING])
def test_an_open_and_a_start_hang_after_ten_seconds(phase):
    watch = Watch()
    if phase is not Phase.PROBING:
        watch = ready().watched().say(Signal.WANTED, *OPEN[: phase is Phase.STARTING])
    assert watch.it.phase is phase
    assert watch.it.wait_s(watch.now_s) == 10
    assert watch.it.brought(watch.now_s + 9.9) is None
    assert watch.it.brought(watch.now_s + 10) is Signal.HUNG


@pytest.mark.parametrize("why", [Signal.UNWANTED, Signal.BROKE])
def test_a_stop_hangs_after_three_seconds(why):
    watch = ready().watched().live().say(why, error=BUSY if why is Signal.BROKE else None)
    assert watch.it.brought(watch.now_s + 2.9) is None
    assert watch.it.brought(watch.now_s + 3) is Signal.HUNG


@pytest.mark.parametrize("pictures", [0, 1])
@pytest.mark.parametrize(("fps", "limit_s"), [(30, 3), (5 / 3, 3), (1, 5), (0.5, 10)])
def test_silence_is_three_seconds_or_five_intervals(pictures, fps, limit_s):
    watch = ready().watched()
    watch.after(0)
    watch.say(*RUN, *[Signal.PICTURE] * pictures)
    watch.it.fps = fps
    assert watch.it.wait_s(watch.now_s) == pytest.approx(limit_s)
    assert watch.after(limit_s - 0.1) is None
    assert watch.after(0.2) is Signal.SILENT
    assert watch.it.phase is Phase.CLEARING


def test_each_picture_puts_the_silence_off():
    watch = ready().watched().live()
    for _ in range(10):
        assert watch.after(2) is None
        watch.say(Signal.PICTURE)
    assert watch.after(3) is Signal.SILENT


def test_it_lingers_from_when_the_last_viewer_left():
    watch = ready().watched().live()
    assert watch.after(2) is None
    watch.watched(False)
    for _ in range(4):
        watch.say(Signal.PICTURE)
        assert watch.after(2) is None
    watch.say(Signal.PICTURE)
    assert watch.after(2) is Signal.UNWANTED
    assert watch.told == ("live", "")
    watch.say(Signal.STOPPED)
    assert watch.told == ("idle", "")
    assert watch.it.wait_s(watch.now_s) is None, "nothing is due while nobody watches"


def test_who_comes_back_within_the_linger_keeps_it_running():
    watch = ready().watched().live().watched(False)
    watch.say(Signal.PICTURE).after(2)
    watch.watched().say(Signal.PICTURE)
    watch.now_s += LINGER_S
    watch.say(Signal.PICTURE)
    assert watch.after(0) is None


def test_a_silent_camera_fails_even_where_nobody_waits_for_it_any_more():
    watch = ready().watched().live().watched(False)
    assert watch.after(LINGER_S) is Signal.SILENT


# --- failures


def test_pauses_grow_and_are_bounded():
    watch = ready().watched()
    pauses = [watch.fail().it.wait_s(watch.now_s) for _ in range(9)]
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    assert watch.events == ["camera-failed"]


def test_a_thousand_failures_overflow_nothing():
    watch = ready().watched()
    for _ in range(1100):
        watch.fail()
    assert watch.it.wait_s(watch.now_s) == 30


def test_pauses_are_spread():
    it = Supervisor(PATIENCE, LINGER_S, jitter=lambda: 0.5)
    it.begin(0)
    it.watch(is_watched=True, now_s=0)
    it.on(Signal.BROKE, 0, BUSY)
    it.on(Signal.WANTED, 0)
    it.on(Signal.BROKE, 0, BUSY)
    assert it.wait_s(0) == 0.5


@pytest.mark.parametrize(("good_s", "failures"), [(59, 3), (60, 1)])
def test_a_minute_of_good_video_makes_the_next_failure_a_first_one(good_s, failures):
    watch = ready().watched().fail().fail()
    watch.after(watch.it.wait_s(watch.now_s))
    watch.say(*RUN, Signal.PICTURE)
    watch.now_s += good_s
    watch.say(Signal.BROKE, error=BUSY).say(Signal.STOPPED)
    assert watch.it.failures == failures


def test_nobody_watching_means_no_retry():
    watch = ready().watched().fail().watched(False)
    assert watch.it.wait_s(watch.now_s) is None
    assert watch.after(3600) is None
    assert watch.told == ("failed", "the camera is busy")
    assert watch.watched().after(0) is Signal.WANTED


def test_a_problem_is_told_until_a_picture_comes():
    watch = ready().watched().fail()
    watch.after(watch.it.wait_s(watch.now_s))
    for signal in RUN:
        assert watch.told == ("failed", "the camera is busy")
        watch.say(signal)
    watch.say(Signal.PICTURE)
    assert watch.told == ("live", "")
    assert watch.events == ["camera-failed", "camera-recovered"]


def test_a_viewer_who_leaves_before_the_first_picture_has_not_mended_the_camera():
    watch = ready().watched().fail().fail()
    watch.after(watch.it.wait_s(watch.now_s))
    watch.say(*RUN).watched(False)
    watch.say(Signal.UNWANTED, Signal.STOPPED)
    assert watch.told == ("failed", "the camera is busy")
    assert watch.it.failures == 2
    watch.watched().fail()
    assert watch.it.failures == 3
    assert watch.events == ["camera-failed"], "it is the same outage"


def test_a_run_that_brought_pictures_and_rests_is_a_good_one():
    watch = ready().watched().fail().fail()
    watch.after(watch.it.wait_s(watch.now_s))
    watch.say(*RUN, Signal.PICTURE).watched(False)
    watch.say(Signal.UNWANTED, Signal.STOPPED)
    assert (watch.told, watch.it.failures) == (("idle", ""), 0)


def test_a_stop_that_hangs_after_a_failure_is_not_the_problem():
    watch = ready().watched().live().say(Signal.BROKE, error=BUSY)
    watch.say(Signal.HUNG, error=CameraError("does not stop"))
    assert watch.told == ("failed", "the camera is busy")


def test_a_stop_that_hangs_by_itself_is():
    watch = ready().watched().live().watched(False)
    watch.say(Signal.UNWANTED).say(Signal.HUNG, error=CameraError("does not stop"))
    assert watch.told == ("failed", "does not stop")


# --- the end of the process


def silent(watch: Watch) -> None:
    watch.after(watch.it.wait_s(watch.now_s))
    watch.say(*RUN)
    assert watch.after(3) is Signal.SILENT
    watch.say(Signal.STOPPED)


@pytest.mark.parametrize("is_watched", [True, False])
def test_five_restarts_without_a_picture_end_the_process(is_watched):
    watch = ready().watched()
    for _ in range(5):
        silent(watch)
    assert watch.it.brought(watch.now_s) is None
    silent(watch.watched())
    watch.watched(is_watched)
    assert watch.after(0) is Signal.HOPELESS
    assert watch.it.phase is Phase.ENDED
    assert watch.it.wait_s(watch.now_s) is None


def test_a_camera_that_hangs_counts_as_a_silent_one():
    watch = ready(silent_restarts=2).watched()
    for _ in range(3):
        watch.after(watch.it.wait_s(watch.now_s))
        watch.say(Signal.HUNG, error=CameraError("did not return"))
    assert watch.after(0) is Signal.HOPELESS


def test_a_refusal_begins_the_count_anew():
    watch = ready(silent_restarts=1).watched()
    silent(watch)
    watch.fail()
    silent(watch)
    assert watch.it.phase is Phase.FAILED
    assert watch.after(0) is None, "a camera that is missing is waited for"


# --- what the watchdog hears


def test_it_is_quiet_since_the_last_picture_or_the_last_change():
    watch = ready()
    watch.now_s += 100
    assert watch.it.quiet_s(watch.now_s) == 100
    watch.watched()
    assert watch.it.quiet_s(watch.now_s) == 0, "a viewer makes something due, from now on"
    watch.live()
    watch.now_s += 2
    assert watch.it.quiet_s(watch.now_s) == 2
    watch.say(Signal.PICTURE)
    assert watch.it.quiet_s(watch.now_s) == 0


def test_a_viewer_does_not_hide_a_picture_that_is_late():
    watch = ready().watched().live()
    watch.now_s += 2
    watch.watched(False).watched()
    assert watch.it.quiet_s(watch.now_s) == 2


def test_a_first_picture_may_take_as_long_as_the_camera_needs_and_the_next_as_ever():
    watch = ready(first_s=300, start_s=300).watched()
    assert watch.after(0) is Signal.WANTED
    watch.say(*RUN)
    assert watch.after(299) is None
    watch.say(Signal.PICTURE)
    assert watch.after(2.9) is None
    assert watch.after(0.2) is Signal.SILENT
