"""The link emulator's arithmetic, packet by packet."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlab.shape import (
    NS_PER_MS,
    NS_PER_S,
    Burst,
    Direction,
    Shape,
    ShapeError,
    parse_trace,
    random_trace,
)

PACKET = bytes(1500)


def direction(shape, *, header_bytes=0):
    return Direction(shape, random.Random(7), 0, header_bytes)


def departures(one, until_s=3600.0):
    """When each packet left, in ms, asked exactly when `next_ns` says."""
    times = []
    while (at := one.next_ns()) is not None and at <= until_s * NS_PER_S:
        times += [(due / NS_PER_MS, frame) for due, frame in one.pop(at)]
    return times


def times_of(one, until_s=3600.0):
    return [ms for ms, _ in departures(one, until_s)]


def test_a_wire_passes_at_once():
    one = direction(Shape())
    one.push(PACKET, 5 * NS_PER_MS)
    assert one.pop(5 * NS_PER_MS) == [(5 * NS_PER_MS, PACKET)]
    assert one.next_ns() is None


def test_rate_spaces_packets_and_delay_comes_on_top():
    one = direction(Shape(rate_bps=1_200_000, delay_ms=50))  # 10 ms a packet
    for _ in range(3):
        one.push(PACKET, 0)
    assert times_of(one) == [60, 70, 80]


def test_an_idle_link_saves_nothing_for_later():
    one = direction(Shape(rate_bps=1_200_000))
    one.push(PACKET, 0)
    assert times_of(one) == [10]
    for _ in range(2):
        one.push(PACKET, NS_PER_S)
    assert times_of(one) == [1010, 1020]


def test_the_rate_does_not_count_the_ethernet_header():
    one = direction(Shape(rate_bps=1_200_000), header_bytes=14)
    one.push(bytes(1514), 0)
    assert times_of(one) == [10]


def test_a_full_queue_drops_what_comes_last():
    one = direction(Shape(rate_bps=1_200_000, queue_bytes=4500))
    frames = [bytes([n]) * 1500 for n in range(5)]
    for frame in frames:
        one.push(frame, 0)
    assert [frame for _, frame in departures(one)] == frames[:3]
    assert one.counters.overflow_packets == 2
    assert one.counters.max_queue_bytes == 4500


def test_the_queue_has_room_again_as_it_drains():
    one = direction(Shape(rate_bps=1_200_000, queue_bytes=1500))
    for at_ms in (0, 9, 10, 15):
        one.push(PACKET, at_ms * NS_PER_MS)
    assert times_of(one) == [10, 20]


def test_a_lower_rate_holds_for_what_waits_already():
    one = direction(Shape(rate_bps=1_200_000))
    for _ in range(3):
        one.push(PACKET, 0)
    one.reshape(Shape(rate_bps=120_000), 5 * NS_PER_MS)
    assert times_of(one) == [10, 110, 210]


def test_an_outage_drops_what_waits_and_what_comes_but_not_what_flies():
    one = direction(Shape(rate_bps=1_200_000, delay_ms=50))
    for _ in range(3):
        one.push(PACKET, 0)
    one.reshape(one.shape.changed(is_up=False), 15 * NS_PER_MS)
    one.push(PACKET, 20 * NS_PER_MS)
    assert times_of(one) == [60]
    assert one.counters.outage_packets == 3
    one.reshape(one.shape.changed(is_up=True), 100 * NS_PER_MS)
    one.push(PACKET, 100 * NS_PER_MS)
    assert times_of(one) == [160]


def test_a_policer_passes_at_once_what_its_bucket_holds_and_loses_the_rest():
    one = direction(Shape(rate_bps=1_200_000, bucket_bytes=3000))  # a packet in 10 ms
    for _ in range(5):
        one.push(PACKET, 0)
    assert times_of(one) == [0, 0]
    assert one.counters.overflow_packets == 3
    one.push(PACKET, 9 * NS_PER_MS)
    one.push(PACKET, 10 * NS_PER_MS)
    assert times_of(one) == [10]


@given(
    st.lists(st.tuples(st.integers(0, 20_000_000), st.integers(60, 1500)), max_size=60),
    st.sampled_from(
        [
            Shape(delay_ms=20, jitter_ms=30),
            Shape(rate_bps=2e6, delay_ms=5, jitter_ms=10, queue_bytes=9000),
            Shape(trace=(1, 1, 4, 30), jitter_ms=5),
            Shape(loss=0.2, burst=Burst(0.1, 0.3)),
            Shape(rate_bps=2e6, bucket_bytes=9000, jitter_ms=5),
        ]
    ),
)
def test_order_is_kept_and_every_packet_is_accounted_for(steps, shape):
    one = direction(shape)
    now_ns = 0
    for number, (gap_ns, size) in enumerate(steps):
        now_ns += gap_ns
        one.push(number.to_bytes(2, "big") + bytes(size - 2), now_ns)
    left = departures(one)
    assert [frame[:2] for _, frame in left] == sorted(frame[:2] for _, frame in left)
    assert all(a <= b for a, b in pairwise(ms for ms, _ in left))
    counters = one.counters
    assert counters.in_packets == len(steps)
    assert counters.out_packets + counters.lost_packets + counters.overflow_packets == len(steps)


def test_jitter_varies_the_delay_around_its_mean():
    one = direction(Shape(delay_ms=50, jitter_ms=20))
    for n in range(2000):
        one.push(PACKET, n * 200 * NS_PER_MS)
    delays = [ms - n * 200 for n, ms in enumerate(times_of(one))]
    mean = sum(delays) / len(delays)
    deviation = (sum((delay - mean) ** 2 for delay in delays) / len(delays)) ** 0.5
    assert mean == pytest.approx(50, abs=1)
    assert deviation == pytest.approx(10, rel=0.1)


def lost_runs(shape, packets=50_000):
    """Lengths of the runs of packets that are lost in a row."""
    one, runs, run = direction(shape), [], 0
    for n in range(packets):
        one.push(PACKET, n * NS_PER_MS)
        if one.pop(n * NS_PER_MS):
            runs += [run] if run else []
            run = 0
        else:
            run += 1
    return runs


def test_random_loss_is_as_asked_and_seldom_in_a_row():
    runs = lost_runs(Shape(loss=0.02))
    assert sum(runs) / 50_000 == pytest.approx(0.02, rel=0.15)
    assert sum(runs) / len(runs) < 1.1


def test_bursty_loss_comes_in_runs():
    # Gilbert: the share lost is enter / (enter + leave); a run lasts 1 / leave packets on average.
    runs = lost_runs(Shape(burst=Burst(enter=0.005, leave=0.25)))
    assert sum(runs) / 50_000 == pytest.approx(0.005 / 0.255, rel=0.2)
    assert sum(runs) / len(runs) == pytest.approx(4, rel=0.2)


def test_a_trace_says_when_each_1500_bytes_may_leave_and_starts_over():
    one = direction(Shape(trace=(2, 2, 7, 10)))
    for _ in range(6):
        one.push(PACKET, 0)
    assert times_of(one) == [2, 2, 7, 10, 12, 12]


def test_small_packets_share_an_opportunity():
    one = direction(Shape(trace=(5, 10)))
    for _ in range(4):
        one.push(bytes(600), 0)
    assert times_of(one) == [5, 5, 10, 10]


def test_an_opportunity_that_nobody_uses_is_lost():
    one = direction(Shape(trace=(5, 10)))
    one.push(bytes(100), 0)
    assert times_of(one) == [5]
    one.push(bytes(100), 6 * NS_PER_MS)
    assert times_of(one) == [10]
    one.push(PACKET, 1_000_001 * NS_PER_MS)
    assert times_of(one) == [1_000_005]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.lists(st.integers(0, 200), max_size=20))
def test_a_trace_is_served_like_its_definition_says(lines, gaps_ms):
    lines = sorted(lines)
    if not lines[-1]:
        lines[-1] = 1
    one = direction(Shape(trace=tuple(lines)))
    endless = [lap * lines[-1] + ms for lap in range(20_000 // lines[-1]) for ms in lines]
    expected, place, now_ms = [], 0, 0
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        while endless[place] < now_ms:
            place += 1
        expected.append(endless[place])
        place += 1
        one.push(PACKET, now_ms * NS_PER_MS)
    got = [due // NS_PER_MS for due, _ in one.pop(NS_PER_S * 3600)]
    assert got == expected


@pytest.mark.parametrize("text", ["", "a\n", "5\n3\n", "0\n", "-1\n4\n", "1.5\n"])
def test_a_trace_that_makes_no_sense_is_refused(text):
    with pytest.raises(ShapeError):
        parse_trace(text)


def test_a_recorded_trace_is_read_line_by_line():
    assert parse_trace("1\n1\n  3 \r\n8\n") == (1, 1, 3, 8)


def test_a_made_trace_has_about_the_rate_that_was_asked_for_and_depends_on_the_seed():
    trace = random_trace(3, 60, 2_000_000)
    assert trace == random_trace(3, 60, 2_000_000)
    assert trace != random_trace(4, 60, 2_000_000)
    assert len(trace) * 1500 * 8 / 60 == pytest.approx(2_000_000, rel=0.35)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": 1.5},
        {"rate_bps": 0},
        {"rate_bps": 1e6, "trace": [1]},
        {"delay_ms": -1},
        {"queue_bytes": 100},
        {"speed": 3},
        {"burst": {"enter": 2, "leave": 0}},
        {"burst": {"wrong": 1}},
        {"delay_ms": "soon"},
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ShapeError):
        Shape().changed(**changes)


def marks(shape, packets, mark=lambda frame: b"CE" + frame[2:]):
    """Which of these (frame, at_ms) leave with CE."""
    one = Direction(shape, random.Random(7), 0, mark=mark)
    for frame, at_ms in packets:
        one.push(frame, at_ms * NS_PER_MS)
    left = [frame.startswith(b"CE") for _, frame in departures(one)]
    assert one.counters.marked_packets == sum(left)
    return left


def test_what_has_waited_longer_than_the_step_is_marked():
    shape = Shape(rate_bps=12_000_000, mark_ms=2)  # 1 ms a packet
    assert marks(shape, [(PACKET, 0)] * 6) == [False, False, False, True, True, False], "the last is alone"


def test_a_queue_of_one_packet_is_none():
    shape = Shape(rate_bps=1_200_000, mark_ms=1)  # 10 ms a packet
    assert marks(shape, [(PACKET, at_ms) for at_ms in (0, 2, 12, 22)]) == [False] * 4
    assert marks(shape, [(PACKET, at_ms) for at_ms in (0, 2, 4, 6)]) == [False, True, True, False]


def test_what_carries_no_ect_1_is_not_marked_and_without_a_step_nothing_is():
    waiting = [(PACKET, 0)] * 6
    assert not any(marks(Shape(rate_bps=1_200_000, mark_ms=1), waiting, mark=lambda _: None))
    assert not any(marks(Shape(rate_bps=1_200_000), waiting))
