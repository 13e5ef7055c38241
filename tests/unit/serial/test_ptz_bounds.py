"""What is out of bounds, on the wire or in a wish, moves no head the wrong way."""

import asyncio
import json
from itertools import pairwise

import pytest
from fakes.clock import LoopClock
from fakes.ptz_head import MAX_DEG_S, PelcoHead, ViscaCamera
from fakes.ptz_rig import Rig

from agent.errors import MessageError
from agent.model.command import COMMANDS, CommandError, Order, parse_arguments
from agent.model.pauses import FIRST_PAUSE_S, STEADY_S
from agent.model.sections import MAX_SECTIONS_BYTES, SectionsMessage, fields_of
from agent.serial.ptz import visca
from agent.serial.ptz.memory import Memory, Preset
from agent.serial.ptz.motion import GoPreset
from agent.serial.ptz.udp import UdpWire
from agent.signaling.messages import encode

PAST_DEG, SHORT_DEG = 1.0, 3.0
"""So far beyond a limit, and so far from it, a head that is driven to it may stand."""


def do(rig, name, /, **arguments):
    order = Order("0f" * 16, name, arguments, "ann", ("watch", "control", "manage"), "session", "ann")
    return rig.orders[name](order, parse_arguments(COMMANDS[name], arguments))


@pytest.mark.parametrize("protocol", ["visca", "visca-ip"])
def test_visca_has_no_preset_whose_number_would_end_its_frame(protocol):
    rig = Rig(protocol)
    rig.plug()
    rig.run_for(1)
    for name, wish in (
        ("ptz-go", {"number": 255}),
        ("ptz-keep", {"number": 128}),
        ("ptz-tour", {"presets": [1, 255]}),
    ):
        with pytest.raises(CommandError, match="1 to 127") as caught:
            do(rig, name, **wish)
        assert caught.value.code == "unknown-preset"
    rig.desk.memory = Memory((Preset(255, "of another protocol"),))
    do(rig, "ptz-tour", seconds=5)
    do(rig, "ptz-forget", number=255)
    rig.run_for(1)
    assert not [frame for _, frame in rig.sent if b"\x04\x3f" in frame]
    assert rig.desk.memory.presets == ()
    assert rig.head.driver.is_free, "what is not sent is not waited for"


@pytest.mark.parametrize("name", ["\x01" * 40, "Gate\n", "\u202egate", "\N{CAMERA}" * 17, "a" * 41])
def test_a_name_that_is_no_text_or_too_long_is_refused(name):
    with pytest.raises(MessageError, match="ptz-keep: name: "):
        parse_arguments(COMMANDS["ptz-keep"], {"number": 1, "name": name})


def test_names_of_the_longest_fit_into_the_state():
    rig = Rig()
    rig.plug()
    rig.run_for(5)
    for number in range(1, 33):
        do(rig, "ptz-keep", number=number, name='"' * 40 if number % 2 else "\N{CAMERA}" * 16)
    message = SectionsMessage("b1", 0, {"ptz": fields_of(rig.desk.section())})
    assert len(encode(message)) < MAX_SECTIONS_BYTES / 2


def test_pelco_goes_to_all_its_presets():
    rig = Rig()
    rig.plug()
    rig.run_for(5)
    rig.sent.clear()
    rig.head.order(GoPreset(255), now_s=rig.now_s)
    rig.run_for(1)
    assert rig.sent[-1][1][5] == 255


@pytest.mark.parametrize(
    ("units", "told"), [(0x7FFF, 0x7FFF), (0x8000, 0x7FFF), (10**9, 0x7FFF), (-(10**9), -0x7FFF)]
)
def test_a_position_beyond_viscas_numbers_is_their_end_and_not_the_other_side(units, told):
    frame = visca.turn_to(1, units, -units)
    assert visca.parse_units(frame[6:-1]) == (told, -told)


async def test_a_network_that_served_for_a_minute_is_tried_again_at_once():
    clock, began, lives_s = LoopClock(), [], [0.0, 0.0, 0.0, 0.0, STEADY_S, 0.0]
    wire = UdpWire("head.example", 52381, lambda _: None, lambda: b"", lambda _: None)

    async def open_and_serve():
        clock.now_s += lives_s[len(began) % len(lives_s)]
        began.append(clock.now_s)
        raise OSError("no route")

    wire._open_and_serve = open_and_serve
    task = asyncio.create_task(wire.run())
    await clock.until(lambda: len(began) == len(lives_s))
    task.cancel()
    await asyncio.wait((task,))
    pauses = [later - sooner for sooner, later in pairwise(began)]
    expected = [1, 2, 4, 8 + STEADY_S, FIRST_PAUSE_S]
    assert pauses == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("rested_s", [60, 62.5, 65, 67.5])  # it is asked each 10 s while it rests
@pytest.mark.parametrize("pan_limit_deg", [100, 170])
@pytest.mark.parametrize("stick", [{"pan": 1}, {"tilt": -1}, {"pan": -1, "tilt": 1}])
@pytest.mark.parametrize("deg_s", [15, MAX_DEG_S, 120])
@pytest.mark.parametrize("protocol", ["pelco-d", "visca"])
def test_a_head_that_is_driven_stands_at_its_limits(protocol, deg_s, stick, pan_limit_deg, rested_s):
    limits = {"pan_limits_deg": [-pan_limit_deg, pan_limit_deg], "tilt_limits_deg": [-60, 60]}
    how = {"deg_s": deg_s, "lag_s": 0.06}
    rig = Rig(
        protocol, PelcoHead(answers=True, **how) if protocol == "pelco-d" else ViscaCamera(**how), **limits
    )
    rig.plug()
    rig.run_for(rested_s)
    channel, _ = rig.viewer()
    for number in range(200):
        message = json.dumps({"seq": number} | stick)
        rig.at(rig.now_s + number / 10, lambda it=message: channel.on_message(it))
    rig.sent.clear()
    rig.run_for(20)
    assert rig.fake.motions, "it moves"
    pan_deg, tilt_deg, _ = rig.fake.position
    for axis, angle_deg, limit_deg in (("pan", pan_deg, pan_limit_deg), ("tilt", tilt_deg, 60)):
        assert abs(angle_deg) < limit_deg + PAST_DEG
        if axis in stick:
            assert abs(angle_deg) > limit_deg - SHORT_DEG
    times = [when_s for when_s, _ in rig.sent]
    assert all(sum(0 <= other - when < 1 for other in times) <= 15 for when in times)


def drive_right(rig, channel, since):
    for number in range(since, since + 100):
        message = json.dumps({"seq": number, "pan": 1})
        rig.at(rig.now_s + (number - since) / 10, lambda it=message: channel.on_message(it))
    rig.run_for(10)
    assert 190 - SHORT_DEG < rig.fake.position[0] < 190 + PAST_DEG


@pytest.fixture
def wide():
    """A head that may turn nearly all round, and so comes to rest beyond half a turn."""
    rig = Rig(fake=PelcoHead(answers=True), pan_limits_deg=[-190, 190])
    rig.plug()
    rig.run_for(60)
    return rig


@pytest.mark.parametrize("rests_s", [3, 12, 25])
def test_a_pelco_head_that_rested_beyond_half_a_turn_is_not_driven_round(wide, rests_s):
    channel, _ = wide.viewer()
    for since in (0, 100, 200):
        drive_right(wide, channel, since)
        wide.run_for(rests_s)


def test_where_a_preset_took_a_pelco_head_is_not_told_by_where_it_was(wide):
    drive_right(wide, wide.viewer()[0], 0)
    wide.fake.presets[1] = (-120.0, 0.0, 0.0)
    wide.head.order(GoPreset(1), now_s=wide.now_s)
    wide.run_for(60)
    assert wide.head.driver.position.pan_deg == pytest.approx(-120, abs=0.1)
