"""Faults of a modem that the agent sees by its port alone: what is cured, how soon, and what is never done.

All of ours is the real thing: port, AT channel, parsers, recovery. `tests/unit/serial/test_ladder_faults.py`
has the ladder alone live for longer.
"""

from collections import defaultdict

import pytest
from fakes.modem import CURES
from parts.wired_modem import SHARES, Device

from agent.serial.modem.ladder import GENTLE, REBOOTS_A_DAY, RUNGS

SOON_S = 300.0
BOUNDS = {rung.step: rung.per_day for rung in RUNGS} | {"reboot": REBOOTS_A_DAY}
FOR_NOTHING = {*GENTLE, "reset-modem"}
"""What may happen before a modem has told that its cell is gone; a card that was seen may have a reset."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((300, False), id="300", marks=pytest.mark.timeout(600)),
        pytest.param((10_000, False), id="10000", marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
        pytest.param((300, True), id="300-on-a-pty", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def life(request, tmp_path_factory):
    """A device, what it suffered, and how many faults that was; by pyserial where it is on a pty."""
    faults, is_real = request.param
    device = Device(tmp_path_factory.mktemp("life"), seed=17, is_real=is_real)
    return device, device.live(faults), faults


def test_what_a_step_can_cure_is_cured_within_five_minutes(life):
    _, suffered, faults = life
    soon = [each.is_cured and each.lasted_s < SOON_S for each in suffered if each.fault in CURES]
    assert len(soon) > faults / 2
    assert sum(soon) / len(soon) >= 0.95


def test_so_is_each_kind_but_what_takes_a_reboot(life):
    kinds = defaultdict(list)
    for each in life[1]:
        kinds[each.fault].append(each)
    assert kinds.keys() == SHARES.keys(), "each of them came"
    for fault in CURES:
        soon = [each.is_cured and each.lasted_s < SOON_S for each in kinds[fault]]
        assert fault == "no-usb" or sum(soon) / len(soon) >= 0.8, fault
    assert any("reboot" in each.steps and each.is_cured for each in kinds["no-usb"])


def test_no_power_is_cut_and_nothing_rebooted_where_cell_or_card_are_at_fault(life):
    hindered = [each for each in life[1] if each.fault not in CURES]
    assert len(hindered) > len(life[1]) / 10
    for each in hindered:
        resets = each.steps.count("reset-modem")
        assert set(each.steps) <= FOR_NOTHING, each
        assert resets <= (each.fault == "no-sim"), each


def test_no_day_sees_more_than_its_bound(life):
    assert all(0 < life[0].most_in_a_day(step) <= bound for step, bound in BOUNDS.items())


def test_nor_does_one_in_which_fault_follows_fault(tmp_path):
    device = Device(tmp_path, seed=18, rest_s=600.0)
    device.live(60)
    most = {step: device.most_in_a_day(step) for step in BOUNDS}
    assert all(most[step] <= bound for step, bound in BOUNDS.items()), most
    assert most["power-cycle"] == BOUNDS["power-cycle"], "or there were too few"


def test_a_pseudo_terminal_and_a_pair_of_sockets_are_the_same(tmp_path):
    """So that what is found by the latter holds for the former."""
    lives = []
    for is_real in (True, False):
        folder = tmp_path / str(is_real)
        folder.mkdir()
        lives.append(Device(folder, seed=3, is_real=is_real).live(12))
    assert [(each.fault, each.is_cured) for each in lives[0]] == [
        (each.fault, each.is_cured) for each in lives[1]
    ]
    assert len({each.fault for each in lives[0]}) >= 8
    for real, other in zip(*lives, strict=True):
        assert abs(real.lasted_s - other.lasted_s) <= 30, (real, other)
