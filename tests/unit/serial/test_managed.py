"""What ModemManager says, as a status: facts of the field, and whatever else may come over a bus."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.serial.modem.bands import lte_band
from agent.serial.modem.data import Traffic
from agent.serial.modem.managed import MODEM, bearers_of, choose, device_of, interface_of, parse, traffic_of

NETWORK, SIGNAL = f"{MODEM}.Modem3gpp", f"{MODEM}.Signal"
EC21 = {
    MODEM: {
        "State": 11, "UnlockRequired": 3, "AccessTechnologies": 1 << 1, "SignalQuality": (41, True),
        "Model": "QUECTEL Mobile Broadband Module", "EquipmentIdentifier": "867962042149685",
        "OwnNumbers": ["4915140075573"], "DeviceIdentifier": "794eb538900f787165b66d8af66496a4e7cd0c8b",
    },
    NETWORK: {"RegistrationState": 1, "OperatorName": "Net", "Imei": "867962042149685"},
}  # fmt: skip
"""As a Quectel EC21 was seen: connected, its lock `sim-pin2`."""
SIM7600 = {
    MODEM: {"State": 7, "UnlockRequired": 3, "AccessTechnologies": 0},
    NETWORK: {"RegistrationState": 2},
}
"""As a SIM7600 was seen: searching."""


def changed(modem, interface=MODEM, **properties):
    return modem | {interface: modem.get(interface, {}) | properties}


def test_a_pin2_locks_nobody_out():
    status = parse(EC21)
    assert (status.state, status.sim, status.reason, status.technology) == ("connected", "ready", "", "GSM")


def test_no_number_of_a_person_or_a_thing_leaves():
    said = repr(parse(EC21))
    assert not [number for number in ("867962042149685", "4915140075573", "794eb538") if number in said]


def test_one_that_searches_says_so():
    status = parse(SIM7600)
    assert (status.state, status.registration, status.sim) == ("searching", "searching", "ready")
    assert "looks for a network" in status.reason


@pytest.mark.parametrize(
    ("properties", "state", "sim", "words"),
    [
        ({"State": -1, "StateFailedReason": 2}, "sim-missing", "missing", "no SIM card"),
        ({"State": -1, "StateFailedReason": 3}, "failed", "failed", "cannot be used"),
        ({"State": -1, "StateFailedReason": 1}, "failed", "", "journalctl"),
        ({"State": 2, "UnlockRequired": 2}, "sim-locked", "pin", "modem_pin"),
        ({"State": 2, "UnlockRequired": 4}, "sim-locked", "puk", "PUK"),
        ({"State": 2, "UnlockRequired": 8}, "sim-locked", "", "another network"),
        ({"State": 3}, "disabled", "ready", "switched off"),
        ({"State": 8}, "registered", "ready", "APN"),
        ({"State": 10}, "registered", "ready", "being made"),
        ({}, "disabled", "", "yet to find out"),
        ({"State": "11"}, "disabled", "", "yet to find out"),
    ],
)
def test_states_have_words_that_help(properties, state, sim, words):
    status = parse({MODEM: properties})
    assert (status.state, status.sim) == (state, sim)
    assert words in status.reason


def test_what_is_not_said_of_the_registration_is_not_known():
    assert parse(EC21).registration == "home"
    assert parse(changed(EC21, NETWORK, RegistrationState=None)).registration == ""
    assert parse({MODEM: EC21[MODEM]}).registration == ""


def test_a_refusal_is_told_with_its_cause():
    denied = changed(SIM7600, NETWORK, RegistrationState=3, NetworkRejection={"error": 11})
    status = parse(denied)
    assert (status.state, status.reject_cause) == ("denied", "11: PLMN not allowed")
    assert "PLMN not allowed" in status.reason
    assert parse(changed(SIM7600, NETWORK, RegistrationState=3)).state == "denied"
    assert parse(changed(SIM7600, NETWORK, NetworkRejection={"error": 27})).reject_cause.startswith("27: ")
    assert parse(changed(EC21, NETWORK, NetworkRejection={"error": 11})).reject_cause == "", "it is over"


@pytest.mark.parametrize(
    ("signal", "rsrp_dbm", "sinr_db", "rssi_dbm"),
    [
        ({"Lte": {"rsrp": -97.0, "snr": 8.44}}, -97.0, 8.4, None),
        ({"Lte": {"rsrp": -97.0}, "Nr5g": {"rsrp": -88.0, "snr": 20.0}}, -88.0, 20.0, None),
        ({"Lte": {"rsrp": -97.0, "snr": -32768.0}}, -97.0, None, None),
        ({"Lte": {"rsrp": -1.7976931348623157e308}}, None, None, None),
        ({"Gsm": {"rssi": -71.0}}, None, None, -71.0),
        ({"Umts": {"rssi": -71.0, "ecio": -3.0}, "Gsm": {}}, None, None, -71.0),
        ({"Lte": {"rsrp": float("nan")}}, None, None, None),
        ({"Lte": [1]}, None, None, None),
    ],
)
def test_the_best_signal_that_makes_sense_counts(signal, rsrp_dbm, sinr_db, rssi_dbm):
    status = parse(changed(EC21, SIGNAL, **signal))
    assert (status.rsrp_dbm, status.sinr_db, status.rssi_dbm) == (rsrp_dbm, sinr_db, rssi_dbm)


def test_the_serving_cell_tells_band_and_place():
    modem = changed(EC21, NETWORK, OperatorCode="26202")
    serving = {"cell-type": 5, "serving": True, "tac": "2B6C", "ci": "01A2D003", "earfcn": 6300}
    status = parse(modem, [{"cell-type": 5, "serving": False, "earfcn": 100, "tac": "1", "ci": "2"}, serving])
    assert (status.band, status.cell) == ("B20", "262-02-2B6C-01A2D003")
    assert parse(modem, [serving | {"earfcn": 40_000}]).band == "B41"
    assert parse(modem, []).cell == ""
    assert parse(changed(modem, CurrentBands=[50]), []).band == "B20", "it may use no other"
    assert parse(changed(modem, CurrentBands=[378]), []).band == "n78"
    assert parse(changed(modem, CurrentBands=[50, 31]), []).band == ""


@pytest.mark.parametrize(
    ("earfcn", "band"), [(0, "B1"), (599, "B1"), (600, "B2"), (6299, "B20"), (70_000, ""), (-1, "")]
)
def test_channels_are_of_bands(earfcn, band):
    assert lte_band(earfcn) == band


def test_the_modem_that_is_furthest_is_the_one():
    one = {"/m/9": {MODEM: {"State": 8}}, "/m/10": {MODEM: {"State": 8}}, "/m/0": {MODEM: {"State": -1}}}
    assert choose(one) == "/m/9"
    assert choose({"/x": {}}) is None


def test_connections_and_what_they_carried():
    assert bearers_of(changed(EC21, Bearers=["/b/0", 7])) == ["/b/0"]
    assert len(bearers_of(changed(EC21, Bearers=[f"/b/{n}" for n in range(99)]))) == 8
    total = {"total-rx-bytes": 10, "total-tx-bytes": 20, "rx-bytes": 1, "tx-bytes": 2}
    assert traffic_of("/b/0", {"Stats": total}) == Traffic("/b/0", 10, 20)
    assert traffic_of("/b/0", {"Stats": {"rx-bytes": 1, "tx-bytes": 2}}) == Traffic("/b/0", 1, 2)
    assert traffic_of("/b/0", {"Stats": {"rx-bytes": 0, "tx-bytes": 0}}) is None, "it does not count"
    assert traffic_of("/b/0", {}) is None
    assert interface_of({"Connected": True, "Interface": "wwan0"}) == "wwan0"
    assert interface_of({"Connected": False, "Interface": "wwan0"}) == ""
    young = {"Connected": True, "Interface": "wwan0", "Stats": {"duration": 0, "rx-bytes": 0, "tx-bytes": 0}}
    assert interface_of(young) == "", "the modem may count by itself"
    assert interface_of(young | {"Stats": {"duration": 30, "rx-bytes": 0, "tx-bytes": 0}}) == "wwan0"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "State", "StateFailedReason", "UnlockRequired", "Model", "AccessTechnologies", "CurrentBands", "Bearers",
    "RegistrationState", "OperatorName", "OperatorCode", "NetworkRejection", "Lte", "Nr5g", "Gsm",
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from([MODEM, NETWORK, SIGNAL]), st.dictionaries(st.sampled_from(KEYS), ANYTHING)
    ),
    ANYTHING | st.lists(st.dictionaries(st.sampled_from(["cell-type", "serving", "earfcn", "ci"]), ANYTHING)),
)
def test_nothing_on_the_bus_brings_it_down(modem, cells):
    status = parse(modem, cells)
    assert 0 <= status.bars <= 5
    assert len(repr(status)) < 2000
    bearers_of(modem)
    choose({"/m": modem})


def test_where_it_hangs_is_a_place_in_sys_and_no_name_of_a_rule():
    place = "/sys/devices/platform/usb1/1-1"
    assert device_of({MODEM: {"Device": place}}) == Path(place)
    for said in ({"Device": "uplink"}, {"Device": 1}, {}):
        assert device_of({MODEM: said}) is None
