"""Every reader gets every unit for as long as it is there; one that is slow or faulty loses its own alone."""

import logging
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media.stream import UNIT_BYTES, Stream, UnitQueue
from agent.model.media import Need, RtpFrame, Unit

SIZE = 1000 + UNIT_BYTES


def picture(at, *, key=False, size=1000):
    return Unit(bytes(size), at, 0, key)


def sound(at):
    return Unit(bytes(100), at, 0, is_keyframe=True, medium="audio")


class Source:
    """What a stream asks of the camera and of the packetizer."""

    def __init__(self):
        self.watchers = self.made = 0
        self.keyframes = []
        self.stream = Stream(self.packetize, self.watching, self.ask)

    def packetize(self, unit):
        self.made += 1
        return (
            RtpFrame((unit.data,), unit.capture_us, unit.is_keyframe, len(unit.data)) if unit.data else None
        )

    @contextmanager
    def watching(self):
        self.watchers += 1
        yield
        self.watchers -= 1

    def ask(self, need):
        self.keyframes.append(need)


@pytest.fixture
def source():
    return Source()


def waiting(queue):
    """What a reader would get without a wait."""
    return [unit.capture_us for unit in queue._waiting]


def test_each_viewer_gets_the_same_frame_until_it_leaves(source):
    stream, first, second = source.stream, [], []
    with stream.reading_rtp(first.append):
        stream.push(picture(1))
        with stream.reading_rtp(second.append):
            stream.push(picture(2))
        stream.push(picture(3))
    stream.push(picture(4))
    assert [frame.rtp_time for frame in first] == [1, 2, 3]
    assert [frame.rtp_time for frame in second] == [2]
    assert first[1] is second[0]


def test_payloads_are_made_once_and_only_where_somebody_wants_them(source):
    with source.stream.queue("recorder", 10 * SIZE):
        source.stream.push(picture(1, key=True))
        assert source.made == 0
        with source.stream.reading_rtp(lambda _: None), source.stream.reading_rtp(lambda _: None):
            source.stream.push(picture(2))
            assert source.made == 1


def test_what_holds_nothing_to_send_reaches_no_viewer(source):
    got = []
    with source.stream.reading_rtp(got.append):
        source.stream.push(picture(1, size=0))
    assert got == []


def test_a_viewer_may_leave_while_a_frame_is_handed_out(source):
    seen = []
    leaving = source.stream.reading_rtp(lambda _: leaving.__exit__(None, None, None))
    leaving.__enter__()
    with source.stream.reading_rtp(seen.append):
        source.stream.push(picture(1))
    assert len(seen) == 1


def test_the_camera_runs_while_somebody_reads(source):
    with source.stream.reading_rtp(lambda _: None), source.stream.queue("recorder", SIZE):
        assert source.watchers == 2
    assert source.watchers == 0


def test_a_viewer_or_who_only_overhears_does_without_a_picture_and_a_reader_does_not(source):
    stream, queue = source.stream, UnitQueue("a listener", 1000)
    with stream.reading_rtp(lambda _: None), stream.overhearing(queue):
        assert not stream.is_read
        with stream.reading(queue), stream.queue("a recorder", 1000):
            assert stream.is_read
        assert not stream.is_read


async def test_a_reader_gets_units_in_order_from_a_keyframe_on(source):
    with source.stream.queue("recorder", 10 * SIZE) as queue:
        assert source.keyframes == [Need.START], "one is asked for, and those before it are not missed"
        for at, key in enumerate([False, False, True, False]):
            source.stream.push(picture(at, key=key))
        source.stream.push(sound(9))
        assert [(await anext(queue)).capture_us for _ in range(3)] == [2, 3, 9]
        assert (queue.taken, queue.dropped) == (3, 0)


def test_a_slow_reader_loses_its_own_up_to_a_keyframe_and_says_so(source, caplog):
    seen = []
    with (
        source.stream.queue("recorder", 3 * SIZE) as slow,
        source.stream.queue("other", 20 * SIZE) as other,
        source.stream.reading_rtp(seen.append),
        caplog.at_level(logging.WARNING),
    ):
        for at in range(5):
            source.stream.push(picture(at, key=at == 0))
        assert waiting(slow) == [0, 1, 2]
        slow._waiting.clear()
        slow._waiting_bytes = 0
        source.stream.push(picture(5))
        assert waiting(slow) == [], "it needs what was dropped"
        source.stream.push(picture(6, key=True))
        source.stream.push(picture(7))
        assert waiting(slow) == [6, 7]
        assert (slow.taken, slow.dropped) == (5, 3)
        assert (waiting(other), other.dropped) == (list(range(8)), 0)
    assert len(seen) == 8
    assert [record.message for record in caplog.records] == ["recorder is too slow; units lost so far: 1"]


async def test_a_keyframe_is_asked_for_once_a_slow_reader_has_room_for_it(source):
    with source.stream.queue("recorder", 4 * SIZE) as queue:
        for at in range(6):
            source.stream.push(picture(at, key=at == 0))
        assert source.keyframes == [Need.START], "it would be dropped too"
        await anext(queue)
        await anext(queue)
        source.stream.push(picture(6))
        assert source.keyframes == [Need.START, Need.REPAIR]
        source.stream.push(picture(7, key=True))
        source.stream.push(picture(8))
        assert source.keyframes == [Need.START, Need.REPAIR]


async def test_pictures_that_are_lost_do_not_cost_the_sound(source):
    with source.stream.queue("recorder", 2 * SIZE) as queue:
        for at in range(4):
            source.stream.push(picture(at, key=at == 0))
        await anext(queue)
        source.stream.push(sound(4))
        source.stream.push(picture(5))
        assert waiting(queue) == [1, 4]


async def test_a_keyframe_larger_than_the_bound_is_taken_alone(source):
    with source.stream.queue("recorder", SIZE) as queue:
        source.stream.push(picture(0, key=True, size=5000))
        source.stream.push(picture(1))
        assert waiting(queue) == [0]
        await anext(queue)
        source.stream.push(picture(2, key=True, size=5000))
        assert waiting(queue) == [2]


def test_a_reader_that_fails_takes_nothing_from_the_others(source, caplog):
    class Faulty:
        wants_keyframe = False

        def push(self, _unit):
            raise RuntimeError("the disk is gone")

    seen = []
    with (
        source.stream.reading(Faulty()),
        source.stream.reading_rtp(lambda _: 1 // 0),
        source.stream.reading_rtp(seen.append),
        source.stream.queue("recorder", 9 * SIZE) as queue,
    ):
        for at in range(3):
            source.stream.push(picture(at, key=at == 0))
        assert (len(seen), queue.taken) == (3, 3)
    assert len([record for record in caplog.records if record.exc_info]) == 1, "a line a second"


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3000), st.booleans(), st.integers(0, 3)), max_size=80)
)
def test_it_never_holds_more_than_its_bound_and_what_it_gives_decodes(events):
    queue, out, most = UnitQueue("recorder", 4 * SIZE), [], 4 * SIZE
    for at, (is_key, size, is_sound, reads) in enumerate(events):
        queue.push(sound(at) if is_sound else picture(at, key=is_key, size=size))
        held = sum(len(unit.data) + UNIT_BYTES for unit in queue._waiting)
        assert held == queue._waiting_bytes
        assert held <= most or len(queue._waiting) == 1
        for _ in range(min(reads, len(queue._waiting))):
            with pytest.raises(StopIteration) as got:
                queue.__anext__().send(None)
            out.append(got.value.value)
    out += queue._waiting
    pictures = [unit for unit in out if unit.medium == "video"]
    all_pictures = [at for at, (_, _, is_sound, _) in enumerate(events) if not is_sound]
    for number, unit in enumerate(pictures):
        if not unit.is_keyframe:
            before = all_pictures[all_pictures.index(unit.capture_us) - 1]
            assert number
            assert pictures[number - 1].capture_us == before, "a hole before a picture that is no keyframe"
    assert queue.taken == len(out)
