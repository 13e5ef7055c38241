from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.camera.pace import LATE_US, MAX_GAP_S, Pace, Stamps


def test_ticks_do_not_drift() -> None:
    pace = Pace(1_000, fps=30)
    for _ in range(30 * 3600):
        pace.advance(pace.due_us + 5_000)  # each picture takes 5 ms
    assert pace.due_us == 1_000 + 3600 * 1_000_000


def test_a_stall_is_skipped_and_not_caught_up() -> None:
    pace = Pace(0, fps=10)
    pace.advance(3_250_000)
    assert pace.due_us <= 3_250_000, "one picture at once, for the one that is late"
    pace.advance(3_250_000)
    assert pace.due_us == 3_300_000, "and then back in step"


@given(st.floats(1, 60), st.lists(st.integers(0, 10_000_000), max_size=50))
def test_a_tick_is_later_than_the_one_before_and_at_most_one_is_overdue(
    fps: float, delays_us: list[int]
) -> None:
    pace = Pace(0, fps)
    for delay_us in delays_us:
        before_us = pace.due_us
        now_us = before_us + delay_us
        pace.advance(now_us)
        assert pace.due_us > before_us
        assert pace.due_us > now_us - 1_000_001 / fps


def due_ms(stamps: Stamps, *seconds: float | None, now_ms: int = 0) -> list[float | None]:
    due = [stamps.due_us(second, now_ms * 1000) for second in seconds]
    return [one if one is None else one / 1000 for one in due]


def test_a_file_plays_at_the_speed_of_its_stamps() -> None:
    stamps = Stamps(0, interval_s=0.1, max_fps=60)
    assert due_ms(stamps, 7, 7.2, 7.25, 8.25, 68.25) == [0, 200, 250, 1250, 61_250]


def test_the_loops_follow_each_other_by_the_mean_interval() -> None:
    stamps = Stamps(0, interval_s=0.1, max_fps=60)
    assert due_ms(stamps, 0, 0.5) == [0, 500]
    stamps.rewind()
    assert due_ms(stamps, 0, 0.5) == [600, 1100]


def test_stamps_that_cannot_be_and_none_at_all_count_one_interval() -> None:
    stamps = Stamps(0, interval_s=0.1, max_fps=60)
    assert due_ms(stamps, None, None, 5, 3, 3 + MAX_GAP_S + 1) == [0, 100, 200, 300, 400]


def test_more_than_the_most_is_thinned_evenly_at_the_same_speed() -> None:
    stamps = Stamps(0, interval_s=1 / 240, max_fps=60)
    shown = [due for due in due_ms(stamps, *(number / 240 for number in range(240))) if due is not None]
    assert 58 <= len(shown) <= 61
    assert shown[-1] > 975
    assert max(b - a for a, b in pairwise(shown)) < 30


def test_a_coarse_clock_thins_nothing() -> None:
    stamps = Stamps(0, interval_s=1 / 60, max_fps=60)
    assert None not in due_ms(stamps, *(round(number / 60, 3) for number in range(600)))


def test_who_was_late_does_not_catch_up() -> None:
    stamps = Stamps(0, interval_s=0.1, max_fps=60)
    assert due_ms(stamps, 0) == [0]
    late_ms = 100 + LATE_US // 1000 + 50
    assert due_ms(stamps, 0.1, 0.2, now_ms=late_ms) == [late_ms, late_ms + 100]
