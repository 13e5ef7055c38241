"""Where a head stands, as far as its masks may rely on it: never told while it moves."""

import random

import pytest
from fakes.ptz_head import PelcoHead
from fakes.ptz_rig import Rig, Store, orders_at_once

from agent.config import PtzSettings
from agent.model.command import COMMANDS, CommandError, Order, parse_arguments
from agent.serial.ptz.head import ORDER_S
from agent.serial.ptz.motion import ForgetPreset, GoHome, GoPreset, KeepPreset, Pulse, Velocity
from agent.serial.ptz.orders import Orders
from agent.serial.ptz.wiring import build

PROTOCOLS = ["pelco-d", "pelco-p", "visca", "visca-ip"]


@pytest.fixture(params=PROTOCOLS)
def rig(request):
    it = Rig(request.param)
    it.plug()
    it.run_for(5)
    return it


def place(rig):
    return rig.head.place(rig.now_s)


def at_preset(rig, number=2):
    rig.head.order(KeepPreset(number), now_s=rig.now_s)
    rig.run_for(ORDER_S + 1)


def test_after_a_start_nobody_knows(rig) -> None:
    assert place(rig) is None


def test_it_is_at_a_preset_once_it_is_there_and_from_no_earlier(rig) -> None:
    at_preset(rig, 1)
    rig.head.drive(Velocity(pan=0.5), rig.now_s)
    rig.run_for(3)
    assert place(rig) is None
    rig.head.order(GoPreset(1), now_s=rig.now_s)
    assert place(rig) is None, "before the first frame"
    for _ in range(60):
        rig.run_for(0.5)
        assert place(rig) is None or not rig.fake.is_moving
    assert place(rig) == 1


@pytest.mark.parametrize(
    "move",
    [
        lambda head, now_s: head.drive(Velocity(pan=0.1), now_s),
        lambda head, now_s: head.drive(Velocity(zoom=0.5), now_s),
        lambda head, now_s: head.order(GoHome(), now_s=now_s),
        lambda head, now_s: head.order(Pulse(Velocity(tilt=1), 0.3), now_s=now_s),
        lambda head, _now_s: head.lost(),
        lambda head, now_s: head.opened(now_s),
        lambda head, now_s: head.order(ForgetPreset(2), now_s=now_s),
    ],
)
def test_whatever_moves_it_is_known_at_once_and_stays_known(rig, move) -> None:
    at_preset(rig)
    assert place(rig) == 2
    move(rig.head, rig.now_s)
    assert place(rig) is None
    rig.run_for(ORDER_S + 5)
    assert place(rig) is None


def test_a_way_that_was_broken_off_leads_nowhere(rig) -> None:
    at_preset(rig)
    rig.head.order(GoPreset(2), now_s=rig.now_s)
    rig.run_for(0.1)
    rig.head.stop(rig.now_s)
    rig.run_for(ORDER_S + 5)
    assert place(rig) in (None, 2)
    assert not rig.fake.is_moving


def test_a_stop_where_it_stands_moves_nothing(rig) -> None:
    at_preset(rig)
    rig.head.stop(rig.now_s)
    rig.run_for(2)
    assert place(rig) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_never_moves_while_it_is_said_to_stand(protocol) -> None:
    rng, rig = random.Random(7), Rig(protocol)
    rig.plug()
    moves = [
        lambda: rig.head.drive(Velocity(pan=rng.choice((-1, 0.2, 1))), rig.now_s),
        lambda: rig.head.order(GoPreset(rng.randint(1, 3)), now_s=rig.now_s),
        lambda: rig.head.order(KeepPreset(rng.randint(1, 3)), now_s=rig.now_s),
        lambda: rig.head.stop(rig.now_s),
        lambda: None,
    ]
    rested = 0
    for _ in range(300):
        rng.choice(moves)()
        for _ in range(rng.choice((1, 5, 45))):
            rig.run_for(0.5)
            if place(rig) is not None:
                rested += 1
                assert not rig.fake.is_moving
    assert rested > 100


@pytest.mark.parametrize("is_trusted", [False, True])
async def test_who_masks_the_picture_hears_of_a_motion_before_its_first_frame(is_trusted) -> None:
    now_s, places = [100.0], []
    ptz = build(
        PtzSettings(port="/dev/head", trust_presets=is_trusted),
        Store(),
        clock=lambda: now_s[0],
        tell=lambda *_: None,
        on_change=lambda: None,
        on_event=lambda *_: None,
        on_place=places.append,
    )
    head = ptz.runner._head

    def pass_time(seconds: float) -> None:
        ends_s = now_s[0] + seconds
        while now_s[0] < ends_s:
            ptz.runner._tick(now_s[0])
            head.next_frame(now_s[0])
            now_s[0] += 0.05

    head.opened(now_s[0])
    pass_time(5)
    assert set(places) == {None}
    head.order(KeepPreset(4), now_s=now_s[0])
    pass_time(ORDER_S + 1)
    assert places[-1] == (4 if is_trusted else None), "it tells nothing"
    head.drive(Velocity(pan=1), now_s[0])
    assert places[-1] is None


@pytest.fixture(params=["pelco-d", "visca", "visca-ip"])
def telling(request):
    it = Rig(request.param, **({"fake": PelcoHead(answers=True)} if request.param == "pelco-d" else {}))
    it.plug()
    it.run_for(5)
    keep(it)
    return it


def keep(rig):
    order = Order("c1", "ptz-keep", {}, "ann", ("control",), "broker")
    rig.orders["ptz-keep"](order, parse_arguments(COMMANDS["ptz-keep"], {"number": 2}))
    rig.run_for(5)


def proven(rig):
    return rig.head.proven_place(rig.now_s)


def turned_away(rig):
    rig.fake.position[0] += 60
    rig.fake.position[1] += 10


@pytest.mark.parametrize("protocol", ["pelco-d", "pelco-p"])
def test_a_head_that_tells_nothing_proves_no_place(protocol) -> None:
    rig = Rig(protocol)
    rig.plug()
    rig.run_for(5)
    at_preset(rig)
    assert (place(rig), proven(rig)) == (2, None)


def test_a_head_that_did_not_hear_is_not_believed_to_be_there(telling) -> None:
    assert proven(telling) == 2
    telling.head.drive(Velocity(pan=1), telling.now_s)
    telling.run_for(3)
    telling.fake.is_on = False
    telling.head.order(GoPreset(2), now_s=telling.now_s)
    telling.run_for(2)
    telling.fake.is_on = True
    for _ in range(30):
        telling.run_for(1)
        assert proven(telling) is None
    telling.head.order(GoPreset(2), now_s=telling.now_s)
    telling.run_for(ORDER_S + 1)
    assert proven(telling) == 2


def test_a_head_that_tells_it_was_turned_is_there_no_more(telling) -> None:
    turned_away(telling)
    telling.run_for(25)
    assert proven(telling) is None
    telling.run_for(60)
    assert proven(telling) is None


def test_a_head_that_was_switched_off_is_nowhere_until_it_was_sent_again(telling) -> None:
    telling.fake.is_on = False
    telling.run_for(60)
    assert proven(telling) is None
    telling.fake.is_on = True
    telling.run_for(60)
    assert proven(telling) is None, "its lens may be elsewhere"


def test_where_a_preset_is_outlives_the_agent() -> None:
    rig = Rig("pelco-d", fake=PelcoHead(answers=True))
    rig.plug()
    rig.run_for(5)
    keep(rig)
    assert proven(rig) == 2
    rig.kill()
    rig.plug()
    rig.run_for(5)
    rig.head.order(GoPreset(2), now_s=rig.now_s)
    rig.run_for(ORDER_S + 1)
    assert proven(rig) == 2
    rig.fake.presets[2] = (90.0, 0.0, 0.0)  # by somebody else's controller
    rig.head.order(GoPreset(2), now_s=rig.now_s)
    rig.run_for(ORDER_S + 1)
    assert proven(rig) is None


def test_a_preset_that_somebody_relies_on_stays_where_that_one_refuses(telling) -> None:
    async def refuse(_number):
        raise CommandError("not-kept", "the disk is full")

    presets = dict(telling.fake.presets)
    telling.fake.position[0] += 30
    telling.orders = orders_at_once(Orders(telling.desk, refuse))
    with pytest.raises(CommandError, match="the disk is full"):
        keep(telling)
    telling.run_for(5)
    assert telling.fake.presets == presets
