from agent.camera.handover import MAX_UNITS, Handover
from agent.model.media import Unit


def unit(at: int, *, keyframe: bool = False) -> Unit:
    return Unit(b"", at, 0, keyframe)


def test_pictures_arrive_in_order_with_one_wake_up() -> None:
    wakes: list[int] = []
    handover = Handover(lambda: wakes.append(1))
    for at in range(3):
        handover.put(unit(at, keyframe=at == 0))
    assert len(wakes) == 1
    assert [u.capture_us for u in handover.take()] == [0, 1, 2]
    handover.put(unit(3))
    assert len(wakes) == 2


def test_nothing_passes_before_the_first_keyframe() -> None:
    handover = Handover(lambda: None)
    handover.put(unit(0))
    handover.put(unit(1, keyframe=True))
    assert [u.capture_us for u in handover.take()] == [1]
    assert handover.dropped == 1


def test_a_full_queue_drops_to_the_next_keyframe() -> None:
    handover = Handover(lambda: None)
    handover.put(unit(0, keyframe=True))
    for at in range(1, MAX_UNITS + 5):
        handover.put(unit(at))
    assert handover.keyframe_needed
    assert [u.capture_us for u in handover.take()] == list(range(MAX_UNITS))
    handover.put(unit(100))
    assert handover.take() == [], "its references are gone"
    handover.put(unit(101, keyframe=True))
    handover.put(unit(102))
    assert [u.capture_us for u in handover.take()] == [101, 102]
    assert handover.dropped == 6


def test_a_keyframe_into_a_full_queue_replaces_what_nobody_wants_any_more() -> None:
    handover = Handover(lambda: None)
    handover.put(unit(0, keyframe=True))
    for at in range(1, MAX_UNITS):
        handover.put(unit(at))
    handover.put(unit(MAX_UNITS, keyframe=True))
    assert [u.capture_us for u in handover.take()] == [MAX_UNITS]
    assert handover.dropped == MAX_UNITS
