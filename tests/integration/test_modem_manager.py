"""The real ModemManager, on a bus of its own, and a modem that speaks AT: what our back end makes of them."""

import asyncio
import contextlib
from xml.etree import ElementTree as ET

import pytest
from dbus_fast.aio import MessageBus
from fakes.modem_manager import MODEM, scripted
from parts.modem_manager import NAME, PIN, ROOT, running_bus, running_modem_manager

from agent.config import Settings
from agent.doctor.modem import judge_modem, try_modem
from agent.errors import ModemError
from agent.serial.modem import modem_manager
from agent.serial.modem.bus import Bus
from agent.serial.modem.data import DataCount, Forgets
from agent.serial.modem.modem_manager import ManagedModem


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(modem_manager, "PAUSE_S", 0.1)
    monkeypatch.setattr(modem_manager, "AGAIN_S", 0.2)
    monkeypatch.setattr(modem_manager, "LOOK_S", 2.0)


@pytest.fixture
def daemon(tmp_path):
    with running_modem_manager(tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def watched(address):
    modem = ManagedModem(DataCount(Forgets(), lambda: "2027-01-01", lambda: True), address)
    task = asyncio.create_task(modem.run())
    try:
        yield modem
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def until(modem, *states):
    """The status once it is in one of these states."""
    async with asyncio.timeout(60):
        while modem.status.state not in states:
            await asyncio.sleep(0.05)
    return modem.status


async def until_ready(modem):
    """Its card is open, and ModemManager has set it up again by then: it tells the two apart."""
    async with asyncio.timeout(60):
        while (modem.status.sim, modem.status.state) != ("ready", "disabled"):
            await asyncio.sleep(0.05)


async def until_because(modem, words):
    """The status once its reason has these words: the one before may be of the same state."""
    async with asyncio.timeout(60):
        while words not in modem.status.reason:
            await asyncio.sleep(0.05)
    return modem.status


def last(commands, wanted):
    return len(commands) - 1 - commands[::-1].index(wanted)


async def ready(daemon, pin=PIN):
    """A modem that ModemManager was told of."""
    daemon.plug(pin)
    for _ in range(100):  # the daemon may not have its name yet
        with contextlib.suppress(AssertionError):
            await daemon.find_modem()
            break
        await asyncio.sleep(0.1)


async def test_a_modem_is_followed_from_its_pin_to_its_connection_and_its_loss(daemon):
    async with watched(daemon.address) as modem:
        await ready(daemon)
        status = await until(modem, "sim-locked")
        assert (status.source, status.sim, status.model) == ("modemmanager", "pin", "AT modem")
        assert "modem_pin" in status.reason
        await daemon.unlock()
        await until_ready(modem)
        await daemon.enable()
        await until(modem, "registered")
        async with asyncio.timeout(30):
            while modem.status.rsrp_dbm is None or not modem.status.operator:
                await asyncio.sleep(0.05)
        status = modem.status
        assert (status.rsrp_dbm, status.rsrq_db, status.signal, status.bars) == (-97.0, -11.0, "fair", 3)
        assert (status.registration, status.operator) == ("home", "Test network")
        assert "APN" in status.reason
        await daemon.connect()
        assert (await until(modem, "connected")).reason == ""
        said = repr(modem.status)
        assert "490154203237518" not in said, "the IMEI stays"
        assert "001010123456789" not in said, "the IMSI stays"

        before = len(daemon.commands())
        await modem.renew_bearer()
        await until(modem, "connected")
        assert "ATD*99***1#" in daemon.commands()[before:]
        await modem.cycle_radio()  # a modem of no make has no low power: off is to leave the network's news
        assert daemon.commands()[before:].index("AT+CREG=0") < last(daemon.commands()[before:], "AT+CREG=2")
        await until(modem, "registered")
        with pytest.raises(ModemError, match="Reset"):  # ModemManager knows no way for a modem of no make
            await modem.reset_modem()


async def test_a_modem_without_a_card_says_so(daemon):
    async with watched(daemon.address) as modem:
        await ready(daemon, pin="")
        status = await until(modem, "sim-missing", "failed")
        assert (status.state, status.sim) == ("sim-missing", "missing"), status.reason


async def test_a_daemon_that_ends_and_comes_back_is_found_again(daemon):
    async with watched(daemon.address) as modem:
        await ready(daemon)
        await until(modem, "sim-locked")
        daemon.stop()
        status = await until_because(modem, "systemctl status ModemManager")
        assert status.state == "absent"
        with pytest.raises(ModemError, match="no modem to ask"):
            await modem.reset_modem()
        daemon.start()
        await ready(daemon)
        await until(modem, "sim-locked")


async def test_what_only_modems_with_qmi_say_is_read_from_the_wire(tmp_path):
    with running_bus(tmp_path) as address:
        async with scripted(address) as said, watched(address) as modem:
            status = await until(modem, "connected")
            assert (status.technology, status.band, status.cell) == ("LTE", "B20", "262-02-2B6C-01A2D003")
            assert (status.rsrp_dbm, status.rsrq_db, status.sinr_db) == (-97.0, -11.0, 8.4)
            assert (status.data_since, status.received_bytes, status.sent_bytes) == (
                "2027-01-01",
                5000,
                70_000,
            )
            assert said.rates == [10], "the signal was asked for once"
            said.vanish()
            assert (await until_because(modem, "mmcli -L")).state == "absent"
            said.count(received_bytes=10, sent_bytes=20)
            said.appear()
            status = await until(modem, "connected")
            assert (status.received_bytes, status.sent_bytes) == (5010, 70_020), "it counts from 0 again"
            await modem.reset_modem()
            assert said.asked[-1] == "Reset"


async def test_the_doctor_tells_the_modem_its_apn_and_its_signal(tmp_path):
    settings = Settings.model_validate({"modem": {"backend": "modemmanager"}})
    with running_bus(tmp_path) as address:
        assert (await try_modem(settings, 0.5, bus_address=address)).state == "absent"
        async with scripted(address):
            finding = judge_modem("modemmanager", await try_modem(settings, bus_address=address))
    assert finding.verdict == "good"
    assert finding.message == (
        "Net LTE B20, APN internet.example, -97 dBm, 8 dB above noise:"
        " its signal carries the full picture most of the time"
    )


async def test_the_scripted_modem_says_nothing_that_the_real_one_has_not(daemon):
    async with watched(daemon.address) as modem:
        await ready(daemon)
        await until(modem, "sim-locked")
        await daemon.unlock()  # then it is asked what it is able to
        await until_ready(modem)
    path, _ = await daemon.modem()
    described = await daemon.call(path, "org.freedesktop.DBus.Introspectable.Introspect")
    has = {
        interface.get("name"): {each.get("name"): each.get("type") for each in interface.iter("property")}
        for interface in ET.fromstring(described).iter("interface")
    }
    for interface, properties in MODEM.items():
        for name, value in properties.items():
            assert has[interface].get(name) == value.signature, (interface, name)


async def test_a_daemon_that_does_not_answer_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setitem(Bus.call.__kwdefaults__, "deadline_s", 0.3)
    with running_bus(tmp_path) as address:
        silent = await MessageBus(address).connect()
        silent.add_message_handler(lambda message: message.path == ROOT)  # taken, and never answered
        await silent.request_name(NAME)
        async with watched(address) as modem:
            await until_because(modem, "did not answer")
            silent.disconnect()
            await until_because(modem, "does not run")


async def test_a_bus_that_comes_later_is_found(tmp_path):
    async with watched(f"unix:path={tmp_path / 'bus'}") as modem:
        await until_because(modem, "cannot be reached")
        with running_bus(tmp_path):
            await until_because(modem, "does not run")
        await until_because(modem, "cannot be reached")
