"""Whether the device can do for its modem what helps."""

import pytest

from agent.config import ModemSettings
from agent.config.settings import ModemRecoverySettings
from agent.doctor.recovery import Means, judge_recovery, read_means


@pytest.mark.parametrize(
    ("steps", "verdict", "words"),
    [
        ({"reauthorize-usb", "power-cycle"}, "good", "its power cut"),
        ({"power-cycle"}, "good", "its power cut"),
        ({"reauthorize-usb"}, "warning", "no power step"),
        (set(), "warning", "neither a power step nor a USB step"),
    ],
)
def test_a_device_without_a_power_step_is_told_so(steps, verdict, words):
    finding = judge_recovery(Means(frozenset(steps), knows_interface=True, has_second=True))
    assert (finding.check, finding.verdict) == ("recovery", verdict)
    assert words in finding.message
    assert bool(finding.advice) == (verdict == "warning")


@pytest.mark.parametrize(
    ("settings", "is_known"),
    [
        (ModemSettings(backend="at", port="/dev/none-such"), False),
        (ModemSettings(backend="at", port="/dev/none-such", interface="usb0"), True),
        (ModemSettings(backend="modemmanager"), True),
    ],
)
def test_a_modem_whose_interface_nobody_knows_is_told_of(settings, is_known):
    means = read_means(settings)
    assert means.knows_interface == is_known
    assert ("modem.interface" in judge_recovery(means).advice) != is_known


@pytest.mark.parametrize(("second", "verdict"), [("192.0.2.1:443", "good"), (None, "warning")])
def test_where_nothing_tells_a_zombie_from_a_portal_that_is_away_the_setting_for_it_is_named(
    second, verdict, monkeypatch
):
    monkeypatch.setattr("agent.doctor.recovery.installed", lambda: frozenset({"power-cycle"}))
    recovery = ModemRecoverySettings(second_address=second)
    finding = judge_recovery(read_means(ModemSettings(backend="modemmanager", recovery=recovery)))
    assert finding.verdict == verdict
    assert ("modem.recovery.second_address" in finding.advice) == (second is None)


def test_all_that_is_missing_is_said_at_once():
    finding = judge_recovery(Means(frozenset(), knows_interface=False, has_second=False))
    for setting in ("modem.interface", "modem_power_gpio", "modem.recovery.second_address"):
        assert setting in finding.advice
