"""Which stream a viewer gets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.control.placement import Placement

S = 1_000_000_000
FLOOR = 300_000


def play(placement, carries_bps, main_bps, start_s, seconds):
    """Ten times a second; the seconds from the start at which the stream changed."""
    changes, before = [], placement.update(carries_bps, main_bps, FLOOR, int(start_s * S))
    for tick in range(1, int(seconds * 10)):
        now = placement.update(carries_bps, main_bps, FLOOR, int((start_s + tick / 10) * S))
        if now != before:
            changes.append((now, tick / 10))
        before = now
    return changes


def test_who_cannot_carry_main_goes_to_the_preview_and_comes_back():
    placement = Placement()
    assert play(placement, 2_000_000, 2_000_000, 0, 60) == []
    assert play(placement, 400_000, 2_000_000, 60, 30) == [("preview", 2.0)]
    assert play(placement, 2_000_000, 2_000_000, 90, 30) == [("main", 5.0)]


def test_a_short_dip_moves_nobody():
    placement = Placement()
    assert play(placement, 400_000, 2_000_000, 0, 1.9) == []
    assert play(placement, 1_900_000, 2_000_000, 1.9, 10) == []


def test_alone_at_the_floor_of_main_there_must_be_room_above_it():
    placement = Placement()
    assert play(placement, 200_000, FLOOR, 0, 10) == [("preview", 2.0)]
    assert play(placement, 320_000, FLOOR, 10, 60) == []
    assert play(placement, 400_000, 400_000, 70, 10) == [("main", 5.0)]


def test_who_comes_back_in_vain_waits_longer_each_time():
    placement, at_s, waits = Placement(), 0.0, []
    for _ in range(7):
        play(placement, 400_000, 2_000_000, at_s, 2.2)
        at_s += 2.2
        started_s = at_s
        while placement.update(2_000_000, 2_000_000, FLOOR, int(at_s * S)) == "preview":
            at_s += 0.1
        waits.append(round(at_s - started_s))
    assert waits == [5, 10, 20, 40, 80, 80, 80]
    play(placement, 2_000_000, 2_000_000, at_s, 40)
    assert play(placement, 400_000, 2_000_000, at_s + 40, 5) == [("preview", 2.0)]
    assert play(placement, 2_000_000, 2_000_000, at_s + 45, 10) == [("main", 5.0)]


@given(st.lists(st.integers(50_000, 5_000_000), min_size=20, max_size=300))
def test_it_never_changes_more_often_than_its_patience(links):
    placement, changes, before = Placement(), [], "main"
    for tick, bps in enumerate(links):
        now = placement.update(bps, 1_000_000, FLOOR, tick * S)
        if now != before:
            changes.append(tick)
        before = now
    assert all(after - start >= 2 for start, after in pairwise(changes))
