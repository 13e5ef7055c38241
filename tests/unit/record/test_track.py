"""The ring and the way from it to the card. Pure: times are those of the pictures."""

from itertools import pairwise

from parts.recordings import FPS, GOP, START_US, pictures

from agent.model.media import Unit
from agent.record.fragmenter import EVENT_FRAGMENT_US, FRAGMENT_US, Fragmenter
from agent.record.ring import Ring
from agent.record.track import Track

GOP_US = GOP * 1_000_000 // FPS
PLENTY = 1 << 30


def test_a_ring_reaches_as_far_back_as_it_should_and_a_group_more_at_most():
    ring = Ring(10_000_000, PLENTY)
    for unit in pictures(60):
        ring.push(unit)
        assert ring.held_us <= 10_000_000 + GOP_US
    assert ring.held_us >= 10_000_000
    taken = ring.take(0)
    assert taken[0].is_keyframe
    assert taken[-1].capture_us == START_US + 59_900_000
    assert ring.held_us == ring.size_bytes == 0


def test_what_is_taken_begins_at_the_keyframe_before_that_time():
    ring = Ring(30_000_000, PLENTY)
    for unit in pictures(20):
        ring.push(unit)
    assert ring.take(START_US + 13_500_000)[0].capture_us == START_US + 12_000_000


def test_a_ring_is_bounded_in_bytes_by_whole_groups():
    ring = Ring(60_000_000, 150_000)
    for unit in pictures(60):
        ring.push(unit)
        assert ring.size_bytes <= 150_000
    assert ring.take(0)[0].is_keyframe


def test_a_group_that_is_larger_than_the_ring_is_let_go():
    ring = Ring(60_000_000, 10_000)
    for unit in pictures(5):
        ring.push(unit)
        assert ring.size_bytes <= 10_000
    assert all(unit.is_keyframe for unit in ring.take(0)[:1])


def test_pictures_before_the_first_keyframe_are_nothing():
    ring = Ring(10_000_000, PLENTY)
    for unit in pictures(3)[5:]:
        ring.push(unit)
    assert ring.take(0)[0].capture_us == START_US + GOP_US


def test_a_fragment_is_a_second_or_half_of_one_and_begins_anew_at_a_keyframe():
    for is_urgent, length_us in ((False, FRAGMENT_US), (True, EVENT_FRAGMENT_US)):
        cut = Fragmenter("main")
        cut.is_urgent = is_urgent
        pieces = [piece for unit in pictures(20) if (piece := cut.push(unit))]
        assert len(pieces) == 20_000_000 // length_us - 1
        for piece in pieces:
            assert piece.next_us - piece.units[0].capture_us == length_us
            assert not any(unit.is_keyframe for unit in piece.units[1:])
            assert piece.is_urgent == is_urgent
    assert [unit.capture_us for piece in pieces for unit in piece.units] == [
        unit.capture_us for unit in pictures(19.5)
    ]


class Written:
    def __init__(self):
        self.pieces, self.finished, self.is_full = [], 0, False

    def write(self, piece):
        if not self.is_full:
            self.pieces.append(piece)
        return not self.is_full

    def finish(self, _stream):
        self.finished += 1

    @property
    def times(self):
        return [unit.capture_us - START_US for piece in self.pieces for unit in piece.units]


def track(pre_us=5_000_000):
    written = Written()
    made = Track("main", Ring(pre_us, PLENTY), 4_000_000, written.write, written.finish)
    return made, written


def push(made, units):
    for unit in units:
        made.push(unit)


def test_two_recordings_in_a_row_hold_each_picture_once():
    made, written = track()
    units = pictures(40)
    push(made, units[:205])
    made.begin(units[205].capture_us - 5_000_000)
    push(made, units[205:251])
    made.end()
    push(made, units[251:285])
    assert written.finished == 1
    assert written.times == [unit.capture_us - START_US for unit in units[140:260]]
    made.begin(0)
    push(made, units[285:])
    made.stop()
    assert written.times == [unit.capture_us - START_US for unit in units[140:]]
    assert written.finished == 2


def test_a_recording_that_is_about_to_end_goes_on():
    made, written = track()
    push(made, pictures(10))
    made.begin(0)
    made.end()
    made.begin(0)
    push(made, pictures(10, START_US + 10_000_000))
    assert made.is_recording
    assert written.finished == 0


def test_what_is_lost_is_lost_up_to_a_keyframe_and_counted():
    made, written = track()
    units = pictures(12)
    made.begin(0)
    push(made, units[:25])
    written.is_full = True
    push(made, units[25:45])
    written.is_full = False
    push(made, units[45:])
    made.stop()
    assert made.lost + len(written.times) == len(units)
    kept = [unit for piece in written.pieces for unit in piece.units]
    gaps = [
        later for earlier, later in pairwise(kept)
        if later.capture_us - earlier.capture_us > 100_000
    ]  # fmt: skip
    assert gaps
    assert all(unit.is_keyframe for unit in gaps)


def test_what_is_refused_at_a_keyframe_costs_nothing_behind_it():
    made, written = track()
    units = pictures(6)
    made.begin(0)
    push(made, units[:GOP])
    written.is_full = True
    made.push(units[GOP])
    written.is_full = False
    push(made, units[GOP + 1 :])
    made.stop()
    assert made.lost == FPS, "the fragment that was refused"
    assert written.times[FPS:] == [unit.capture_us - START_US for unit in units[GOP:]]


def test_sound_is_not_recorded():
    made, written = track()
    made.begin(0)
    made.push(Unit(b"opus", START_US, 0, True, "audio"))
    made.stop()
    assert written.pieces == []


def test_a_camera_that_stops_costs_no_fragment():
    made, written = track()
    made.begin(0)
    push(made, pictures(2.5))
    made.flush_stale(START_US + 2_600_000)
    assert len(written.times) == 20
    made.flush_stale(START_US + 10_000_000)
    assert len(written.times) == 25
