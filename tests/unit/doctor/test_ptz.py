"""What is said of a head."""

import pytest

from agent.config import PtzSettings
from agent.doctor.holder import Holder
from agent.doctor.ptz import judge_head, try_head
from agent.serial.ptz.motion import Position
from agent.serial.ptz.probe import Probe, probe

PELCO, VISCA = PtzSettings(port="/dev/head"), PtzSettings(port="/dev/head", protocol="visca")


@pytest.mark.parametrize(
    ("settings", "found", "verdict", "words"),
    [
        (VISCA, Holder(7), "unknown", "not looked at: the running agent (process 7)"),
        (VISCA, Probe("", 4, Position(-12.34, 5), 0.0), "good", "points -12.3° to the right, 5° up"),
        (VISCA, Probe("", 4, None, None), "good", "does not tell where"),
        (VISCA, Probe("", 0, None, None), "warning", "nothing answers"),
        (PELCO, Probe("", 0, None, None), "good", "as most of its kind"),
        (PELCO, Probe("/dev/head is not there: is it plugged in?", 0, None, None), "warning", "not there"),
    ],
)
def test_a_head_that_answers_and_one_that_does_not(settings, found, verdict, words):
    finding = judge_head(settings, found)
    assert (finding.check, finding.verdict) == ("ptz", verdict)
    assert words in finding.message
    assert (finding.advice != "") == (verdict != "good")


async def test_a_head_on_the_network_is_left_to_the_agent_that_runs(tmp_path):
    process = tmp_path / "812"
    process.mkdir()  # whose open files this user may not see
    (process / "cmdline").write_bytes(b"/opt/pinhole/current/bin/pinhole\0run\0")
    head = PtzSettings(port="udp://192.0.2.7", protocol="visca-ip")
    assert await try_head(head, proc=tmp_path) == Holder(812)


async def test_a_port_that_has_not_opened_in_time_is_no_open_port():
    found = await probe(PELCO, patience_s=0)
    assert found.problem == "/dev/head did not open in time: is it plugged in, or does the network reach it?"
