"""Who may move the head, and what it does for them."""

import itertools
import json

import pytest
from fakes.ptz_head import PelcoHead, ViscaCamera
from fakes.ptz_rig import Rig
from pydantic import TypeAdapter

from agent.device.ledger import WRITE_INTERVAL_S, Ledger
from agent.model.command import COMMANDS, CommandError, Order, parse_arguments
from agent.serial.ptz.desk import AGAIN_S, RIGHT_S
from agent.serial.ptz.head import DEAD_MAN_S
from agent.serial.ptz.holder import AUDIT_S, LEASE_S
from agent.serial.ptz.memory import Memory
from agent.serial.ptz.pelco import STOP, encode_d
from agent.serial.ptz.wish import MAX_WISHES_PER_S

RIGHT = {"pan": 1.0}
STOP_FRAME = encode_d(1, STOP)


def say(channel, seq, **stick):
    channel.on_message(json.dumps({"seq": seq, **stick}))


def do(rig, name, /, *, user="ann", session="ann", **arguments):
    order = Order("0f" * 16, name, arguments, user, ("watch", "control", "manage"), "session", session)
    return rig.orders[name](order, parse_arguments(COMMANDS[name], arguments))


def refused(rig, name, **how):
    with pytest.raises(CommandError) as caught:
        do(rig, name, **how)
    return caught.value.code


@pytest.fixture
def rig():
    it = Rig()
    it.plug()
    it.run_for(5)
    it.sent.clear()
    return it


@pytest.fixture
def camera():
    it = Rig("visca", ViscaCamera(), zoom_max=18, fov_deg=60, pan_limits_deg=[-100, 100])
    it.plug()
    it.run_for(1)
    return it


def test_a_stick_moves_the_head_and_who_moves_it_is_told(rig):
    channel, heard = rig.viewer()
    _, others = rig.viewer("bob")
    assert heard.said == [{"holder": None, "mine": False, "moving": False}]
    say(channel, 1, **RIGHT)
    rig.run_for(0.1)
    assert rig.fake.velocity == (1.0, 0.0, 0.0)
    assert heard.said[-1] == {"holder": "ann", "mine": True, "moving": True}
    assert others.said[-1] == {"holder": "ann", "mine": False, "moving": True}
    rig.run_for(DEAD_MAN_S)
    assert not rig.fake.is_moving
    rig.run_for(LEASE_S)
    assert heard.said[-1] == {"holder": None, "mine": False, "moving": False}


def test_how_things_stand_is_told_again_since_the_channel_loses_messages(rig):
    channel, heard = rig.viewer()
    say(channel, 1, **RIGHT)
    rig.run_for(0.5)
    heard.said.clear()
    rig.run_for(0.5 + AGAIN_S[-1])
    assert heard.said == [{"holder": "ann", "mine": True, "moving": False}] * len(AGAIN_S)
    heard.said.clear()
    rig.run_for(3)
    assert heard.said == []


def test_what_comes_late_or_twice_is_dropped(rig):
    channel, _ = rig.viewer()
    say(channel, 5)
    for seq in (4, 5, 1):
        say(channel, seq, **RIGHT)
    rig.run_for(0.1)
    assert not rig.fake.is_moving


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", "7", '{"pan":1}', '{"seq":1,"pan":1.5}', '{"seq":1,"pan":"1"}', '{"seq":1,"pan":NaN}',
     '{"seq":-1,"pan":1}', '{"seq":1.5,"pan":1}', '{"seq":1,"pan":1,"x":"' + "a" * 300 + '"}', b"\xff\xfe"],
)  # fmt: skip
def test_what_is_no_wish_moves_nothing(rig, message):
    channel, heard = rig.viewer()
    channel.on_message(message)
    rig.run_for(0.1)
    assert not rig.fake.is_moving
    assert len(heard.said) == 1


def test_a_flood_is_not_read(rig):
    channel, _ = rig.viewer()
    for seq in range(500):
        say(channel, seq, **RIGHT)
    assert channel.wishes.dropped == 500 - MAX_WISHES_PER_S
    rig.run_for(1)
    drives = [frame for _, frame in rig.sent if frame[3]]
    assert len(drives) <= 9
    assert not rig.fake.is_moving


def test_the_bus_carries_fifteen_frames_a_second_at_most_and_gaps_between_them(rig):
    channel, _ = rig.viewer()
    for number in range(40):
        stick = {} if number % 7 == 6 else {"pan": (-1) ** number}
        rig.at(rig.now_s + number / 20, lambda n=number, s=stick: say(channel, n, **s))
    rig.run_for(4)
    times = [when_s for when_s, _ in rig.sent]
    assert all(sum(0 <= other - when < 1 for other in times) <= 15 for when in times)
    frame_s = 7 * 10 / 2400
    assert min(b - a for a, b in itertools.pairwise(times)) >= frame_s + 0.01


def test_a_stick_in_its_dead_zone_takes_nothing(rig):
    channel, heard = rig.viewer()
    say(channel, 1, pan=0.09, tilt=-0.05)
    rig.run_for(0.2)
    assert (rig.sent, heard.said[-1]["holder"]) == ([], None)


def test_a_stop_overtakes_what_waits(rig):
    channel, _ = rig.viewer()
    for seq in range(5):
        say(channel, seq, pan=1, tilt=seq / 10)
    say(channel, 9)
    rig.run_for(0.5)
    assert {frame[2:6] for _, frame in rig.sent} == {bytes(4)}


def test_who_comes_second_is_told_who_was_first(rig):
    first, _ = rig.viewer()
    second, heard = rig.viewer("bob")
    say(first, 1, **RIGHT)
    for seq in range(10):
        say(second, seq, pan=-1)
    rig.run_for(0.1)
    assert rig.fake.velocity[0] > 0
    assert [said for said in heard.said if "refused" in said] == [{"refused": "ptz-busy", "holder": "ann"}]
    assert refused(rig, "ptz-go", user="bob", session="bob", number=1) == "ptz-busy"
    say(second, 20)
    rig.run_for(0.1)
    assert rig.fake.is_moving, "whoever does not hold it stops nothing by a stick that stands"
    do(rig, "ptz-stop", user="bob", session="bob")
    rig.run_for(0.1)
    assert not rig.fake.is_moving


def test_who_manages_takes_over_and_the_head_stands_in_between(rig):
    first, heard = rig.viewer()
    boss, _ = rig.viewer("boss")
    say(first, 1, **RIGHT)
    rig.run_for(0.1)
    do(rig, "ptz-take", user="boss", session="boss")
    rig.run_for(0.1)
    assert not rig.fake.is_moving
    say(first, 2, **RIGHT)
    assert heard.said[-1] == {"refused": "ptz-busy", "holder": "boss"}
    say(boss, 1, pan=-1)
    rig.run_for(0.2)
    assert rig.fake.velocity[0] < 0


def test_the_same_person_goes_on_in_another_tab(rig):
    first, _ = rig.viewer("ann", "one")
    second, heard = rig.viewer("ann", "two")
    say(first, 100, **RIGHT)
    say(first, 101)
    say(second, 1, pan=-1)
    rig.run_for(0.2)
    assert rig.fake.velocity[0] < 0
    assert heard.said[-1]["mine"]


def test_of_two_tabs_of_a_person_that_hold_their_sticks_the_first_moves_the_head_and_is_noted_once(rig):
    first, _ = rig.viewer("ann", "one")
    second, heard = rig.viewer("ann", "two")
    for number in range(100):
        rig.at(rig.now_s + number / 10, lambda n=number: say(first, n, **RIGHT))
        rig.at(rig.now_s + number / 10 + 0.05, lambda n=number: say(second, n, pan=-1))
    rig.run_for(9)
    assert rig.fake.velocity[0] > 0
    assert {"refused": "ptz-busy", "holder": "ann"} in heard.said
    assert rig.told == [("one", "ptz-move")]


def test_whoever_moves_the_head_now_and_then_is_noted_once_a_minute(rig):
    for number in range(4):
        channel, _ = rig.viewer("ann", str(number))
        say(channel, 1, **RIGHT)
        channel.on_closed()
        rig.run_for(LEASE_S + 1)
    assert rig.told == [("0", "ptz-move")]


def test_a_channel_that_closes_lets_go_and_frees_the_head(rig):
    channel, _ = rig.viewer()
    second, heard = rig.viewer("bob")
    say(channel, 1, **RIGHT)
    rig.run_for(0.1)
    channel.on_closed()
    rig.run_for(0.05)
    assert not rig.fake.is_moving
    assert heard.said[-1]["holder"] is None
    say(second, 1, **RIGHT)
    rig.run_for(0.2)
    assert rig.fake.is_moving


def test_without_the_right_there_is_no_channel_and_one_that_loses_it_is_over(rig):
    assert rig.viewer(may=lambda: False)[0] is None
    rights = [True]
    channel, heard = rig.viewer(may=lambda: rights[0])
    say(channel, 1, **RIGHT)
    rig.run_for(0.1)
    rights.clear()
    rights.append(False)
    say(channel, 2, **RIGHT)
    rig.run_for(0.1)
    assert not rig.fake.is_moving
    assert heard.said[-1] == {"refused": "not-allowed", "holder": None}


def test_who_loses_the_right_has_no_pulse_go_on(rig):
    rights = [True]
    rig.viewer(may=lambda: rights[0])
    for axis, seconds in itertools.product(("pan", "tilt"), (1.0, 2.0)):
        do(rig, "ptz-calibrate", axis=axis, seconds=seconds, moved=seconds / 2)
    do(rig, "ptz-move", x=1.0, y=0.0)
    rig.run_for(0.2)
    assert rig.fake.is_moving
    rights[0] = False
    rig.run_for(RIGHT_S + 0.1)
    assert not rig.fake.is_moving


def test_who_loses_the_right_has_no_tour_go_on_and_who_only_leaves_has(rig):
    rights = [True]
    for may, is_touring in ((lambda: True, True), (lambda: rights[0], False)):
        channel, _ = rig.viewer(may=may)
        do(rig, "ptz-tour", seconds=5, presets=[1, 2])
        rig.run_for(LEASE_S + 1)
        if is_touring:
            channel.on_closed()
        rights[0] = False
        rig.run_for(RIGHT_S)
        assert rig.desk.routine.is_touring == is_touring
        rights[0] = True


def test_without_a_channel_too_what_was_begun_ends_with_the_right_to_it(rig):
    rig.fake.presets[1] = (50.0, 0.0, 0.0)
    for name, wish, later_s in (
        ("ptz-tour", {"seconds": 5, "presets": [1, 2]}, LEASE_S + 1),
        ("ptz-go", {"number": 1}, LEASE_S + 1),
        ("ptz-go", {"number": 1}, 1),
    ):
        do(rig, name, **wish)
        rig.run_for(later_s)
        rig.desk.on_right_lost("of somebody else")
        assert rig.head.is_moving(rig.now_s)
        assert rig.desk.routine.is_touring == (name == "ptz-tour")
        rig.sent.clear()
        rig.desk.on_right_lost("ann")
        rig.run_for(0.5)
        assert not rig.head.is_moving(rig.now_s), name
        assert not rig.desk.routine.is_touring
        assert [frame for _, frame in rig.sent][:3] == [STOP_FRAME] * 3
    do(rig, "ptz-tour", session="", seconds=5, presets=[1, 2])
    rig.desk.on_right_lost("")
    assert rig.desk.routine.is_touring, "one that came by the broker is nobody's session's"


def test_who_takes_over_stops_a_way_whose_lease_is_over(rig):
    rig.fake.presets[1] = (50.0, 0.0, 0.0)
    do(rig, "ptz-go", number=1)
    rig.run_for(LEASE_S + 1)
    assert rig.head.is_moving(rig.now_s)
    rig.sent.clear()
    do(rig, "ptz-take", user="bob", session="bob")
    rig.run_for(0.5)
    assert not rig.head.is_moving(rig.now_s)
    assert rig.sent[0][1] == STOP_FRAME


def test_who_has_the_right_again_hears_how_things_stand(rig):
    rights = [True]
    channel, heard = rig.viewer(may=lambda: rights[0])
    rights[0] = False
    say(channel, 1, **RIGHT)
    rig.viewer("bob")
    do(rig, "ptz-take", user="bob", session="bob")
    rig.run_for(LEASE_S + 1)
    assert heard.said[1:] == [{"refused": "not-allowed", "holder": None}], "nor who moves it"
    rights[0] = True
    say(channel, 2, **RIGHT)
    rig.run_for(0.2)
    assert heard.said[-1] == {"holder": "ann", "mine": True, "moving": True}


def hold(rig, channel, since, seconds):
    for number in range(round(seconds * 10)):
        rig.at(rig.now_s + number / 10, lambda n=number: say(channel, since + n, **RIGHT))
    rig.run_for(seconds)


def test_a_stop_holds_against_a_stick_that_is_held_until_it_is_let_go(rig):
    channel, heard = rig.viewer()
    hold(rig, channel, 0, 1)
    do(rig, "ptz-stop", user="bob", session="bob")
    hold(rig, channel, 100, 1)
    assert not rig.fake.is_moving
    assert heard.said[-1] == {"refused": "let-go", "holder": "ann"}
    say(channel, 200)
    hold(rig, channel, 201, 0.2)
    assert rig.fake.is_moving
    say(channel, 300)
    do(rig, "ptz-stop", user="bob", session="bob")
    hold(rig, channel, 301, 0.2)
    assert rig.fake.is_moving, "nobody held it"


@pytest.mark.parametrize("is_closed_first", [True, False])
def test_a_stop_holds_against_a_stick_that_is_held_whose_page_connects_anew(rig, is_closed_first):
    before, _ = rig.viewer(session="before")
    hold(rig, before, 0, 1)
    do(rig, "ptz-stop", user="bob", session="bob")
    if is_closed_first:
        before.on_closed()
    other, _ = rig.viewer("carl")
    channel, heard = rig.viewer(session="after")
    before.on_closed()
    hold(rig, channel, 0, 1)
    assert not rig.fake.is_moving
    assert heard.said[-1]["refused"] == "let-go"
    say(channel, 100)
    hold(rig, channel, 101, 0.2)
    assert rig.fake.is_moving
    channel.on_closed()
    hold(rig, other, 0, 0.2)
    assert rig.fake.is_moving, "whose stick nobody stopped"


def test_a_stick_without_a_word_for_long_has_been_let_go(rig):
    """Its last words may have been lost, and whoever wrote that page may say none."""
    channel, _ = rig.viewer()
    hold(rig, channel, 0, 1)
    do(rig, "ptz-stop", user="bob", session="bob")
    rig.run_for(LEASE_S)
    hold(rig, channel, 100, 0.2)
    assert rig.fake.is_moving


def test_a_stick_that_is_held_does_not_take_the_head_back_from_who_took_it_over(rig):
    channel, _ = rig.viewer()
    boss, _ = rig.viewer("boss")
    hold(rig, channel, 0, 1)
    say(boss, 1, **RIGHT)
    do(rig, "ptz-take", user="boss", session="boss")
    hold(rig, channel, 100, LEASE_S + 1)
    assert not rig.fake.is_moving
    hold(rig, boss, 2, 0.2)
    assert rig.fake.is_moving, "whose own hand may stay where it is"


def test_without_its_port_nothing_is_promised(rig):
    rig.unplug()
    channel, heard = rig.viewer()
    say(channel, 1, **RIGHT)
    assert heard.said[-1] == {"refused": "absent", "holder": None}
    assert refused(rig, "ptz-home") == "absent" or rig.settings.home_preset is None
    assert refused(rig, "ptz-go", number=1) == "absent"
    assert rig.desk.section().state == "absent"


def test_the_audit_log_hears_of_a_holder_once_a_minute(rig):
    channel, _ = rig.viewer()
    for number in range(round(AUDIT_S * 1.5)):
        rig.at(rig.now_s + number, lambda n=number: say(channel, n, **RIGHT))
    rig.run_for(AUDIT_S * 1.5)
    assert rig.told == [("ann", "ptz-move")] * 2
    other, _ = rig.viewer("bob")
    rig.run_for(LEASE_S + 1)
    say(other, 1, **RIGHT)
    assert rig.told[2:] == [("bob", "ptz-move")]


def test_a_preset_that_the_disk_did_not_take_is_written_once_it_does(rig, tmp_path):
    state = tmp_path / "state"
    state.write_text("no folder")
    rig.store = Ledger(state / "ptz.json", TypeAdapter(Memory))
    rig.kill()
    rig.plug()
    rig.run_for(5)
    do(rig, "ptz-keep", number=1, name="Door")
    state.unlink()
    rig.run_for(WRITE_INTERVAL_S + 15)  # and nobody keeps another
    rig.kill()
    assert [(each.number, each.name) for each in rig.desk.section().presets] == [(1, "Door")]


def test_presets_have_names_and_outlive_the_agent(rig):
    do(rig, "ptz-keep", number=2, name="Gate")
    do(rig, "ptz-keep", number=1, name="Door")
    rig.run_for(1)
    do(rig, "ptz-forget", number=2)
    rig.run_for(1)
    assert set(rig.fake.presets) == {1}
    rig.start()
    presets = rig.desk.section().presets
    assert [(each.number, each.name) for each in presets] == [(1, "Door")]


def test_a_head_turns_to_a_preset_and_a_stick_takes_it_back(rig):
    rig.fake.presets[7] = (50.0, 0.0, 0.0)
    do(rig, "ptz-go", number=7)
    rig.run_for(0.2)
    assert rig.fake.position[0] == 50.0
    channel, heard = rig.viewer()
    assert heard.said[-1]["moving"]
    say(channel, 1, pan=-1)
    rig.run_for(0.3)
    assert rig.fake.velocity[0] < 0


def test_what_is_ordered_right_after_a_stick_was_let_go_is_not_ended_by_its_later_words(rig):
    rig.fake.presets[7] = (50.0, 0.0, 0.0)
    channel, _ = rig.viewer()
    say(channel, 1, pan=1)
    rig.run_for(0.1)
    for number in range(3):
        rig.at(rig.now_s + 0.05 * number, lambda n=number: say(channel, 2 + n))
    rig.at(rig.now_s + 0.07, lambda: do(rig, "ptz-go", number=7))
    rig.run_for(1)
    assert rig.fake.position[0] == 50.0


def test_home_is_a_preset_or_the_protocols(rig, camera):
    assert refused(rig, "ptz-home") == "no-home"
    camera.fake.position = [10.0, 5.0, 0.0]
    do(camera, "ptz-home")
    camera.run_for(0.2)
    assert camera.fake.position[:2] == [0.0, 0.0]


def test_it_goes_home_where_nobody_wants_anything_else():
    rig = Rig(home_preset=3, idle_return_s=30)
    rig.fake.presets[3] = (-20.0, 0.0, 0.0)
    rig.plug()
    channel, _ = rig.viewer()
    say(channel, 1, **RIGHT)
    rig.run_for(29)
    assert rig.fake.position[0] > 0
    rig.run_for(2)
    assert rig.fake.position[0] == -20.0
    rig.fake.position[0] = 0.0
    rig.run_for(100)
    assert rig.fake.position[0] == 0.0, "once"


def test_a_tour_goes_round_until_somebody_moves_the_head(rig):
    rig.fake.presets.update({1: (1.0, 0, 0), 2: (2.0, 0, 0)})
    assert refused(rig, "ptz-tour", seconds=5) == "unknown-preset"
    do(rig, "ptz-tour", seconds=5, presets=[1, 2])
    seen = []
    for _ in range(4):
        rig.run_for(1)
        seen.append(rig.fake.position[0])
        rig.run_for(4)
    assert seen == [1.0, 2.0, 1.0, 2.0]
    assert rig.desk.section().touring
    rig.run_for(LEASE_S)
    channel, _ = rig.viewer("bob")
    say(channel, 1, **RIGHT)
    rig.run_for(20)
    assert not rig.desk.section().touring
    assert rig.fake.position[0] > 2


def test_click_to_centre_turns_to_where_the_position_is_known(camera):
    camera.fake.position = [20.0, 0.0, 0.0]
    camera.run_for(11)
    assert camera.desk.section().can_move
    do(camera, "ptz-move", x=0.25, y=0.0)
    camera.run_for(1)
    assert camera.fake.position[0] == pytest.approx(20 + 16.1, abs=0.1), "atan(0.5 tan 30°)"
    do(camera, "ptz-move", x=0.0, y=0.1)
    camera.run_for(20)
    assert camera.fake.position[1] == pytest.approx(6.6, abs=0.1)


def test_a_box_fills_the_picture(camera):
    camera.run_for(11)
    do(camera, "ptz-move", x=0.0, y=0.0, width=0.25)
    camera.run_for(30)
    assert camera.desk.magnified == pytest.approx(4, rel=0.02)


def test_no_limit_is_passed(camera):
    camera.fake.position = [98.0, 0.0, 0.0]
    camera.run_for(11)
    do(camera, "ptz-move", x=0.5, y=0.0)
    camera.run_for(10)
    assert camera.fake.position[0] == pytest.approx(100, abs=0.1)
    camera.fake.position = [99.0, 0.0, 0.0]
    channel, _ = camera.viewer()
    for number in range(30):
        camera.at(camera.now_s + number / 10, lambda n=number: say(channel, n, pan=0.4, tilt=0.4))
    camera.run_for(3)
    assert camera.fake.velocity[0] == 0
    assert camera.fake.velocity[1] > 0


def test_the_more_it_is_zoomed_in_the_slower_it_turns(camera):
    channel, _ = camera.viewer()
    say(channel, 1, **RIGHT)
    camera.run_for(0.1)
    wide = camera.fake.velocity[0]
    camera.fake.position[2] = 60.0
    camera.run_for(12)
    say(channel, 2, **RIGHT)
    camera.run_for(0.1)
    assert wide == 1
    assert 0 < camera.fake.velocity[0] < 0.1


def test_a_head_that_tells_no_position_is_calibrated_by_two_pulses_of_each_axis(rig):
    """60° a second at full speed, a picture 60° wide: half speed moves half a picture a second."""
    assert refused(rig, "ptz-move", x=0.5, y=0.0) == "not-calibrated"
    for axis, place in (("pan", 0), ("tilt", 1)):
        for seconds in (0.5, 2.0):
            before = rig.fake.position[place]
            do(rig, "ptz-calibrate", axis=axis, seconds=seconds)
            rig.run_for(4)
            moved = (rig.fake.position[place] - before) / 60
            assert moved > 0
            do(rig, "ptz-calibrate", axis=axis, seconds=seconds, moved=moved)
    assert rig.desk.section().can_move
    channel, _ = rig.viewer()
    do(rig, "ptz-move", x=-0.4, y=0.3)
    channel.on_closed()
    before = list(rig.fake.position)
    rig.run_for(6)
    assert rig.fake.position == before, "whoever wished for it has gone"
    do(rig, "ptz-move", x=-0.4, y=0.3)
    rig.run_for(6)
    moved = [(now - then) / 60 for now, then in zip(rig.fake.position, before, strict=True)]
    assert moved[:2] == pytest.approx([-0.4, 0.3], abs=0.05)


def test_a_pelco_head_that_answers_is_turned_by_degrees():
    rig = Rig(fake=PelcoHead(answers=True), fov_deg=60)
    rig.plug()
    rig.fake.position = [30.0, -10.0, 0.0]
    rig.run_for(60)
    section = rig.desk.section()
    assert (section.can_position, section.can_move, section.can_zoom_to) == (True, True, False)
    do(rig, "ptz-move", x=0.25, y=0.0)
    rig.run_for(3)
    assert rig.fake.position[0] == pytest.approx(30 + 16.3, abs=0.3)


def test_one_that_only_hears_itself_has_no_position():
    rig = Rig(fake=PelcoHead(echo=True))
    rig.plug()
    rig.run_for(60)
    assert not rig.desk.section().can_position
    questions = [frame for _, frame in rig.sent if frame[3] in (0x51, 0x53)]
    assert len(questions) == 6, "it is not asked for ever"


def test_a_camera_that_falls_silent_is_a_fault_once_and_set_up_anew_when_it_is_back(camera):
    camera.fake.is_on = False
    camera.run_for(80)
    assert len(camera.faults) == 1
    assert camera.desk.section().state == "silent"
    assert refused(camera, "ptz-home") == "silent"
    camera.sent.clear()
    camera.fake.is_on, camera.fake._is_numbered = True, True
    camera.run_for(15)
    assert camera.desk.section().state == "ready"
    assert bytes.fromhex("883001ff") in [frame for _, frame in camera.sent]
    assert len(camera.faults) == 1


def test_orders_wait_for_each_other_so_that_a_stop_finds_a_free_socket(camera):
    camera.run_for(11)
    do(camera, "ptz-move", x=0.2, y=0.0, width=0.5)
    camera.run_for(1)
    assert len(camera.fake.sockets) == 1
    do(camera, "ptz-stop")
    camera.run_for(0.5)
    assert (camera.fake.refused, camera.fake.sockets) == (0, {})


def test_the_section_is_said_when_it_changes_and_no_faster_than_every_two_seconds(rig):
    before = rig.changes
    channel, _ = rig.viewer()
    other, _ = rig.viewer("bob")
    for number in range(20):
        rig.at(rig.now_s + number / 10, lambda n=number: say((channel, other)[n % 2], n, **RIGHT))
    rig.run_for(1.9)
    assert rig.changes - before <= 2


def test_what_changed_right_after_another_change_is_said_two_seconds_later(rig):
    do(rig, "ptz-keep", number=1, name="Door")
    rig.run_for(0.1)
    before = rig.changes
    do(rig, "ptz-keep", number=2, name="Gate")
    rig.run_for(2.1)
    assert rig.changes > before


def test_where_it_points_is_known_two_seconds_after_it_answers():
    it = Rig(fake=PelcoHead(answers=True))
    it.plug()
    it.run_for(3)
    assert it.desk.section().can_position
