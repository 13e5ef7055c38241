"""However many ask, for whatever reason: one rule for what is forced."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.keyframes import GAP_S, KeyframeGate
from agent.model.media import Need


def test_the_first_request_passes_at_once() -> None:
    gate = KeyframeGate()
    gate.request(Need.SLOW_REPAIR, now_s=10)
    assert gate.take(now_s=10)


def test_nothing_passes_unasked() -> None:
    gate = KeyframeGate()
    assert not gate.take(now_s=10)
    assert gate.due_s() is None


def test_many_requests_in_the_gap_are_one_at_its_end() -> None:
    gate = KeyframeGate()
    gate.request(Need.START, now_s=10)
    gate.take(now_s=10)
    for now_s in (10.0, 10.1, 10.2):
        gate.request(Need.START, now_s)
        assert not gate.take(now_s)
    assert gate.due_s() == 10.3
    assert gate.take(now_s=10.3)
    assert not gate.take(now_s=20)


def test_who_has_gone_before_a_repair_is_due_costs_the_others_nothing() -> None:
    gate = KeyframeGate()
    gate.request(Need.REPAIR, now_s=10)
    gate.take(now_s=10)
    gate.request(Need.REPAIR, now_s=10.4)
    gate.request(Need.SLOW_REPAIR, now_s=13.9)
    assert gate.due_s() is None


@pytest.mark.parametrize(("need", "forced"), [(Need.START, 67), (Need.REPAIR, 40), (Need.SLOW_REPAIR, 5)])
def test_who_asks_all_the_time_gets_so_many_in_twenty_seconds(need, forced) -> None:
    assert len(forced_s([(0.0625, need)] * 320)) == forced


ASKED = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(Need)), max_size=200)


@given(ASKED)
def test_whoever_asks_forced_keyframes_keep_their_distance(asked) -> None:
    times_s = forced_s(asked)
    least_s = min((GAP_S[need] for _, need in asked), default=0.0)
    assert all(after - before > least_s - 1e-9 for before, after in pairwise(times_s))


def forced_s(asked) -> list[float]:
    """When keyframes are forced, where each of these is asked for so long after the one before."""
    gate, now_s, times_s = KeyframeGate(), 0.0, []
    for pause_s, need in asked:
        if (due_s := gate.due_s()) is not None and due_s <= now_s + pause_s and gate.take(due_s):
            times_s.append(due_s)
        now_s += pause_s
        gate.request(need, now_s)
        if gate.take(now_s):
            times_s.append(now_s)
    return times_s


def test_only_a_keyframe_that_was_asked_for_is_an_answer() -> None:
    gate = KeyframeGate()
    gate.request(Need.START, now_s=10)
    gate.take(now_s=10)
    gate.delivered()
    assert gate.answered == 0, "a camera begins with a keyframe, whoever asks"
    gate.delivered()
    assert gate.answered == 0
    gate.request(Need.START, now_s=11)
    gate.take(now_s=11)
    gate.delivered()
    gate.delivered()
    assert gate.answered == 1


def test_a_camera_that_starts_again_answers_nothing() -> None:
    gate = KeyframeGate()
    gate.delivered()
    gate.request(Need.START, now_s=10)
    gate.take(now_s=10)
    gate.stopped()
    gate.delivered()
    assert gate.answered == 0


def test_a_keyframe_that_comes_by_itself_fulfils_the_request() -> None:
    gate = KeyframeGate()
    gate.request(Need.START, now_s=10)
    gate.take(now_s=10)
    gate.request(Need.START, now_s=10.1)
    gate.delivered()
    assert gate.due_s() is None
    assert not gate.take(now_s=20)
