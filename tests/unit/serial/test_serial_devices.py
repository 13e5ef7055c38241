"""What is built for what the settings name: nothing more."""

import pytest

from agent.config import DeviceSettings, ModemSettings, Settings
from agent.model.command import CommandError
from agent.serial_devices import SerialDevices


@pytest.fixture
def build(tmp_path):
    def with_settings(**sections):
        settings = Settings(device=DeviceSettings(state_dir=tmp_path), **sections)
        return SerialDevices(settings, lambda *_: None, lambda: None, lambda *_: None)

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
    assert parts(devices) >= {"modem", "modem-watch"}


async def test_without_a_modem_there_is_no_history(build):
    with pytest.raises(CommandError, match="no modem"):
        build().handlers["modem-history"](None, None)
