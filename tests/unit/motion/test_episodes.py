"""Begin, go on, be over: by the time of the samples."""

from agent.motion.detector import Motion
from agent.motion.episodes import MAX_NEWS, Episodes, Phase


def at(seconds: float, *zones: str, score: float = 0.5) -> Motion:
    return Motion(round(seconds * 1e6), is_moving=True, zones=zones, score=score)


def still(seconds: float) -> Motion:
    return Motion(round(seconds * 1e6))


def test_motion_begins_at_once_and_is_over_after_the_gap():
    episodes = Episodes(quiet_s=5, merge_s=10)
    begun = episodes.on(at(1, "door", score=0.2)).begun
    assert begun is not None
    assert episodes.on(at(2, "garden", score=0.7)).begun is None
    assert episodes.on(still(6.9)).has_changed is False
    assert episodes.phase is Phase.ACTIVE
    assert episodes.on(still(7.1)).has_changed
    assert episodes.phase is Phase.ENDING
    assert episodes.on(still(11.9)).ended is None
    ended = episodes.on(still(12.0)).ended
    assert ended is begun
    assert (ended.begun_us, ended.last_us, ended.score) == (1_000_000, 2_000_000, 0.7)
    assert ended.zones == {"door", "garden"}
    assert episodes.phase is Phase.IDLE


def test_what_moves_within_the_gap_is_the_same_event():
    episodes = Episodes(quiet_s=5, merge_s=10)
    episodes.on(at(1))
    episodes.on(still(8))
    turn = episodes.on(at(9))
    assert (turn.begun, turn.ended, turn.has_changed) == (None, None, True)
    assert episodes.on(still(18.9)).ended is None
    assert episodes.on(still(19)).ended is not None


def test_it_ends_by_time_where_no_picture_comes():
    episodes = Episodes(quiet_s=5, merge_s=0)
    episodes.on(at(1))
    assert episodes.tick(5_900_000).ended is None
    assert episodes.tick(6_000_000).ended is not None
    assert episodes.tick(60_000_000).ended is None


def test_what_moves_after_a_long_pause_is_another_event_and_the_first_is_over():
    episodes = Episodes(quiet_s=5, merge_s=10)
    first = episodes.on(at(1)).begun
    turn = episodes.on(at(100))
    assert turn.ended is first
    assert turn.begun is not None
    assert turn.begun is not first


def test_nothing_ends_where_nothing_began():
    episodes = Episodes(quiet_s=5, merge_s=10)
    assert episodes.on(still(1)).has_changed is False
    assert episodes.end().ended is None


def test_a_label_is_told_as_soon_as_it_is_sure_and_once():
    episodes = Episodes(quiet_s=5, merge_s=10)
    begun = episodes.on(at(1)).begun
    begun.note_told(1_000_000)
    turn = episodes.label({"person"}, 1_200_000)
    assert turn.seen is begun
    assert turn.has_changed
    begun.note_told(1_200_000)
    assert episodes.label({"person"}, 1_400_000).seen is None
    assert episodes.on(at(1.6), {"person", "animal"}).seen is begun
    assert begun.labels == {"person", "animal"}


def test_a_label_that_comes_after_the_motion_is_of_it_and_after_its_end_of_none():
    episodes = Episodes(quiet_s=5, merge_s=10)
    begun = episodes.on(at(1)).begun
    begun.note_told(1_000_000)
    episodes.on(still(7))
    assert episodes.phase is Phase.ENDING
    assert episodes.label({"vehicle"}, 7_500_000).seen is begun
    episodes.on(still(11))
    assert episodes.label({"person"}, 11_200_000).seen is None


def test_what_is_labelled_when_it_begins_is_told_with_it():
    episodes = Episodes(quiet_s=5, merge_s=10)
    begun = episodes.on(at(1), {"person"}).begun
    assert begun.labels == {"person"}
    begun.note_told(1_000_000)
    assert episodes.on(at(1.2), {"person"}).seen is None


def test_a_zone_that_is_walked_into_later_is_told_a_second_after_the_last():
    episodes = Episodes(quiet_s=5, merge_s=10)
    begun = episodes.on(at(1, "yard")).begun
    begun.note_told(1_000_000)
    assert episodes.on(at(1.2, "yard", "door")).seen is None
    assert episodes.on(at(2.0, "door")).seen is begun
    begun.note_told(2_000_000)
    assert episodes.on(at(4.0, "door")).seen is None


def test_of_one_motion_so_much_is_told_and_no_more():
    episodes = Episodes(quiet_s=5, merge_s=10)
    begun = episodes.on(at(1)).begun
    begun.note_told(1_000_000)
    told = 0
    for second in range(2, 40):
        if (seen := episodes.on(at(second, f"zone {second}")).seen) is not None:
            seen.note_told(second * 1_000_000)
            told += 1
    assert told == MAX_NEWS - 1
