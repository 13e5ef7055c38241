"""The AI Camera's network by picamera2's own code, of the versions that know it: the sensor is not there."""

import pytest
from board.native.pi import BOOKWORM, NEWEST, Board

pytestmark = pytest.mark.timeout(1200)  # the first one makes what is kept
NEAR = 0.01
"""picamera2 gives whole pixels of the picture."""
PERSON = ["person", 0.9, 0.6, 0.2, 0.7, 0.8]
ANIMAL = ["animal", 0.7, 0.1, 0.5, 0.2, 0.7]


def is_seen(told, *wanted):
    assert told["problem"] == ""
    assert told["failures"] == []
    assert [label for label, *_ in told["found"]] == [label for label, *_ in wanted]
    for found, one in zip(told["found"], wanted, strict=True):
        assert found[1:] == pytest.approx(one[1:], abs=NEAR), told


@pytest.fixture(scope="module", params=[BOOKWORM, NEWEST])
def ai_camera(request, heap):
    return Board(request.param, heap)


def test_what_the_sensor_sees_is_labelled_where_it_is_in_the_picture(ai_camera):
    seen = ai_camera.label("plain,xy,dashes,nanodet,cropped")
    is_seen(seen["plain"], PERSON, ANIMAL)  # a chair is none, and what is unsure is left out
    is_seen(seen["xy"], PERSON, ANIMAL)
    is_seen(seen["dashes"], ["animal", *PERSON[1:]])
    is_seen(seen["nanodet"], ["vehicle", 0.98, 0.4, 0.4, 0.8, 0.8])
    is_seen(seen["cropped"], ["person", 0.9, 0.2, 0.2, 0.4, 0.8])
    assert seen["calls"] > 0, "the network went to the sensor"


def test_nothing_from_behind_a_mask_is_labelled(ai_camera):
    is_seen(ai_camera.label("masked")["masked"], PERSON)


def test_what_the_sensor_says_is_not_believed_and_harms_no_picture(ai_camera):
    seen = ai_camera.label("hostile,short,shapes,untold")
    assert [one[2:] for one in seen["hostile"]["found"]] == [[0.0, 0.0, 1.0, 1.0]], (
        "cut at the picture's sides"
    )
    for case in ("short", "shapes", "untold"):
        assert seen[case]["found"] == []
        assert "what the sensor's network says cannot be read" in seen[case]["problem"]
        assert seen[case]["failures"] == []


def test_a_network_that_labels_nothing_is_told_and_the_camera_serves(ai_camera):
    seen = ai_camera.label("pose,yolo,classless")
    assert "does pose estimation, not object detection" in seen["pose"]["problem"]
    assert "take one whose name ends in _pp" in seen["yolo"]["problem"]
    assert "none of its classes is a person" in seen["classless"]["problem"]
    assert all(one["failures"] == [] for name, one in seen.items() if name != "calls")
