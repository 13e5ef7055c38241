"""Whether the device can do for its modem what helps."""

import pytest

from agent.config import ModemSettings
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
    finding = judge_recovery(Means(frozenset(steps), knows_interface=True))
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
