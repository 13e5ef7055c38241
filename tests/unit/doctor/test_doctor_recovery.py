"""Whether the device can do for its modem what helps."""

import pytest

from agent.doctor.recovery import judge_recovery


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
    finding = judge_recovery(frozenset(steps))
    assert (finding.check, finding.verdict) == ("recovery", verdict)
    assert words in finding.message
    assert bool(finding.advice) == (verdict == "warning")
