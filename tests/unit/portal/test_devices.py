import pytest
from fakes.bus import state

from agent.model.health import Health, HealthFault
from agent.model.sections import SectionsMessage
from agent.portal.devices import MAX_DEVICES, Directory


def test_a_device_without_a_name_is_shown_by_its_id():
    directory = Directory()
    assert directory.apply("yard", state(name=""), 5000.0)
    assert directory.get("yard").sections["portal"]["name"] == "yard"


def test_a_repeated_state_is_no_change():
    directory = Directory()
    directory.apply("yard", state(), 5000.0)
    assert not directory.apply("yard", state(), 6000.0)


def test_a_late_will_of_a_former_life_is_ignored():
    directory = Directory()
    directory.apply("yard", state(boot_id="first"), 5000.0)
    directory.apply("yard", state(boot_id="second", since=2000.0), 6000.0)
    assert not directory.apply("yard", state(boot_id="first", online=False), 6001.0)
    assert directory.is_online("yard")


def test_a_will_says_nothing_of_when_so_the_moment_we_learnt_of_it_counts():
    directory = Directory()
    directory.apply("yard", state(since=1000.0), 5000.0)
    directory.apply("yard", state(online=False, since=1000.0), 6000.0)
    assert directory.get("yard").since == 6000.0


def test_a_clean_stop_says_when_it_was():
    directory = Directory()
    directory.apply("yard", state(since=1000.0), 5000.0)
    directory.apply("yard", state(online=False, since=5500.0), 6000.0)
    assert directory.get("yard").since == 5500.0


def test_a_device_first_seen_offline_has_no_since():
    directory = Directory()
    directory.apply("yard", state(online=False, since=1000.0), 5000.0)
    assert directory.get("yard").since is None
    assert directory.is_online("yard") is False


def test_it_comes_back_online_with_a_new_birth():
    directory = Directory()
    directory.apply("yard", state(online=False), 5000.0)
    assert directory.apply("yard", state(boot_id="second", since=7000.0), 7001.0)
    assert directory.get("yard").since == 7000.0
    assert directory.boot_id("yard") == "second"


def test_an_unknown_device_is_neither_online_nor_offline():
    assert Directory().is_online("nobody") is None


def test_the_directory_is_bounded():
    directory = Directory()
    for number in range(MAX_DEVICES):
        assert directory.apply(f"d{number}", state(), 0.0)
    assert not directory.apply("one-more", state(), 0.0)
    assert len(directory.all()) == MAX_DEVICES
    assert directory.apply("d0", state(viewers=1), 0.0), "those that are known are still kept up to date"


HEALTH = Health(1000.0, "symmetric", is_carrier=True, faults=(HealthFault("clock", "9 s behind", "set it"),))
VERDICT = {
    "at": 1000.0,
    "nat": "symmetric",
    "is_carrier": True,
    "faults": [{"check": "clock", "message": "9 s behind", "advice": "set it"}],
    "refused": {},
}


def test_a_verdict_is_shown_until_the_next_one():
    directory = Directory()
    directory.apply("yard", state(), 5000.0)
    assert "health" not in directory.get("yard").sections
    assert directory.apply_health("yard", HEALTH)
    assert directory.get("yard").sections["health"] == VERDICT
    assert not directory.apply_health("yard", HEALTH), "the same again is no news"
    directory.apply("yard", state(viewers=1), 6000.0)
    assert directory.get("yard").sections["health"] == VERDICT


def test_a_verdict_of_nobody_is_not_kept():
    directory = Directory()
    assert not directory.apply_health("yard", HEALTH)
    assert directory.all() == []


def beyond(seq=0, boot_id="boot-1", **sections):
    return SectionsMessage(boot_id, seq, sections)


def shown(directory, section):
    return directory.get("yard").sections.get(section)


MODEM = {"rssi_dbm": -71, "cells": [{"id": 7}]}


def test_a_section_that_nobody_here_knows_is_handed_on():
    directory = Directory()
    directory.apply("yard", state(), 5000.0)
    assert directory.apply_sections("yard", beyond(modem=MODEM, camera={"lux": 3}))
    assert shown(directory, "modem") == MODEM
    assert (shown(directory, "camera")["state"], shown(directory, "camera")["lux"]) == ("idle", 3)
    directory.apply("yard", state(online=False), 6000.0)
    assert shown(directory, "modem") == MODEM, "the last that is known of one that went"


def test_sections_may_come_before_the_state_and_count_for_its_start_alone():
    directory = Directory()
    assert not directory.apply_sections("yard", beyond(modem=MODEM))
    directory.apply("yard", state(), 5000.0)
    assert shown(directory, "modem") == MODEM
    directory.apply("yard", state(boot_id="boot-2"), 6000.0)
    assert shown(directory, "modem") is None, "an older agent may have begun, which says none"


def test_older_sections_that_are_said_again_change_nothing():
    directory = Directory()
    directory.apply("yard", state(), 5000.0)
    assert directory.apply_sections("yard", beyond(1, modem={"rssi_dbm": -60}))
    assert not directory.apply_sections("yard", beyond(0, modem={"rssi_dbm": -90}))
    assert not directory.apply_sections("yard", beyond(2, modem={"rssi_dbm": -60})), "the same is no news"
    assert shown(directory, "modem") == {"rssi_dbm": -60}


@pytest.mark.parametrize(
    "hostile",
    [
        {"portal": {"name": "Front door", "online": True, "watching": ["ann"]}},
        {"health": {"faults": 3}},
        {"streams": {"main": 3}},
        {"streams": {"main": {"width_px": 3}}},
        {"release": {"since": 1e300}},
        {"plan": {"used_bytes": "much"}},
        {"camera": {"state": "live"}},
        {"viewers": {"count": 99}},
    ],
)
def test_a_camera_that_lies_in_its_sections_is_shown_as_its_state_has_it(hostile):
    directory, honest = Directory(), Directory()
    for each in (directory, honest):
        each.apply("yard", state(), 5000.0)
    directory.apply_sections("yard", beyond(**hostile))
    assert directory.get("yard") == honest.get("yard")


def test_what_a_revoked_camera_said_is_forgotten():
    directory = Directory()
    directory.apply("yard", state(), 5000.0)
    directory.apply_sections("yard", beyond(modem=MODEM))
    assert not directory.is_revoked("yard")
    directory.revoke("yard", 6000.0)
    assert directory.is_revoked("yard")
    assert shown(directory, "modem") is None
    words = shown(directory, "camera")["problem"]
    directory.apply("yard", state(boot_id="boot-2", problem=words), 7000.0)
    assert not directory.is_revoked("yard"), (
        "enrolled again, or says so to be left out where it is watched over"
    )


def test_sections_are_kept_of_so_many_devices():
    directory = Directory()
    for number in range(MAX_DEVICES + 1):
        directory.apply_sections(f"d{number}", beyond(modem=MODEM))
    directory.apply(f"d{MAX_DEVICES}", state(), 0.0)
    assert directory.get(f"d{MAX_DEVICES}").sections.get("modem") is None


def test_the_version_of_the_masks_holds_while_a_new_start_has_said_nothing_but_its_state():
    directory = Directory()
    directory.apply("yard", state(boot_id="boot-1"), 1.0)
    directory.apply_sections("yard", beyond(masks={"state": "in-force", "version": 3}))
    directory.apply("yard", state(boot_id="boot-2"), 2.0)
    assert shown(directory, "masks") == {"state": "", "version": 3}
    directory.apply_sections("yard", beyond(boot_id="boot-2", masks={"state": "none", "version": 4}))
    assert shown(directory, "masks")["version"] == 4
