"""`pinhole fleet`: what the portal says of each device, as rows, a table and JSON."""

import io
import json

from rich.console import Console

from agent.client.device import Device
from agent.client.fleet import encode, make_fleet, summary, table

NOW = 1_800_000_000.0
DOOR = {
    "id": "door",
    "name": "Front door",
    "online": True,
    "version": "0.1.2",
    "camera": "live",
    "health": {"nat": "symmetric", "faults": []},
    "release": {
        "on_trial": False,
        "given_back": "0.1.3",
        "reason": "it did not capture a picture within 120 s",
    },
}
YARD = {
    "id": "yard",
    "online": False,
    "since": NOW - 7200,
    "version": "0.1.1",
    "health": {"nat": "open", "faults": [{"check": "clock", "message": "9 s behind"}]},
}


def fleet(*devices):
    return make_fleet([Device.model_validate(device) for device in devices], NOW)


def shown(made):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(made))
    return console.export_text()


def test_the_table_says_who_runs_what_and_what_ails_it():
    text = shown(fleet(DOOR, YARD))
    assert "gave 0.1.3 back: it did not capture a picture within 120 s" in text
    assert "offline 2 h" in text
    assert "clock: 9 s behind" in text


def test_a_fleet_with_modems_has_a_column_for_them():
    modem = {
        "state": "connected", "operator": "Net", "technology": "LTE", "band": "B20", "rsrp_dbm": -97.0,
        "signal": "fair", "signal_bars": 3,
    }  # fmt: skip
    said = {"portal": {"name": "Door", "online": True}, "modem": modem}
    away = modem | {"state": "sim-missing", "signal": "", "reason": "there is no SIM card in it"}
    door, yard = {"id": "door", "sections": said}, {"id": "yard", "sections": said | {"modem": away}}
    text = shown(fleet(door, yard))
    assert "▁▂▄__ -97 dBm Net LTE B20" in text
    assert "sim-missing -97 dBm Net" in text
    assert "modem: there is no SIM card in it" in text
    assert "modem" not in shown(fleet(DOOR))


def test_a_head_and_a_receiver_that_are_dead_are_worth_knowing():
    portal = {"name": "Door", "online": True}
    dead = {"portal": portal, "ptz": {"state": "silent"}, "gnss": {"state": "absent", "problem": "no port"}}
    fine = {"portal": portal, "ptz": {"state": "ready"}, "gnss": {"state": "searching"}, "modem": None}
    text = shown(fleet({"id": "door", "sections": dead}))
    assert "ptz: the head does not answer; gnss: no port" in text
    assert not {"ptz:", "gnss:"} & set(shown(fleet({"id": "yard", "sections": fine})).split())


def test_the_json_has_every_device():
    rows = json.loads(encode(fleet(DOOR, YARD)))["devices"]
    assert [(row["id"], row["version"], row["verdict"]) for row in rows] == [
        ("door", "0.1.2", "good"),
        ("yard", "0.1.1", "fault"),
    ]


def test_the_json_has_sections_and_fields_that_this_release_does_not_know():
    sections = {
        "portal": {"name": "Gate", "online": True},
        "agent": {"version": "9.0", "uptime_s": 4},
        "modem": {"rssi_dbm": -71, "cells": [{"id": 7}]},
    }
    (row,) = json.loads(encode(fleet({"id": "gate", "sections": sections})))["devices"]
    assert (row["name"], row["version"], row["verdict"]) == ("Gate", "9.0", "unknown")
    assert row["sections"] == sections


def test_a_portal_of_before_there_were_sections_is_read_as_well():
    (row,) = json.loads(encode(fleet(DOOR)))["devices"]
    assert (row["name"], row["camera"], row["nat"]) == ("Front door", "live", "symmetric")
    assert row["sections"]["camera"] == {"state": "live"}


def test_a_device_that_has_said_little_is_listed_too():
    (row,) = fleet({"id": "new", "online": True}).devices
    assert (row.verdict, row.version, row.given_back) == ("unknown", "", "")


def test_what_a_device_calls_itself_cannot_draw_on_the_terminal():
    assert "\x1b[31m" not in shown(fleet(DOOR | {"name": "\x1b[31mred", "version": "\x1b[31m1"}))


def test_the_summary_counts_releases():
    assert summary(fleet(DOOR, YARD)) == "2 devices, 1 online; 1 on 0.1.1, 1 on 0.1.2"
    assert summary(fleet(YARD)).startswith("1 device, ")
