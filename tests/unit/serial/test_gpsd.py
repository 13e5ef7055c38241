import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.serial.gnss.gpsd import MAX_DEVICES, Gpsd
from agent.serial.gnss.nmea import Place

FLOOR = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
VERSION = b'{"class":"VERSION","release":"3.25","rev":"3.25","proto_major":3,"proto_minor":15}\r\n'
DEVICES = (
    b'{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyUSB1","driver":"u-blox",'
    b'"activated":"2026-11-29T06:00:00.000Z","flags":1,"native":0,"bps":9600}]}\r\n'
)
SKY = b'{"class":"SKY","device":"/dev/ttyUSB1","hdop":0.90,"nSat":14,"uSat":9}\r\n'
TPV: dict[str, Any] = {
    "class": "TPV", "device": "/dev/ttyUSB1", "mode": 3, "status": 1, "time": "2026-11-29T06:00:00.000Z",
    "lat": 47.376912, "lon": 8.541734, "altMSL": 408.1,
}  # fmt: skip


def fix_of(**changed: object) -> object:
    gpsd = Gpsd(FLOOR)
    gpsd.take(json.dumps(TPV | changed).encode(), 1.0)
    return gpsd.fix(1.0)


def test_what_gpsd_says() -> None:
    gpsd = Gpsd(FLOOR)
    for line in (VERSION, DEVICES, SKY, json.dumps(TPV).encode()):
        gpsd.take(line, 1.0)
    assert gpsd.is_gpsd
    assert gpsd.devices == ("/dev/ttyUSB1",)
    fix = gpsd.fix(1.0)
    assert fix
    assert (fix.place, fix.dimensions, fix.satellites) == (Place(47.376912, 8.541734), 3, 9)
    assert fix.time_unix_s == datetime(2026, 11, 29, 6, tzinfo=UTC).timestamp()
    assert gpsd.fix(11.1) is None, "it has gone silent"


def test_another_receivers_place_is_not_ours() -> None:
    gpsd = Gpsd(FLOOR, lambda path: path == "/dev/ttyUSB1")
    both = b'{"class":"DEVICES","devices":[{"path":"/dev/ttyS0"},{"path":"/dev/ttyUSB1"}]}'
    for line in (VERSION, both, SKY, json.dumps(TPV).encode()):
        gpsd.take(line, 1.0)
    gpsd.take(SKY.replace(b"USB1", b"S0").replace(b'uSat":9', b'uSat":4'), 2.0)
    gpsd.take(json.dumps(TPV | {"device": "/dev/ttyS0", "lat": 0}).encode(), 2.0)
    assert gpsd.devices == ("/dev/ttyUSB1",)
    fix = gpsd.fix(2.0)
    assert fix
    assert (fix.place.latitude_deg, gpsd._satellites) == (47.376912, 9)


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": 1},
        {"mode": "3"},
        {"status": 5},
        {"status": 8},
        {"lat": None},
        {"lat": True},
        {"lat": 90.1},
        {"lon": -180.1},
        {"lon": float("nan")},
        {"lat": 10**400},
    ],
)
def test_what_is_no_position(changed: dict[str, object]) -> None:
    assert fix_of(**changed) is None


@pytest.mark.parametrize("time", [None, 7, "yesterday", "0001-01-01T00:00:00Z", "9" * 400])
def test_a_position_without_a_date(time: object) -> None:
    fix = fix_of(time=time)
    assert getattr(fix, "place", None)
    assert getattr(fix, "time_unix_s", 0) is None


def test_many_devices_are_bounded() -> None:
    gpsd = Gpsd(FLOOR)
    devices = [{"path": f"/dev/ttyS{n}"} for n in range(1000)]
    gpsd.take(json.dumps({"class": "DEVICES", "devices": [7, {"path": 7}, *devices]}).encode(), 1.0)
    assert 0 < len(gpsd.devices) <= MAX_DEVICES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=4,
)
KEYS = ("mode", "status", "lat", "lon", "time", "uSat", "devices")


@given(st.sampled_from(["TPV", "SKY", "DEVICES"]), st.dictionaries(st.sampled_from(KEYS), json_values))
def test_no_value_is_trusted(kind: str, fields: dict[str, object]) -> None:
    gpsd = Gpsd(FLOOR)
    gpsd.take(json.dumps({"class": kind} | fields).encode(), 1.0)
    fix = gpsd.fix(1.0)
    assert fix is None or (abs(fix.place.latitude_deg) <= 90 and abs(fix.place.longitude_deg) <= 180)
    assert all(isinstance(path, str) for path in gpsd.devices)


@given(st.binary(max_size=200))
def test_no_line_is_trusted(line: bytes) -> None:
    gpsd = Gpsd(FLOOR)
    gpsd.take(line, 1.0)
    assert gpsd.fix(1.0) is None


def test_a_truth_counts_no_satellites() -> None:
    gpsd = Gpsd(FLOOR)
    for line in (SKY.replace(b'"uSat":9', b'"uSat":true'), json.dumps(TPV).encode()):
        gpsd.take(line, 1.0)
    fix = gpsd.fix(1.0)
    assert fix
    assert fix.satellites == 0
