"""What the doctor makes of a modem."""

import asyncio
from dataclasses import replace

import pytest

from agent.config import ModemSettings, Settings
from agent.doctor import modem as doctor_modem
from agent.doctor.holder import Holder
from agent.doctor.modem import judge_modem, try_modem
from agent.serial.modem import wire
from agent.serial.modem.status import ModemStatus

GOOD = ModemStatus(
    "modemmanager", "connected", operator="Net", technology="LTE", band="B20", apn="internet", rsrp_dbm=-85.0,
    sinr_db=15.2, sim="ready",
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (
            GOOD,
            "good",
            "Net LTE B20, APN internet, -85 dBm, 15 dB above noise: its signal carries the full picture",
        ),
        (replace(GOOD, rsrp_dbm=-99.0), "good", "most of the time"),
        (replace(GOOD, rsrp_dbm=-110.0), "warning", "carries the small picture"),
        (replace(GOOD, rsrp_dbm=-118.0), "warning", "slowly, or not at all"),
        (replace(GOOD, rsrp_dbm=None, sinr_db=None), "good", "its signal is not known yet"),
        (ModemStatus("at", "connected"), "good", "connected: its signal is not known yet"),
    ],
)
def test_a_signal_is_told_by_the_picture_that_it_carries(status, verdict, words):
    finding = judge_modem(status.source, status)
    assert finding.verdict == verdict
    assert words in finding.message
    assert bool(finding.advice) == (verdict == "warning")


def test_what_is_wrong_comes_with_what_to_do():
    locked = ModemStatus(
        "modemmanager", "sim-locked", "its SIM card wants a PIN: `modem_pin` of the role modem"
    )
    finding = judge_modem("modemmanager", locked)
    assert (finding.verdict, finding.message) == ("warning", "sim-locked: its SIM card wants a PIN")
    assert "modem_pin" in finding.advice


def test_a_port_that_the_agent_has_is_left_to_it():
    finding = judge_modem("at", Holder(4711))
    words = "not looked at: the running agent (process 4711) has it"
    assert (finding.verdict, finding.message) == ("unknown", words)
    assert "pinhole fleet" in finding.advice


async def test_a_healthy_modem_is_told_as_it_was_while_it_was_asked(tmp_path, monkeypatch):
    class Healthy:
        status = ModemStatus("at", "absent")

        def __init__(self, *_):
            pass

        async def run(self):
            self.status = replace(GOOD, source="at")
            try:
                await asyncio.Event().wait()
            finally:
                self.status = ModemStatus("at", "absent", "the modem's port was lost: it is closed")

    monkeypatch.setattr(wire, "WireModem", Healthy)
    monkeypatch.setattr(doctor_modem, "_LOOK_S", 0)
    settings = Settings(modem=ModemSettings(backend="at", port=str(tmp_path / "modem")))
    assert (await try_modem(settings, 1.0, tmp_path)).state == "connected"
