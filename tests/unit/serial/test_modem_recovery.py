"""What is done for a modem without a path, who does it, and what is told."""

import asyncio
import threading
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from agent.device.ledger import Ledger
from agent.errors import MessageError, ModemError
from agent.model.sections import ModemSection
from agent.serial.modem.ladder import DAY_S, Memory, Taken
from agent.serial.modem.recovery import (
    ACT_S,
    KEEP_S,
    SUPPLY_S,
    TICK_S,
    UNDER_VOLTAGE,
    Helpers,
    Recovery,
    World,
    hindrance,
)
from agent.serial.modem.status import ModemStatus

SEARCHING = ModemStatus("at", "searching")


class Site:
    """A device with a modem, and a clock that only it moves."""

    def __init__(self, folder, helpers=("modem-usb", "modem-power")):
        self.folder, self.now_s, self.events, self.asked = folder, 1000.0, [], []
        self.link, self.answers, self.media, self.spent, self.low, self.may = (
            True,
            False,
            False,
            False,
            False,
            True,
        )
        self.status, self.fault, self.reached = ModemStatus("at", "connected"), None, 0
        self.second, self.ways, self.sample = True, "", lambda: None
        for name in helpers:
            (folder / f"pinhole-{name}.path").touch()
        self.run, self.file = folder / "run", folder / "recovery.json"
        self.run.mkdir(exist_ok=True)
        self.file.write_bytes(TypeAdapter(Memory).dump_json(Memory(lived_s=DAY_S)))
        self.start()

    def start(self):
        world = World(
            is_connected=lambda: self.link,
            reach=self._reach,
            has_second=self.second,
            other_ways=lambda: self.ways,
            has_media=lambda: self.media,
            is_plan_spent=lambda: self.spent,
            is_voltage_low=lambda: self.sample() or self.low,
            may_reboot=lambda: self.may,
            reboot=lambda: self._act("reboot"),
        )
        self.recovery = Recovery(
            self,
            world,
            Helpers(self.run, self.folder),
            Ledger(self.file, TypeAdapter(Memory)),
            lambda *event: self.events.append(event),
            lambda: self.now_s,
            reboots_a_day=4,
        )

    @property
    def section(self):
        """What the state says."""
        return self.recovery.told(ModemSection(state=self.status.state))

    async def _reach(self):
        self.reached += 1
        return self.answers

    def _act(self, step):
        self.asked.append(step)
        if self.fault:
            raise self.fault

    async def renew_bearer(self):
        self._act("renew-bearer")

    async def cycle_radio(self):
        self._act("cycle-radio")

    async def reset_modem(self):
        self._act("reset-modem")

    async def pass_time(self, seconds):
        ends_s = self.now_s + seconds
        while self.now_s < ends_s:
            self.now_s += TICK_S
            self.recovery.look_at_supply()
            await self.recovery.look()
            for file in self.run.iterdir():
                self.asked.append(file.name)
                file.unlink()

    async def lose(self):
        """After an hour in which all was well."""
        await self.pass_time(3600)
        self.link = False


@pytest.fixture
async def site(tmp_path):
    site = Site(tmp_path)
    await site.lose()
    return site


async def test_the_modem_then_root_then_a_reboot_are_asked(site):
    await site.pass_time(290)
    assert site.asked == ["renew-bearer", "cycle-radio", "reset-modem", "modem-usb", "modem-power"]
    await site.pass_time(1000)
    assert site.asked[-1] == "reboot"
    assert [kind for kind, *_ in site.events] == ["modem-reset"] * len(site.asked)
    _, words, details = site.events[2]
    assert words == "no path to the portal for 65 s: a reset of the modem"
    assert details == {"step": "reset-modem", "lost_s": 65}
    assert (site.section.resets, site.section.last_step) == (len(site.asked), "reboot")


async def test_what_helped_is_told(site):
    await site.pass_time(60)
    site.link = True
    await site.pass_time(60)
    kind, words, details = site.events[-1]
    assert (kind, details["step"]) == ("modem-recovered", "cycle-radio")
    assert words == "the modem leads to the portal again after radio off and on"


async def test_a_gap_that_needed_nothing_is_no_event(site):
    await site.pass_time(20)
    site.link = True
    await site.pass_time(60)
    assert site.events == []


async def test_a_broker_that_answers_by_tcp_is_a_path(site):
    site.answers = True
    await site.pass_time(3000)
    assert site.asked == []
    assert site.reached > 0


async def test_nobody_is_asked_by_tcp_while_the_link_is_up(tmp_path):
    site = Site(tmp_path)
    await site.pass_time(300)
    assert site.reached == 0


async def test_steps_without_means_are_left_out(tmp_path):
    site = Site(tmp_path, helpers=())
    site.may = False
    await site.lose()
    await site.pass_time(3000)
    assert set(site.asked) == {"renew-bearer", "cycle-radio", "reset-modem"}


async def test_a_back_end_that_refuses_costs_no_time_and_is_told(site):
    site.fault = ModemError("the modem is absent")
    await site.pass_time(50)
    assert site.asked[:3] == ["renew-bearer", "cycle-radio", "reset-modem"]
    assert site.events[0][1].endswith("a new data connection (the modem is absent)")
    assert site.events[0][2]["failed"] is True


async def test_a_back_end_that_hangs_is_left(site, monkeypatch):
    monkeypatch.setitem(ACT_S, "renew-bearer", 0.0)
    site.renew_bearer = asyncio.Event().wait
    await site.pass_time(40)
    assert site.asked == ["cycle-radio"]
    assert "(no answer)" in site.events[0][1]


async def test_a_low_voltage_is_told_as_the_cause(site):
    site.low = True
    await site.pass_time(10)
    site.low = False  # and yet it may be why
    await site.pass_time(30)
    (_, words, details), *_ = site.events
    assert details["cause"] == "under-voltage"
    assert UNDER_VOLTAGE in words
    assert site.section.recovery == UNDER_VOLTAGE
    site.link = True
    await site.pass_time(10)
    assert site.section.recovery == f"last outage: {UNDER_VOLTAGE}", "nobody could read it before"
    site.now_s += DAY_S
    assert site.section.recovery == ""


@pytest.mark.parametrize(("before_s", "is_cause"), [(40, True), (600, False)])
async def test_a_dip_before_the_loss_is_noticed_is_its_cause_and_an_older_one_is_not(
    tmp_path, before_s, is_cause
):
    site = Site(tmp_path)
    await site.pass_time(3600)
    site.low = True
    await site.pass_time(TICK_S)
    site.low = False
    await site.pass_time(before_s)
    site.link = False
    await site.pass_time(60)
    _, words, details = site.events[-1]
    assert (details.get("cause") == "under-voltage", UNDER_VOLTAGE in words) == (is_cause, is_cause)
    assert (site.section.recovery == UNDER_VOLTAGE) is is_cause


async def test_the_supply_is_asked_while_there_is_a_path_and_as_often_as_a_dip_shows(site, monkeypatch):
    assert SUPPLY_S < 2.0, "for so long the kernel shows it"
    monkeypatch.setattr("agent.serial.modem.recovery.SUPPLY_S", 0.0)
    asked, site.link = asyncio.Semaphore(0), True
    site.sample = asked.release
    running = asyncio.create_task(site.recovery.watch_supply())
    async with asyncio.timeout(60):
        for _ in range(3):
            await asked.acquire()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ModemStatus("at", "sim-missing"), "there is no SIM card"),
        (ModemStatus("at", "sim-locked"), "wants its PIN or PUK"),
        (ModemStatus("at", "denied", reject_cause="11: PLMN not allowed"), "refuses the SIM card"),
        (SEARCHING, "no cell is in reach"),
    ],
)
async def test_where_no_step_helps_none_is_taken_and_the_section_says_why(site, status, words):
    site.status = status
    await site.pass_time(DAY_S / 2)
    assert (site.asked, site.events) == ([], [])
    assert words in site.section.recovery


async def test_a_plan_that_is_spent_is_no_fault_of_the_modem(site):
    site.spent = True
    await site.pass_time(3000)
    assert site.asked == []
    assert "data plan" in site.section.recovery


async def test_a_modem_that_fails_hangs_also_where_the_plan_is_spent(site):
    site.spent, site.status = True, ModemStatus("at", "failed")
    await site.pass_time(100)
    assert site.asked[:2] == ["renew-bearer", "cycle-radio"]


async def test_a_cell_is_heard_and_yet_it_searches_is_a_fault():
    assert hindrance(SEARCHING, is_plan_spent=False) == "no-coverage"
    for heard in ({"rsrp_dbm": -100.0}, {"rssi_dbm": -80.0}):
        assert hindrance(replace(SEARCHING, **heard), is_plan_spent=False) == ""
    for state in ("absent", "failed", "disabled", "registered", "connected"):
        assert hindrance(ModemStatus("at", state), is_plan_spent=False) == ""


async def test_who_watches_keeps_the_picture(site):
    site.media = True
    await site.pass_time(3000)
    assert site.asked == []


async def test_counts_outlive_the_agent_and_a_reboot_is_told_as_the_cure(site):
    await site.pass_time(1300)
    assert site.asked[-1] == "reboot"
    taken = site.section.resets
    site.start()
    assert (site.section.resets, site.section.last_step) == (taken, "reboot")
    site.link = True
    await site.pass_time(10)
    assert site.events[-1][0] == "modem-recovered"
    assert site.events[-1][2]["step"] == "reboot"


async def test_a_damaged_file_costs_the_counts_and_no_more(site):
    await site.pass_time(100)
    site.file.write_bytes(b"\0" * 100)
    site.start()
    assert site.section.resets == 0
    await site.pass_time(300)
    assert site.section.resets > 0


async def test_a_card_that_never_answers_does_not_keep_the_modem_from_being_brought_back(site, monkeypatch):
    is_free = threading.Event()
    with monkeypatch.context() as hung:
        hung.setattr("agent.model.threads.SAVE_S", 0.0)
        hung.setattr(Ledger, "write", lambda *_: is_free.wait(60))
        await site.pass_time(3600)
    is_free.set()
    assert {"renew-bearer", "reset-modem"} <= set(site.asked)
    assert "reboot" not in site.asked, "which is not counted"


async def test_no_reboot_that_the_disk_does_not_count(site, monkeypatch):
    await site.pass_time(300)
    monkeypatch.setattr(Ledger, "write", lambda _self, _value: None)
    await site.pass_time(DAY_S / 4)
    assert "reboot" not in site.asked


@pytest.mark.parametrize("is_damaged", [False, True])
async def test_reboots_are_bounded_where_the_disk_forgets_at_each(site, is_damaged):
    """A root with an overlay in memory, or a card that damages the file."""
    ends_s, reboots = site.now_s + DAY_S, 0
    while site.now_s < ends_s:
        await site.pass_time(300)
        if "reboot" in site.asked:
            reboots += 1
            site.asked.clear()
            site.file.write_bytes(b"\0" * 64)
            if not is_damaged:
                site.file.unlink()
            site.start()
    assert 0 < reboots <= 4


async def test_a_new_record_grows_older_on_disk_for_a_day(site):
    site.file.unlink()
    site.link = True
    site.start()
    await site.pass_time(KEEP_S + TICK_S)
    assert TypeAdapter(Memory).validate_json(site.file.read_bytes()).lived_s >= KEEP_S


async def test_an_agent_that_may_not_reboot_yet_does_it_later(site):
    site.may = False
    await site.pass_time(1500)
    assert "reboot" not in site.asked
    site.may = True
    await site.pass_time(10)
    assert site.asked[-1] == "reboot"


async def test_a_reboot_that_nobody_does_is_told_and_not_asked_for_again_at_once(site):
    await site.pass_time(1150)
    site.fault = MessageError("no-service", "nobody reboots")
    await site.pass_time(1000)
    assert site.asked.count("reboot") == 1


async def test_the_day_grows_older_on_disk_too(site):
    await site.pass_time(40)
    before = site.file.read_bytes()
    await site.pass_time(KEEP_S + TICK_S)
    site.link = True
    await site.pass_time(KEEP_S + TICK_S)
    after = TypeAdapter(Memory).validate_json(site.file.read_bytes())
    assert after.lived_s > TypeAdapter(Memory).validate_json(before).lived_s + KEEP_S


def test_without_a_service_manager_nobody_helps(tmp_path):
    (tmp_path / "pinhole-modem-usb.path").touch()
    assert Helpers(None, tmp_path).able() == frozenset()
    with pytest.raises(ModemError, match=r"pinhole-modem-usb\.path is missing"):
        Helpers(None, tmp_path).ask("reauthorize-usb")
    assert Helpers(tmp_path, tmp_path).able() == {"reauthorize-usb"}
    with pytest.raises(ModemError, match="cannot ask"):
        Helpers(tmp_path / "gone", tmp_path).ask("reauthorize-usb")


def test_another_access_point_name_is_asked_of_root(tmp_path):
    helpers = Helpers(tmp_path, tmp_path)
    with pytest.raises(ModemError, match=r"pinhole-modem-apn\.path is missing"):
        helpers.set_apn("internet.example")
    (tmp_path / "pinhole-modem-apn.path").touch()
    helpers.set_apn("internet.example")
    assert (tmp_path / "modem-apn").read_text() == "internet.example"
    assert helpers.able() == frozenset(), "it is no step of recovery"


GENTLE = {"renew-bearer", "cycle-radio"}


@pytest.fixture
async def alone(tmp_path):
    """A device whose settings name no second address."""
    site = Site(tmp_path)
    site.second = False
    site.start()
    await site.lose()
    return site


async def test_a_portal_that_is_away_for_days_resets_and_reboots_nothing(alone):
    alone.status = ModemStatus("at", "connected", rsrp_dbm=-80.0)
    await alone.pass_time(DAY_S / 2)
    assert set(alone.asked) == GENTLE
    assert len(alone.asked) < 20
    assert "second_address would tell" in alone.section.recovery


async def test_a_sound_modem_that_is_slow_after_a_step_of_ours_is_not_reset(alone):
    async def renew():
        alone.asked.append("renew-bearer")
        alone.status = ModemStatus("at", "registered")

    alone.renew_bearer = renew
    for _ in range(100):
        await alone.pass_time(90)
        alone.status = ModemStatus("at", "connected")
        await alone.pass_time(TICK_S)
    assert set(alone.asked) == GENTLE


async def test_a_modem_that_says_so_itself_is_at_fault_after_two_minutes(alone):
    alone.status = ModemStatus("at", "registered")
    await alone.pass_time(115)
    assert set(alone.asked) == GENTLE
    await alone.pass_time(200)
    assert alone.asked[2:] == ["reset-modem", "modem-usb", "modem-power"]
    await alone.pass_time(900)
    assert alone.asked.count("reboot") == 0, "its time counts from then"
    await alone.pass_time(200)
    assert alone.asked.count("reboot") == 1


@pytest.mark.parametrize("connected_s", [TICK_S, 40])
async def test_a_modem_that_is_up_now_and_then_gets_its_reboot_all_the_same(alone, connected_s):
    """For one look, or for longer than a connection takes to count: each 5 minutes."""
    for _ in range(12):
        alone.status = ModemStatus("at", "absent")
        await alone.pass_time(300 - connected_s)
        alone.status = ModemStatus("at", "connected")
        await alone.pass_time(connected_s)
    assert alone.asked.count("reboot") == 1
    assert alone.asked.count("modem-power") <= 3, "rests are kept"


async def test_a_modem_that_goes_again_after_half_an_hour_is_suspected_anew(alone):
    alone.status = ModemStatus("at", "absent")
    await alone.pass_time(300)
    alone.status = ModemStatus("at", "connected")
    await alone.pass_time(1800)
    before = len(alone.asked)
    alone.status = ModemStatus("at", "absent")
    await alone.pass_time(600)
    assert alone.asked[before:] == ["reset-modem", "modem-usb", "modem-power"]


async def test_a_modem_that_goes_amid_a_long_outage_of_the_portal_waits_for_no_rest(alone):
    await alone.pass_time(DAY_S / 4)
    before = len(alone.asked)
    alone.status = ModemStatus("at", "absent")
    await alone.pass_time(125)
    assert alone.asked[before:] == ["reset-modem"]


@pytest.mark.parametrize("state", ["connected", "absent", "failed"])
async def test_where_another_way_is_up_the_modem_is_not_reset(site, state):
    site.ways, site.status = "eth0", ModemStatus("at", state)
    await site.pass_time(5000)
    assert set(site.asked) == GENTLE
    assert site.section.recovery.startswith("eth0 leads out of here too")


async def test_a_card_that_was_seen_before_is_believed_to_be_gone_after_one_reset(site):
    site.link = True
    site.status = ModemStatus("at", "connected", sim="ready")
    await site.pass_time(10)
    site.link, site.status = False, ModemStatus("at", "sim-missing", sim="missing")
    await site.pass_time(3000)
    assert site.asked == ["reset-modem"]
    assert "there is no SIM card" in site.section.recovery
    site.link = True
    await site.pass_time(10)
    site.link = False
    await site.pass_time(3000)
    assert site.asked == ["reset-modem"] * 2, "once an outage"


async def test_a_day_without_a_reset_left_says_that_the_card_is_gone(site):
    site.status = ModemStatus("at", "connected", sim="ready")
    taken = tuple(Taken("reset-modem", DAY_S) for _ in range(12))
    site.file.write_bytes(TypeAdapter(Memory).dump_json(Memory(lived_s=DAY_S, taken=taken)))
    site.link = True
    site.start()
    await site.pass_time(10)
    site.link, site.status = False, ModemStatus("at", "sim-missing", sim="missing")
    await site.pass_time(3000)
    assert site.asked == []
    assert "there is no SIM card" in site.section.recovery


async def test_without_a_second_address_too(alone):
    alone.link, alone.status = True, ModemStatus("at", "connected", sim="ready")
    await alone.pass_time(10)
    alone.link, alone.status = False, ModemStatus("at", "sim-missing", sim="missing")
    await alone.pass_time(3000)
    assert alone.asked == ["reset-modem"]
