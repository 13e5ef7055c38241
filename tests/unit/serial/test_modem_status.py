"""What a signal is worth, and what of a modem goes on the wire."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.sections import fields_of, is_sound
from agent.serial.modem.status import ModemStatus, section_of, signal_class

LTE = ModemStatus(
    source="modemmanager", state="connected", rsrp_dbm=-97.0, sinr_db=14.0, cell="262-01-1A2B-5"
)


@pytest.mark.parametrize(
    ("rsrp_dbm", "sinr_db", "rssi_dbm", "expected"),
    [
        (None, None, None, ""),
        (-89.0, 14.0, None, "good"),
        (-90.0, None, None, "good"),
        (-90.1, 20.0, None, "fair"),
        (-105.1, 20.0, None, "weak"),
        (-115.1, 20.0, None, "poor"),
        (-80.0, 12.9, None, "fair"),
        (-80.0, -0.1, None, "weak"),
        (-80.0, -3.1, None, "poor"),
        (None, None, -79.0, "good"),
        (None, None, -106.0, "poor"),
        (-80.0, None, -110.0, "good"),
    ],
)
def test_the_worse_of_power_and_noise_counts(rsrp_dbm, sinr_db, rssi_dbm, expected):
    assert signal_class(rsrp_dbm, sinr_db, rssi_dbm) == expected


@pytest.mark.parametrize(
    ("rsrp_dbm", "sinr_db", "rssi_dbm", "bars"),
    [
        (-84.0, None, None, 5),
        (-97.0, 14.0, None, 3),
        (-126.0, 5.0, None, 0),
        (-84.0, -1.0, None, 2),
        (None, None, -65.0, 5),
        (None, None, None, 0),
    ],
)
def test_bars_are_those_of_a_telephone(rsrp_dbm, sinr_db, rssi_dbm, bars):
    assert replace(LTE, rsrp_dbm=rsrp_dbm, sinr_db=sinr_db, rssi_dbm=rssi_dbm).bars == bars


@given(st.floats(-150, -30), st.floats(-150, -30), st.floats(-25, 40))
def test_more_power_is_never_worth_less(one, other, sinr_db):
    low, high = sorted((one, other))
    order = ("poor", "weak", "fair", "good")
    assert order.index(signal_class(low, sinr_db)) <= order.index(signal_class(high, sinr_db))
    assert replace(LTE, rsrp_dbm=low).bars <= replace(LTE, rsrp_dbm=high).bars


def test_all_that_is_known_goes_into_the_section():
    status = replace(LTE, registration="roaming", temperature_c=41.5, sent_bytes=7, reject_cause="15")
    made = fields_of(section_of(status))
    assert is_sound("modem", made)
    known = {
        key: each
        for key, each in asdict(status).items()
        if each is not None and key not in ("rssi_dbm", "apn")
    }
    assert made == known | {
        "signal": "fair", "signal_bars": 3, "roaming": True, "resets": 0, "last_step": "", "recovery": "",
        "interfaces": [], "sms_done": 0, "sms_refused": 0,
    }  # fmt: skip
