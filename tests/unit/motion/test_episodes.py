"""Begin, go on, be over: by the time of the samples."""

from agent.motion.detector import Motion
from agent.motion.episodes import Episodes, Phase


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
