from hypothesis import given
from hypothesis import strategies as st

from agent.camera.pace import Pace


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
