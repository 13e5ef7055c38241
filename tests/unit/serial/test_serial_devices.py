"""What is built for what the settings name: nothing more."""

import time
from types import SimpleNamespace

import pytest

from agent.config import DeviceSettings, ModemRecoverySettings, ModemSettings, Settings, SmsSettings
from agent.model.command import CommandError
from agent.model.sms import make_command
from agent.serial.modem.inbox import ANSWERED_S
from agent.serial_devices import SerialDevices
from agent.signaling.trust import KeyRing, SigningKey, make_signing_key

PORTAL = SigningKey(make_signing_key())


class Around:
    """The rest of an agent."""

    def __init__(self):
        self.reboots, self.allowance = [], None
        self.broker = SimpleNamespace(connected=False)
        self.power = SimpleNamespace(can_reboot=True, reboot=self._reboot)
        self.releases = SimpleNamespace(is_on_trial=False)
        self.service = SimpleNamespace(is_portals=KeyRing.of([PORTAL.public]).verifies_bytes)
        self.sessions = SimpleNamespace(has_media=False)

    def _reboot(self, pause_s):
        self.reboots.append(pause_s)


@pytest.fixture
def around():
    return Around()


@pytest.fixture
def build(tmp_path, around):
    def with_settings(**sections):
        settings = Settings(device=DeviceSettings(id="door", state_dir=tmp_path), **sections)
        return SerialDevices(settings, lambda *_: None, lambda: None, lambda *_: None, around)

    return with_settings


def parts(devices):
    named = dict(devices.work())
    for run in named.values():
        run.close()
    return set(named)


async def test_without_any_there_is_nothing_to_run_or_to_say(build):
    devices = build()
    assert (parts(devices), devices.sections) == (set(), {})
    await devices.stop()


async def test_a_modem_is_asked_by_its_port_and_not_before_it_runs(build, tmp_path):
    devices = build(modem=ModemSettings(backend="at", port=str(tmp_path / "none")))
    section = devices.sections["modem"]()
    assert (section.source, section.state) == ("at", "absent")
    assert parts(devices) >= {"modem"}


async def test_a_modem_is_asked_by_way_of_modemmanager(build):
    devices = build(modem=ModemSettings(backend="modemmanager"))
    section = devices.sections["modem"]()
    assert (section.source, section.state, section.data_since) == ("modemmanager", "absent", "")
    assert devices.handlers["modem-history"](None, None).rsrp_dbm == ()
    assert parts(devices) >= {"modem", "modem-watch", "modem-second-port"}


async def test_without_a_modem_there_is_no_history(build):
    with pytest.raises(CommandError, match="no modem"):
        build().handlers["modem-history"](None, None)


async def test_a_modem_is_recovered_unless_the_settings_want_it_only_told(build):
    assert parts(build(modem=ModemSettings(backend="at"))) >= {"modem", "modem-recovery", "modem-supply"}
    told = build(modem=ModemSettings(backend="at", recovery=ModemRecoverySettings(enabled=False)))
    assert not {"modem-recovery", "modem-supply"} & parts(told)
    assert told.sections["modem"]().recovery == ""


@pytest.mark.parametrize("backend", ["modemmanager", "at"])
async def test_messages_are_looked_at_where_the_settings_say_so_alone(build, around, monkeypatch, backend):
    monkeypatch.setattr("agent.serial_devices.read_moment", lambda: SimpleNamespace(is_clock_set=True))
    without = build(modem=ModemSettings(backend=backend))
    assert "sms" not in parts(without)
    devices = build(modem=ModemSettings(backend=backend), sms=SmsSettings(enabled=True))
    assert "sms" in parts(devices)
    command = make_command("reboot", "", time.time() + 1)
    text = command.encode(PORTAL.sign_bytes(command.signed_by("door")))
    assert await without._on_sms(text) is None
    told = []
    monkeypatch.setattr(devices, "_on_change", lambda: told.append(devices.sections["modem"]().sms_done))
    assert await devices._on_sms("hello") is None
    assert told == [], "nothing came of it"
    assert await devices._on_sms(text) == f"door {command.nonce} reboots within a minute"
    assert (await devices._on_sms(text), around.reboots) == (None, [ANSWERED_S])
    section = devices.sections["modem"]()
    assert told == [1, 1], "done, and refused the second time"
    assert (section.source, section.sms_done, section.sms_refused) == (backend, 1, 1)
    assert without.sections["modem"]().sms_refused == 0


async def test_no_reboot_while_a_release_is_on_trial(build, around):
    around.releases.is_on_trial = True
    with pytest.raises(CommandError, match="a release is on trial"):
        build()._reboot()
    assert around.reboots == []
