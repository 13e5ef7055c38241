"""Which labels are those of what moves."""

import pytest

from agent.model.labels import Area, Sighting, Sightings, label_of, labels_of, sighting
from agent.motion.detector import Motion
from agent.motion.grid import Box
from agent.motion.labels import Labels

COLUMNS, ROWS = 32, 18
WALKER = Area(0.25, 0.3, 0.375, 0.7)
MOVES = Box(8, 6, 12, 12)
"""The cells of the walker."""


def seen(at_s, *found, label="person", score=0.8):
    return Sightings(round(at_s * 1e6), tuple(Sighting(label, score, area) for area in found))


def moved(at_s, box=MOVES):
    return Motion(round(at_s * 1e6), is_moving=True, box=box)


def sure(*steps, now_s=2.0):
    labels = Labels()
    for step in steps:
        if isinstance(step, Sightings):
            labels.see(step)
        else:
            labels.move(step, COLUMNS, ROWS)
    return labels.sure(round(now_s * 1e6))


def test_what_was_labelled_in_two_pictures_where_something_moves_is_sure():
    assert sure(seen(1.0, WALKER), seen(1.2, WALKER), moved(1.2)) == {"person"}
    assert sure(seen(1.0, WALKER), moved(1.2)) == set(), "a network errs"
    assert sure(seen(1.0, WALKER, WALKER), moved(1.2)) == set(), "two in one picture are one look"


def test_what_stands_where_nothing_moves_has_no_part_in_it():
    parked = Area(0.6, 0.4, 0.95, 0.8)
    assert sure(*(seen(at, parked, label="vehicle") for at in (1, 1.2, 1.4)), moved(1.4)) == set()


def test_of_a_parked_car_somebody_who_walks_by_covers_too_little():
    parked = Area(0.1, 0.3, 0.6, 0.75)
    assert sure(*(seen(at, parked, label="vehicle") for at in (1, 1.2, 1.4)), moved(1.4)) == set()


def test_a_label_that_comes_late_is_held_against_what_moved_in_its_picture():
    away = Box(26, 6, 30, 12)
    late = [moved(1.0), moved(1.2), moved(2.2, away), seen(1.0, WALKER), seen(1.2, WALKER)]
    assert sure(*late, now_s=2.4) == {"person"}
    assert sure(*late, now_s=4.3) == set(), "what was so long ago is another motion's"


def test_what_is_seen_while_nothing_moves_is_no_motions():
    assert sure(seen(1.0, WALKER), seen(1.2, WALKER), moved(2.0)) == set()


@pytest.mark.parametrize(("name", "label"), [
    ("person", "person"), (" Dog ", "animal"), ("TRUCK", "vehicle"), ("chair", None), ("", None), ("-", None),
])  # fmt: skip
def test_classes_of_networks_are_three_labels_or_none(name, label):
    assert label_of(name) == label


@pytest.mark.parametrize("classes", [[], ["chair", "bench"], ["person"] * 1001])
def test_classes_that_cannot_label_anything_are_refused(classes):
    with pytest.raises(ValueError, match="class"):
        labels_of(classes)


@pytest.mark.parametrize(("number", "score", "area"), [
    (0.0, 0.4, WALKER), (0.0, float("nan"), WALKER), (0.0, float("inf"), WALKER), (0.0, 1.5, WALKER),
    (-1.0, 0.9, WALKER), (2.0, 0.9, WALKER), (float("nan"), 0.9, WALKER), (1.0, 0.9, WALKER),
    (0.0, 0.9, Area(0.5, 0.5, 0.5, 0.9)), (0.0, 0.9, Area(0.9, 0.1, 0.1, 0.9)),
    (0.0, 0.9, Area(1.1, 0.1, 1.4, 0.9)),
    (0.0, 0.9, Area(float("nan"), 0.1, 0.4, 0.9)), (0.0, 0.9, Area(0.1, 0.1, float("nan"), 0.9)),
])  # fmt: skip
def test_what_a_network_says_is_believed_where_it_can_be_so(number, score, area):
    assert sighting(("person", None), number, score, area, 0.5) is None


def test_a_thing_at_the_border_is_cut_there():
    found = sighting(("person", None), 0.0, 0.9, Area(-0.2, 0.5, 0.4, 1.3), 0.5)
    assert found == Sighting("person", 0.9, Area(0.0, 0.5, 0.4, 1.0))
