"""The AT back end against a modem with faults, with a clock of our own."""

import asyncio
import contextlib

import pytest
from fakes.clock import LoopClock
from fakes.modem import CURES, PluggedModem, SimModem
from parts.terminal import SocketWire, is_busy

from agent.config import ModemSettings
from agent.errors import ModemError
from agent.model.tasks import STOP_TIMEOUT_S
from agent.serial.modem import commands, wire
from agent.serial.modem.data import DataCount, Traffic
from agent.serial.modem.talk import MAX_MISSES
from agent.serial.modem.wire import POLL_S, WireModem

QUECTEL = {"maker": "Quectel", "model": "EG25"}
SIMCOM = {"maker": "SIMCOM INCORPORATED", "model": "SIMCOM_SIM7600E-H"}


class Kept:
    """Where a count survives, which nobody asks for here."""

    written = None

    def load(self):
        return None

    def keep(self, value, now_s, *, is_urgent=False):
        pass

    def write(self, value):
        self.written = value


class Bench:
    """A modem, its port, and the back end that talks with it."""

    def __init__(self, folder, interface=None, on_sms=None, has_receiver=bool, **modem):
        self.clock = LoopClock(is_busy)
        self.sim = SimModem(**(QUECTEL | modem))
        self.wire = SocketWire(folder / "pinhole-modem")
        self.events, self.changes = [], []
        self.count = DataCount(Kept(), lambda: "2026-11-01", lambda: True)
        self.modem = WireModem(
            ModemSettings(port=str(self.wire.link), interface=interface),
            self.count,
            lambda: self.changes.append(self.modem.status.state),
            lambda kind, *_: self.events.append(kind),
            self.wire.open_port,
            on_sms=on_sms,
            has_receiver=has_receiver,
        )

    async def until(self, state):
        await self.clock.until(lambda: self.modem.status.state == state)
        return self.modem.status

    def asked(self):
        """The commands that came since it was last asked."""
        got, self.sim.got[:] = list(self.sim.got), []
        return got


async def shout(text):
    """What answers a message."""
    return text.upper()


@contextlib.asynccontextmanager
async def running(folder, interface=None, on_sms=None, has_receiver=bool, **modem):
    bench = Bench(folder, interface, on_sms, has_receiver, **modem)
    now_s = bench.clock.now_s
    bench.sim.power_cycle(now_s - 60)
    tasks = [
        asyncio.create_task(PluggedModem(bench.sim, bench.wire).run()),
        asyncio.create_task(bench.modem.run()),
    ]
    try:
        yield bench
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait((task,))
        bench.wire.unplug()
        assert not [task for task in tasks if not task.cancelled()]


async def test_what_is_told_of_a_quectel(tmp_path):
    async with running(tmp_path) as it:
        status = await it.until("connected")
    assert (status.source, status.model, status.operator, status.technology) == (
        "at",
        "EG25",
        "Test network",
        "LTE",
    )
    assert (status.band, status.cell) == ("B20", "228-02-B3B3-1C00B01")
    assert (status.rsrp_dbm, status.rsrq_db, status.sinr_db) == (-97, -8, 12)
    assert (status.temperature_c, status.sim, status.registration) == (36, "ready", "home")
    assert status.apn == "internet.example"


async def test_what_is_told_of_a_simcom_whose_first_answer_is_an_error(tmp_path):
    async with running(tmp_path, **SIMCOM) as it:
        status = await it.until("connected")
    assert (status.band, status.rsrp_dbm, status.sinr_db, status.temperature_c) == ("B20", -97.0, 12, 29)


async def test_what_its_interface_carried_is_counted_by_month(tmp_path, monkeypatch):
    told = iter([Traffic("interface usb0", 1000, 10), Traffic("interface usb0", 1500, 30)])
    monkeypatch.setattr(wire, "interface_traffic", lambda name: next(told, None) if name == "usb0" else None)
    async with running(tmp_path, interface="usb0") as it:
        await it.until("connected")
        await it.clock.until(lambda: it.modem.status.received_bytes == 500)
        status = it.modem.status
    assert (status.data_since, status.received_bytes, status.sent_bytes) == ("2026-11-01", 500, 20)
    assert it.count._record.written == it.count.counted


async def test_a_modem_that_counts_by_itself_is_believed_before_the_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "interface_traffic", lambda name: Traffic(f"interface {name}", 1, 10**9))
    async with running(tmp_path, interface="usb0", carried=(7000, 50_000)) as it:
        await it.until("connected")
        assert it.modem.status.received_bytes == 0, "what it carried before is of another month"
        it.sim.carried = (7100, 50_500)
        await it.clock.until(lambda: it.modem.status.received_bytes == 500)
        assert it.modem.status.sent_bytes == 100
        it.sim.carried = None
        await it.clock.after(2 * POLL_S)
        it.sim.carried = (30, 20)  # it has started anew meanwhile
        await it.clock.until(lambda: it.modem.status.received_bytes == 520)
        assert it.modem.status.sent_bytes == 130


async def test_it_is_set_up_once_and_asked_each_minute(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        first = it.asked()
        await it.clock.after(3 * (POLL_S + 3))
        later = it.asked()
    assert first[:2] == [commands.FUNCTION.text, commands.ECHO_OFF.text]
    assert first.count("AT+CEREG=3") == 1
    assert "ATE0" not in later
    assert later.count("AT+CSQ") == 3


async def test_news_has_it_asked_soon_and_a_burst_once(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.asked()
        it.sim.say("+CEREG: 2", "+CEREG: 1", "+CGEV: NW DETACH", "+QIND: SMS DONE")
        await it.clock.after(10)
        assert it.asked().count("AT+CSQ") == 1


@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        ("no-sim", "sim-missing", "no SIM card"),
        ("pin", "sim-locked", "PIN"),
        ("denied", "denied", "15: no suitable cells"),
        ("no-coverage", "searching", "antenna"),
    ],
)
async def test_what_no_step_cures_is_told(tmp_path, fault, state, reason):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike(fault, it.clock.now_s)
        status = await it.until(state)
        assert reason in status.reason
        assert status.operator == ""
        it.sim.until_s = it.clock.now_s
        await it.until("connected")
    assert it.changes == [
        "connected",
        state,
        *(["registered"] if "registered" in it.changes else []),
        "connected",
    ]


@pytest.mark.parametrize("fault", ["silent", "garbage"])
async def test_a_port_that_is_sick_is_told_and_opened_anew(tmp_path, fault):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike(fault, it.clock.now_s)
        await it.clock.until(lambda: it.events)
        assert it.events == ["serial-lost"]
        assert it.modem.status.state == "failed"
        it.sim.reauthorize(it.clock.now_s)
        await it.until("connected")
    assert it.events == ["serial-lost", "serial-recovered"]


async def test_three_commands_that_are_missed_make_a_sick_port_and_fewer_do_not(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike("silent", it.clock.now_s)
        await it.clock.until(lambda: it.modem._talk.misses == MAX_MISSES - 1)
        it.sim.until_s = it.clock.now_s
        await it.until("connected")
        await it.clock.after(30)
    assert it.events == []


async def test_a_modem_that_vanishes_is_absent_and_found_again(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike("vanished", it.clock.now_s)
        status = await it.until("absent")
        assert "is not there" in status.reason
        it.sim.power_cycle(it.clock.now_s)
        await it.clock.until(lambda: it.modem.line.state == "open")
        assert (it.modem.status.state, it.modem.status.reason) == ("absent", "it has yet to answer")
        opened_s = it.clock.now_s
        await it.clock.until(lambda: it.modem.status.state != "absent")
        assert it.clock.now_s - opened_s < 15, "it was not left until the next poll is due"
        await it.until("connected")
        assert "ATE0" in it.asked(), "it was set up again"


async def test_a_modem_that_starts_anew_by_itself_is_set_up_again(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.asked()
        it.sim.say("RDY")
        await it.clock.after(10)
        assert "ATE0" in it.asked()


async def test_a_port_that_was_left_in_data_mode_is_led_out_of_it(tmp_path):
    async with running(tmp_path) as it:
        it.sim.enter_data_mode()
        await it.until("connected")
        it.sim.enter_data_mode()
        await it.clock.after(2 * POLL_S)
        assert it.modem.status.state == "connected"
        assert it.asked()[-1] == "AT+QTEMP"


async def test_a_port_that_was_left_at_a_prompt_is_led_out_of_it(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.enter_prompt()
        await it.clock.after(2 * POLL_S)
        assert (it.modem.status.state, it.events) == ("connected", [])
        assert it.asked()[-1] == "AT+QTEMP"


STEPS = {"bearer": "renew_bearer", "radio": "cycle_radio", "reset": "reset_modem"}


@pytest.mark.parametrize("fault", ["bearer", "radio", "zombie"])
async def test_each_fault_is_cured_by_its_step(tmp_path, fault):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike(fault, it.clock.now_s)
        step = asyncio.create_task(getattr(it.modem, STEPS[CURES[fault][0]])())
        await it.clock.until(step.done)
        step.result()
        await it.clock.until(lambda: it.sim.has_data(it.clock.now_s))
        await it.clock.after(2 * POLL_S)
        assert it.modem.status.state == "connected"


async def test_a_radio_is_on_again_also_where_the_step_was_given_up(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        step = asyncio.create_task(it.modem.cycle_radio())
        await it.clock.until(lambda: "AT+CFUN=4" in it.sim.got)
        step.cancel()
        await it.clock.until(step.done)
        assert it.asked()[-1] == "AT+CFUN=1"


async def test_an_end_of_the_agent_is_no_fault_of_a_modem_that_has_gone_silent(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        step = asyncio.create_task(it.modem.cycle_radio())
        await it.clock.until(lambda: "AT+CFUN=4" in it.sim.got)
        it.sim.strike("silent", it.clock.now_s)
        step.cancel()
        began_s = it.clock.now_s
        await it.clock.until(step.done)
        assert step.cancelled()
        assert it.clock.now_s - began_s < STOP_TIMEOUT_S


async def test_a_command_that_was_given_up_does_not_disturb_the_next_one(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike("silent", it.clock.now_s, it.clock.now_s + 1)
        step = asyncio.create_task(it.modem.renew_bearer())
        await it.clock.after(0.2)
        step.cancel()
        await it.clock.until(step.done)
        again = asyncio.create_task(it.modem.renew_bearer())
        await it.clock.until(again.done)
        again.result()


async def test_steps_of_a_modem_that_is_away_fail_with_the_reason(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike("vanished", it.clock.now_s)
        await it.until("absent")
        for step in ("renew_bearer", "cycle_radio", "reset_modem"):
            with pytest.raises(ModemError, match="is not there"):
                await getattr(it.modem, step)()


async def test_a_message_is_answered_soon_after_its_news_and_none_is_read_unless_wanted(tmp_path):
    async with running(tmp_path, on_sms=shout) as it:
        it.sim.deliver("waiting")
        await it.clock.until(lambda: it.sim.messages.sent == [("+4915140075573", "WAITING")])
        await it.until("connected")
        await it.clock.after(10)
        it.sim.deliver("news")
        await it.clock.after(10)
        assert it.sim.messages.sent[1:] == [("+4915140075573", "NEWS")]
        assert (it.sim.messages.kept, it.modem.status.state) == ({}, "connected")
    (folder := tmp_path / "other").mkdir()
    async with running(folder) as it:
        it.sim.deliver("not for us")
        await it.until("connected")
        await it.clock.after(2 * POLL_S)
        assert list(it.sim.messages.kept) == [0]
        assert not [each for each in it.sim.got if "CMG" in each or "CNMI" in each]


async def test_messages_are_read_again_after_the_modem_started_anew_and_its_card_came_back(tmp_path):
    async with running(tmp_path, on_sms=shout) as it:
        await it.until("connected")
        it.sim.strike("no-sim", it.clock.now_s)
        await it.until("sim-missing")
        it.sim.power_cycle(it.clock.now_s)
        it.sim.until_s = it.clock.now_s + 60
        await it.until("absent")
        await it.until("connected")
        await it.clock.after(10)
        it.sim.deliver("one")
        await it.clock.after(10)
        assert it.sim.messages.sent == [("+4915140075573", "ONE")]


async def test_a_prompt_that_never_comes_does_not_stop_the_rest(tmp_path):
    async with running(tmp_path, on_sms=shout) as it:
        await it.until("connected")
        it.sim.messages.is_mute = True
        it.sim.deliver("one")
        await it.clock.after(2 * POLL_S)
        it.sim.messages.is_mute = False
        it.sim.deliver("two")
        await it.clock.after(2 * POLL_S)
        assert it.sim.messages.sent == [("+4915140075573", "TWO")]
        assert (it.modem.status.state, it.events) == ("connected", [])


RECEIVERS = [(QUECTEL, "QGPS"), (SIMCOM, "CGPS"), (SIMCOM, "CGNSSPWR")]


@pytest.mark.parametrize(("maker", "receiver"), RECEIVERS)
async def test_a_receiver_that_is_read_is_switched_on_after_each_start(tmp_path, maker, receiver, caplog):
    async with running(tmp_path, has_receiver=lambda: True, receiver=receiver, **maker) as it:
        await it.until("connected")
        assert it.sim.is_receiver_on
        it.sim.say("RDY")
        await it.clock.after(10)
        assert it.asked().count(f"AT+{receiver}=1") == 1, "it was on"
        it.sim.power_cycle(it.clock.now_s)
        await it.until("absent")
        await it.until("connected")
        assert it.sim.is_receiver_on
    assert "stays off" not in caplog.text


@pytest.mark.parametrize(("maker", "receiver"), RECEIVERS)
async def test_one_that_nobody_reads_stays_off_and_a_modem_without_one_does_all_else(
    tmp_path, maker, receiver
):
    async with running(tmp_path, receiver=receiver, **maker) as it:
        await it.until("connected")
        assert not it.sim.is_receiver_on
    (folder := tmp_path / "other").mkdir()
    async with running(folder, has_receiver=lambda: True, **maker) as it:
        await it.until("connected")


async def test_another_access_point_name_is_set_for_good_and_connects(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.needs_apn = "iot.example"
        it.modem.set_apn("iot.example")
        await it.clock.until(lambda: it.modem.status.apn == "iot.example")
        await it.clock.until(lambda: it.sim.has_data(it.clock.now_s))
        assert it.asked().count('AT+CGDCONT=1,"IP","iot.example"') == 1


async def test_a_modem_that_is_silent_gets_it_once_it_answers_again(tmp_path):
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.strike("silent", it.clock.now_s)
        it.modem.set_apn("iot.example")
        await it.until("failed")
        it.sim.until_s = it.clock.now_s
        await it.clock.until(lambda: it.sim.apn == "iot.example")


async def test_no_number_of_a_person_is_asked_for_or_logged(tmp_path, caplog):
    caplog.set_level("DEBUG")
    async with running(tmp_path) as it:
        await it.until("connected")
        it.sim.say('+CLIP: "+41791234567",145', "+QCCID: 8941010012345678901")
        await it.clock.after(5)
        asked = it.asked()
    assert not {"ATI", "AT+CIMI", "AT+CGSN", "AT+CCID", "AT+QCCID", "AT+CNUM"} & set(asked)
    assert "…4567" in caplog.text
    assert "1791234567" not in caplog.text
    assert "12345678901" not in caplog.text
