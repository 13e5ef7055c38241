"""What ModemManager says of a modem, as a status. Pure; names and numbers are those of its interfaces.

A value of the wrong type is as one that is missing: it comes from another program, over years of releases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.model.text import clip, one_line
from agent.serial.modem.bands import lte_band
from agent.serial.modem.data import Traffic
from agent.serial.modem.status import ModemState, ModemStatus, Registration, SimState

PREFIX = "org.freedesktop.ModemManager1"
MODEM = f"{PREFIX}.Modem"
_3GPP, _SIGNAL = f"{MODEM}.Modem3gpp", f"{MODEM}.Signal"
LOCATION = f"{MODEM}.Location"

Properties = Mapping[str, Any]
Objects = Mapping[str, Mapping[str, Properties]]
"""By path and interface: what `GetManagedObjects` says."""

# MMModemState
_FAILED, _LOCKED, _CONNECTED = -1, 2, 11
_STATES: dict[int, ModemState] = {
    3: "disabled", 4: "disabled", 5: "disabled", 6: "searching", 7: "searching", 8: "registered",
    9: "registered", 10: "registered", _CONNECTED: "connected",
}  # fmt: skip
_STATE_WORDS = {
    0: "ModemManager has yet to find out what it is",
    1: "ModemManager is setting it up",
    3: "it is switched off: `nmcli radio wwan on`, and look at the connection pinhole-modem",
    4: "it is being switched off",
    5: "it is being switched on",
    6: "it looks for a network",
    7: "it looks for a network",
    8: "the network has it, and no data connection is up: look at the APN",
    9: "its data connection ends",
    10: "its data connection is being made",
}
_ENABLED = 6
# MMModemLocationSource
_GPS_READ, _GPS_UNMANAGED = 1 << 1 | 1 << 2, 1 << 4
"""ModemManager reads the NMEA port; or leaves it to somebody else, and only has the receiver on."""
# MMModemStateFailedReason
_SIM_MISSING, _SIM_ERROR, _NO_PROFILE = 2, 3, 5
_FAILED_WORDS = {
    _SIM_MISSING: "there is no SIM card in it",
    _SIM_ERROR: "its SIM card cannot be used",
    _NO_PROFILE: "its eSIM has no profile",
}
# MMModemLock: these are the SIM's. PIN2 and PUK2 (3 and 5) keep nobody from a network.
_PIN, _PUK = 2, 4
# MMModem3gppRegistrationState
_REGISTRATIONS: dict[int, Registration] = {
    0: "idle", 1: "home", 2: "searching", 3: "denied", 5: "roaming", 6: "home", 7: "roaming", 9: "home",
    10: "roaming",
}  # fmt: skip
# MMModemAccessTechnology, the best first
_TECHNOLOGIES = (
    (1 << 15, "5G"), (1 << 17, "NB-IoT"), (1 << 16, "LTE-M"), (1 << 14, "LTE"), (1 << 9, "HSPA+"),
    (1 << 8, "HSPA"), (1 << 6, "HSDPA"), (1 << 7, "HSUPA"), (1 << 5, "UMTS"), (1 << 4, "EDGE"),
    (1 << 3, "GPRS"), (1 << 1, "GSM"),
)  # fmt: skip
# MMModemBand
_EUTRAN, _NGRAN = range(31, 116), range(301, 562)
# MMCellType
_LTE_CELL, _5G_CELL = 5, 6
_REJECTIONS = {
    2: "IMSI unknown", 3: "illegal subscriber", 5: "IMEI not accepted", 6: "illegal equipment",
    7: "data services not allowed", 8: "no services allowed", 11: "PLMN not allowed",
    12: "tracking area not allowed", 13: "roaming not allowed in this tracking area",
    14: "data services not allowed in this PLMN", 15: "no suitable cells in tracking area",
    17: "network failure", 19: "session refused", 22: "congestion", 27: "unknown or missing APN",
    29: "user name or password of the APN refused", 33: "service not subscribed",
}  # fmt: skip
"""MMNetworkError has the numbers of 3GPP TS 24.008 section 10.5.3.6 and TS 24.301 section 9.9.3.9."""

MAX_BEARERS = 8
UNCOUNTED_S = 20
"""ModemManager looks each 30 s for how long a connection is, and for its bytes, if the modem counts them."""


def choose(objects: Objects) -> str | None:
    """The path of the modem that is furthest, of these the first; None where there is none."""
    states = {path: _int(each[MODEM].get("State")) for path, each in objects.items() if MODEM in each}
    best = min(states.items(), key=lambda item: (-(item[1] or 0), len(item[0]), item[0]), default=None)
    return best[0] if best else None


def bearers_of(modem: Mapping[str, Properties]) -> list[str]:
    """Paths of its data connections."""
    listed = modem.get(MODEM, {}).get("Bearers")
    paths = [each for each in listed if isinstance(each, str)] if isinstance(listed, Sequence) else []
    return paths[:MAX_BEARERS]


def traffic_of(path: str, bearer: Properties) -> Traffic | None:
    """None where the modem does not count, or has carried nothing."""
    stats = bearer.get("Stats")
    if not isinstance(stats, Mapping):
        return None
    received_bytes, sent_bytes = (
        # The one without `total` is of the last attempt alone.
        _int(stats.get(f"total-{way}-bytes")) or _int(stats.get(f"{way}-bytes")) or 0
        for way in ("rx", "tx")
    )
    if received_bytes + sent_bytes <= 0 or min(received_bytes, sent_bytes) < 0:
        return None
    return Traffic(path, received_bytes, sent_bytes)


def interface_of(bearer: Properties) -> str:
    """The network interface that carries it; empty as long as the modem may yet count by itself."""
    stats = bearer.get("Stats")
    if isinstance(stats, Mapping) and stats and (_int(stats.get("duration")) or 0) < UNCOUNTED_S:
        return ""
    return _text(bearer.get("Interface")) if bearer.get("Connected") is True else ""


def device_of(modem: Mapping[str, Properties]) -> Path | None:
    """Where the kernel has it, in /sys, unless a udev rule gave it a name instead."""
    place = _text(modem.get(MODEM, {}).get("Device"))
    return Path(place) if place.startswith("/sys/") else None


def receiver_setup(modem: Mapping[str, Properties]) -> tuple[int, bool] | None:
    """For `Location.Setup`, which ends what it is not told, to have the satellite receiver on for others.

    None where it is on, where there is none or ModemManager reads it itself, and before the modem is enabled.
    """
    said, state = modem.get(LOCATION, {}), _int(modem.get(MODEM, {}).get("State")) or 0
    able, enabled = _int(said.get("Capabilities")) or 0, _int(said.get("Enabled")) or 0
    if state < _ENABLED or not able & _GPS_UNMANAGED or enabled & (_GPS_UNMANAGED | _GPS_READ):
        return None
    return enabled | _GPS_UNMANAGED, said.get("SignalsLocation") is True


def apn_of(bearer: Properties) -> str:
    """What it asks the network for."""
    asked = bearer.get("Properties")
    return _text(asked.get("apn")) if isinstance(asked, Mapping) else ""


def parse(modem: Mapping[str, Properties], cells: object = None) -> ModemStatus:
    """A modem's interfaces, and what `GetCellInfo` says of the cells around it."""
    own, network = modem.get(MODEM, {}), modem.get(_3GPP, {})
    state, sim, reason = _state(own)
    registered = _int(network.get("RegistrationState"))
    registration = "" if registered is None else _REGISTRATIONS.get(registered, "")
    rejected = _rejection(network.get("NetworkRejection"))
    if registration == "denied" and state in ("searching", "registered"):
        state, reason = "denied", f"the network refuses it ({rejected or 'it does not say why'})"
    elif rejected and state != "connected":
        reason = f"{reason}; the network refused it: {rejected}"
    bits = _int(own.get("AccessTechnologies")) or 0
    serving = _serving(cells)
    status = ModemStatus(
        source="modemmanager",
        state=state,
        reason=reason,
        model=_text(own.get("Model")),
        operator=_text(network.get("OperatorName")) or _text(network.get("OperatorCode")),
        technology=next((name for bit, name in _TECHNOLOGIES if bits & bit), ""),
        band=lte_band(_int(serving.get("earfcn")) or -1) or _only_band(own.get("CurrentBands")),
        cell=_cell(serving, _text(network.get("OperatorCode"))),
        registration=registration,
        reject_cause="" if state == "connected" else rejected,
        sim=sim,
    )
    return _with_signal(status, modem.get(_SIGNAL, {}))


def _state(own: Properties) -> tuple[ModemState, SimState, str]:
    number = _int(own.get("State"))
    if number == _FAILED:
        why = _int(own.get("StateFailedReason")) or 0
        words = _FAILED_WORDS.get(why, "ModemManager cannot work with it: `journalctl -u ModemManager`")
        if why == _SIM_MISSING:
            return "sim-missing", "missing", words
        is_sim = why in (_SIM_ERROR, _NO_PROFILE)
        return "failed", "failed" if is_sim else "", words
    if number == _LOCKED:
        if _int(own.get("UnlockRequired")) == _PIN:
            return "sim-locked", "pin", "its SIM card wants a PIN: `modem_pin` of the role modem"
        if _int(own.get("UnlockRequired")) == _PUK:
            return "sim-locked", "puk", "its SIM card is locked: it wants its PUK"
        return "sim-locked", "", "it is locked to another network or card"
    state = _STATES.get(number if number is not None else 0, "disabled")
    words = "" if state == "connected" else _STATE_WORDS.get(number or 0, "")
    return state, "ready" if number is not None and number >= min(_STATES) else "", words


def _with_signal(status: ModemStatus, signal: Properties) -> ModemStatus:
    """Of 5G, else LTE, else what 3G and 2G have."""
    for technology in ("Nr5g", "Lte"):
        said = signal.get(technology)
        if isinstance(said, Mapping) and (rsrp_dbm := _within(said.get("rsrp"), -156, -30)) is not None:
            rsrq_db, sinr_db = _within(said.get("rsrq"), -43, 20), _within(said.get("snr"), -30, 50)
            return replace(status, rsrp_dbm=rsrp_dbm, rsrq_db=rsrq_db, sinr_db=sinr_db)
    for technology, key in (("Umts", "rssi"), ("Umts", "rscp"), ("Gsm", "rssi")):
        said = signal.get(technology)
        if isinstance(said, Mapping) and (rssi_dbm := _within(said.get(key), -130, -30)) is not None:
            return replace(status, rssi_dbm=rssi_dbm)
    return status


def _serving(cells: object) -> Properties:
    listed = cells if isinstance(cells, Sequence) else []
    for cell in listed:
        is_known = isinstance(cell, Mapping) and _int(cell.get("cell-type")) in (_LTE_CELL, _5G_CELL)
        if is_known and cell.get("serving") is True:
            return dict(cell)
    return {}


def _cell(serving: Properties, operator: str) -> str:
    operator = _text(serving.get("operator-id")) or operator
    area, cell = _text(serving.get("tac")), _text(serving.get("ci"))
    if not (operator.isdigit() and len(operator) in (5, 6) and area and cell):
        return ""
    return f"{operator[:3]}-{operator[3:]}-{area}-{cell}"[:40]


def _only_band(bands: object) -> str:
    """Where it may use one alone, that is the one."""
    listed = [_int(each) for each in bands] if isinstance(bands, Sequence) else []
    if len(listed) != 1 or listed[0] is None:
        return ""
    if listed[0] in _EUTRAN:
        return f"B{listed[0] - _EUTRAN[0] + 1}"
    return f"n{listed[0] - _NGRAN[0] + 1}" if listed[0] in _NGRAN else ""


def _rejection(said: object) -> str:
    number = _int(said.get("error")) if isinstance(said, Mapping) else None
    if not number:
        return ""
    return f"{number}: {_REJECTIONS[number]}" if number in _REJECTIONS else str(number)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    return one_line(clip(value))[:64].strip() if isinstance(value, str) else ""


def _within(value: object, low: float, high: float) -> float | None:
    """ModemManager says what it does not know with the least number that there is."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return round(float(value), 1) if low <= value <= high else None
