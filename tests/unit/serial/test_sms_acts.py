"""What a camera does and says that gets a command by SMS."""

import pytest

from agent.errors import MessageError
from agent.model.sections import PlanSection
from agent.serial.modem.acts import Acts
from agent.serial.modem.status import ModemStatus


class Site:
    """What the verbs reach."""

    def __init__(self):
        self.status = ModemStatus(
            "modemmanager", "connected", operator="Net", technology="LTE", rsrp_dbm=-97.4
        )
        self.used_bytes, self.plan, self.done, self.words = 9_990_000_000, self, [], ""
        acts = Acts(
            "1.2", self, lambda: self.words, lambda: self.plan,
            lambda: self.done.append("reboot"), self.done.append,
        )  # fmt: skip
        self.acts = acts.by_verb()

    def section(self):
        return PlanSection("2026-11-01", self.used_bytes, 10_000_000_000, is_exceeded=False)

    def refill(self):
        self.used_bytes = 0


@pytest.fixture
def site():
    return Site()


def test_status_says_all_that_fits(site):
    assert site.acts["status"]("") == "1.2; connected; LTE Net; -97 dBm; 9990 of 10000 MB used"
    site.plan, site.words, site.status = (
        None,
        "no step helps: no cell is in reach",
        ModemStatus("at", "searching"),
    )
    assert site.acts["status"]("") == "1.2; searching; no step helps: no cell is in reach"


def test_the_others_do_what_they_say(site):
    assert site.acts["reboot"]("") == "reboots within a minute"
    assert site.acts["apn"]("internet.example") == "connects by internet.example"
    assert site.done == ["reboot", "internet.example"]
    assert site.acts["plan"]("") == "0 of 10000 MB used"


def test_without_a_plan_none_can_be_filled_up(site):
    site.plan = None
    with pytest.raises(MessageError, match="no data plan"):
        site.acts["plan"]("")
