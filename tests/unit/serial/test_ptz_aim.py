"""What is clicked comes to the middle, and a box fills the picture: judged by what the head's camera sees."""

import json

import pytest
from fakes.ptz_head import PelcoHead, ViscaCamera
from fakes.ptz_rig import Rig
from fakes.ptz_view import ZOOM_MAX, ZOOM_WAY_DEG, View

from agent.model.command import COMMANDS, Order, parse_arguments

FOV_DEG = 60.0
OFF = 0.02
"""Of the picture's width: what a click may miss the middle by."""
LOOKS_S = 1.5
"""A person needs so long from a picture that rests to the next click."""


def move(rig, **arguments):
    order = Order("0f" * 16, "ptz-move", arguments, "ann", ("watch", "control"), "session", "ann")
    rig.orders["ptz-move"](order, parse_arguments(COMMANDS["ptz-move"], arguments))


def until_still(rig):
    for _ in range(300):
        rig.run_for(0.1)
        if not rig.fake.is_moving and not rig.head.is_moving(rig.now_s):
            return
    raise AssertionError("it goes on and on")


def turning(protocol):
    """A head that answers, and takes its time."""
    heads = {"visca": ViscaCamera, "pelco-d": PelcoHead}
    how = {"answers": True} if protocol == "pelco-d" else {}
    zoom = {"zoom_max": ZOOM_MAX} if protocol == "visca" else {}
    rig = Rig(protocol, heads[protocol](travels=True, **how), fov_deg=FOV_DEG, **zoom)
    rig.plug()
    rig.run_for(60)
    return rig


@pytest.mark.parametrize("protocol", ["visca", "pelco-d"])
def test_each_click_of_a_row_centres_what_is_under_it(protocol):
    rig, view = turning(protocol), View(FOV_DEG)
    for x, y in ((0.4, 0.1), (-0.3, 0.2), (0.1, -0.25), (-0.45, -0.1)):
        ray = view.ray(rig.fake.position, x, y)
        move(rig, x=x, y=y)
        until_still(rig)
        off = view.place(rig.fake.position, ray)
        assert max(map(abs, off)) < OFF, f"{off} after a click at {x}, {y}"
        rig.run_for(LOOKS_S)


@pytest.mark.parametrize("protocol", ["visca", "pelco-d"])
@pytest.mark.parametrize("stick", [{"pan": 0.8}, {"tilt": 0.8}])
def test_a_click_right_after_a_stick_was_let_go_centres(protocol, stick):
    rig, view = turning(protocol), View(FOV_DEG)
    channel, _ = rig.viewer()
    for number in range(10):
        message = json.dumps({"seq": number} | (stick if number < 9 else {}))
        rig.at(rig.now_s + number / 10, lambda it=message: channel.on_message(it))
    rig.run_for(1 + LOOKS_S)
    assert max(rig.fake.position) > 5, "it moved"
    ray = view.ray(rig.fake.position, 0.3, 0.1)
    move(rig, x=0.3, y=0.1)
    until_still(rig)
    assert max(map(abs, view.place(rig.fake.position, ray))) < OFF


def test_a_pelco_head_that_answers_is_said_to_move_no_longer_than_it_does():
    rig = turning("pelco-d")
    rig.fake.presets[1] = (120.0, 20.0, 0.0)
    order = Order("0f" * 16, "ptz-go", {}, "ann", ("control",), "session", "ann")
    rig.orders["ptz-go"](order, parse_arguments(COMMANDS["ptz-go"], {"number": 1}))
    rig.run_for(1.9)
    assert rig.fake.is_moving
    assert rig.head.is_moving(rig.now_s)
    rig.run_for(1.5)
    assert rig.head.is_moving(rig.now_s), "it may pause between its axes"
    rig.run_for(2)
    assert rig.fake.position[:2] == [120, 20]
    assert not rig.head.is_moving(rig.now_s)


@pytest.mark.parametrize(
    "boxes", [((0.2, 0.1, 0.5),), ((-0.3, 0.0, 0.3), (0.2, 0.1, 0.4)), ((0.1, 0.1, 0.02),)]
)
def test_boxes_fill_the_picture_one_after_the_other(boxes):
    rig, view = turning("visca"), View(FOV_DEG)
    for x, y, width in boxes:
        seen = [view.ray(rig.fake.position, x + beside, y) for beside in (-width / 2, 0, width / 2)]
        move(rig, x=x, y=y, width=width)
        until_still(rig)
        (left, _), middle, (right, _) = (view.place(rig.fake.position, ray) for ray in seen)
        rig.run_for(LOOKS_S)
        assert max(map(abs, middle)) < OFF
        filled = width * ZOOM_MAX if rig.fake.position[2] == ZOOM_WAY_DEG else 1
        assert right - left == pytest.approx(filled, rel=0.08)
    assert rig.fake.position[2] > 10, "it zoomed"
