"""What Prometheus reads: one table, from the sections of cameras and the portal's own counters."""

import json
import re
from pathlib import Path

import pytest
from fakes.bus import state

from agent.model.health import Health, HealthFault
from agent.model.sections import SectionsMessage
from agent.model.signal import Release, StreamInfo
from agent.portal import metrics
from agent.portal.devices import Directory
from agent.portal.metrics import TABLE, PortalCounters, Row, Scrape, render

COUNTERS = PortalCounters(
    broker_connected=True,
    disk_full=False,
    has_problem=False,
    websockets=2,
    sessions=1,
    refused_messages=7,
    dropped_messages=0,
)
HD = (StreamInfo("main", 1280, 720, 30.0, 2_000_000),)
MONITORING = Path(metrics.__file__).with_name("monitoring")
PLAN = {"since": "2027-01-01", "used_bytes": 9, "cap_bytes": 10, "is_exceeded": False}
SETTINGS = {
    "version": 3,
    "on_trial": False,
    "problem": "",
    "went_back": 2,
    "reason": "no portal",
    "went_back_at": 7.0,
}
MODEM = {
    "state": "connected", "signal_bars": 3, "rsrp_dbm": -97.0, "rsrq_db": -11.0, "sinr_db": 8.4,
    "temperature_c": 41.0, "received_bytes": 5, "sent_bytes": 70, "resets": 2,
    "sms_done": 1, "sms_refused": 3,
}  # fmt: skip

LOGARITHMS = ("decibels", "dbm")
"""Units of radio that have no base unit: nobody would read power in femtowatts."""


def scrape(**sections):
    """Of one camera that says this beyond its state."""
    directory = Directory()
    release = Release(on_trial=True, given_back_at=5.0)
    directory.apply("door", state(camera="failed", viewers=3, streams=HD, release=release), 5000.0)
    directory.apply_sections("door", SectionsMessage("boot-1", 0, sections))
    faults = (HealthFault("clock", "9 s behind"),)
    directory.apply_health(
        "door", Health(1000.0, "open", faults=faults, refused={"expired": 2, "invalid": 3})
    )
    return Scrape(COUNTERS, tuple(directory.all()))


def read(scraped, table=TABLE):
    """The samples, by name and labels."""
    lines = render(scraped, table).decode().splitlines()
    return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_each_section_and_the_portals_counters_are_told():
    told = read(scrape(plan=PLAN, modem=MODEM, settings=SETTINGS))
    assert told == {
        "pinhole_portal_broker_connected": 1,
        "pinhole_portal_disk_full": 0,
        "pinhole_portal_problem": 0,
        "pinhole_portal_websockets": 2,
        "pinhole_portal_sessions": 1,
        "pinhole_portal_refused_messages_total": 7,
        "pinhole_portal_dropped_messages_total": 0,
        "pinhole_portal_notifications_sent_total": 0,
        "pinhole_portal_notifications_failed_total": 0,
        "pinhole_portal_notifications_waiting": 0,
        'pinhole_device_online{device="door"}': 1,
        'pinhole_device_viewers{device="door"}': 3,
        'pinhole_camera_failed{device="door"}': 1,
        'pinhole_camera_live{device="door"}': 0,
        'pinhole_stream_width_pixels{device="door",stream="main"}': 1280,
        'pinhole_stream_height_pixels{device="door",stream="main"}': 720,
        'pinhole_stream_frame_rate_hertz{device="door",stream="main"}': 30,
        'pinhole_stream_ceiling_bytes_per_second{device="door",stream="main"}': 250_000,
        'pinhole_health_checked_timestamp_seconds{device="door"}': 1000,
        'pinhole_health_faults{device="door"}': 1,
        'pinhole_health_refused_messages_total{device="door"}': 5,
        'pinhole_release_on_trial{device="door"}': 1,
        'pinhole_release_since_timestamp_seconds{device="door"}': 0,
        'pinhole_release_rollback_timestamp_seconds{device="door"}': 5,
        'pinhole_plan_used_bytes{device="door"}': 9,
        'pinhole_plan_cap_bytes{device="door"}': 10,
        'pinhole_plan_exceeded{device="door"}': 0,
        'pinhole_modem_connected{device="door"}': 1,
        'pinhole_modem_signal_bars{device="door"}': 3,
        'pinhole_modem_rsrp_dbm{device="door"}': -97,
        'pinhole_modem_rsrq_decibels{device="door"}': -11,
        'pinhole_modem_sinr_decibels{device="door"}': 8.4,
        'pinhole_modem_temperature_celsius{device="door"}': 41,
        'pinhole_modem_received_bytes_total{device="door"}': 5,
        'pinhole_modem_sent_bytes_total{device="door"}': 70,
        'pinhole_modem_resets_total{device="door"}': 2,
        'pinhole_modem_sms_done_total{device="door"}': 1,
        'pinhole_modem_sms_refused_total{device="door"}': 3,
        'pinhole_settings_version{device="door"}': 3,
        'pinhole_settings_on_trial{device="door"}': 0,
        'pinhole_settings_rollback_timestamp_seconds{device="door"}': 7,
    }
    assert len(told) == len(TABLE), "and of no row is nothing told"


def test_a_new_number_in_a_section_is_told_by_one_row():
    row = Row("modem_signal", "dbm", "gauge", "modem.rssi_dbm", "Signal strength.")
    of_stream = Row("stream_dropped_pictures", "", "counter", "streams.*.dropped", "Left out.")
    newer = scrape(modem={"rssi_dbm": -71.5}, streams={"main": {"dropped": 4}})
    assert read(newer, (row, of_stream)) == {
        'pinhole_modem_signal_dbm{device="door"}': -71.5,
        'pinhole_stream_dropped_pictures_total{device="door",stream="main"}': 4,
    }
    assert read(scrape(), (row, of_stream)) == {}, "an older camera has none"


@pytest.mark.parametrize("said", ["7", "nan", True, [1], {"a": 1}, -0.0])
def test_what_is_no_number_is_not_told(said):
    row = Row("modem_signal", "dbm", "gauge", "modem.rssi_dbm", "Signal strength.")
    told = read(scrape(modem={"rssi_dbm": said}), (row,))
    assert len(told) == isinstance(said, bool | float)


def test_labels_are_devices_and_streams_that_are_known_and_nothing_that_a_camera_makes_up():
    made_up = {f"s{number}": {"fps": 1} for number in range(30)}
    text = render(scrape(streams=made_up)).decode()
    assert set(re.findall(r'(\w+)="([^"]*)"', text)) == {("device", "door"), ("stream", "main")}


def test_names_units_and_types_are_as_prometheus_wants_them():
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names)
    for row in TABLE:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row.name)
        assert row.unit in (
            "",
            "bytes",
            "seconds",
            "pixels",
            "hertz",
            "bytes_per_second",
            "celsius",
            *LOGARITHMS,
        ), "base units alone"
        assert row.name.endswith("_total") == (row.kind == "counter")
        assert row.help.endswith(".")


def test_the_dashboard_and_the_alerts_ask_for_what_there_is():
    known = {row.name for row in TABLE}
    for file in ("grafana.json", "alerts.yml"):
        asked = set(re.findall(r"\bpinhole_\w+", (MONITORING / file).read_text()))
        assert asked
        assert asked <= known, file


def test_the_grafana_dashboard_has_a_place_for_each_panel():
    panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert max(columns) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
