"""What a modem's answers say, put together into what is told of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from agent.serial.modem.status import ModemState, ModemStatus, Registration, SimState

RADIO_IS_ON = 1
"""`<fun>` of `+CFUN` (TS 27.007 section 8.2): all of the modem works."""

CAUSES = {
    2: "IMSI unknown in HSS",
    3: "illegal UE",
    5: "IMEI not accepted",
    6: "illegal ME",
    7: "EPS services not allowed",
    8: "EPS services and non-EPS services not allowed",
    9: "UE identity cannot be derived by the network",
    10: "implicitly detached",
    11: "PLMN not allowed",
    12: "tracking area not allowed",
    13: "roaming not allowed in this tracking area",
    14: "EPS services not allowed in this PLMN",
    15: "no suitable cells in tracking area",
    16: "MSC temporarily not reachable",
    17: "network failure",
    18: "CS domain not available",
    19: "ESM failure",
    20: "MAC failure",
    21: "synch failure",
    22: "congestion",
    25: "not authorized for this CSG",
    35: "requested service option not authorized in this PLMN",
    42: "severe network failure",
}
"""3GPP TS 24.301 section 9.9.3.9."""
_RANKS = {"idle": 1, "searching": 2, "denied": 3, "roaming": 4, "home": 5}


@dataclass(frozen=True, slots=True)
class Reading:
    """None for what was not said; empty for what the modem has not."""

    maker: str | None = None
    model: str | None = None
    function: int | None = None
    sim: SimState | None = None
    registration: Registration | None = None
    reject_cause: str | None = None
    operator: str | None = None
    technology: str | None = None
    band: str | None = None
    cell: str | None = None
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    rssi_dbm: float | None = None
    temperature_c: float | None = None
    apn: str | None = None
    has_address: bool | None = None
    """A data connection has one."""


def merge(*readings: Reading) -> Reading:
    """The last that was said of each."""
    merged = Reading()
    for reading in readings:
        said = {field.name: getattr(reading, field.name) for field in fields(Reading)}
        merged = replace(merged, **{name: value for name, value in said.items() if value is not None})
    return merged


def best_registration(readings: Sequence[Reading]) -> Reading:
    """Of those of LTE, 5G and what was before: one that carries data counts, else the one that says most."""
    return max(readings, key=lambda each: _RANKS.get(each.registration or "", 0), default=Reading())


def cause_of(number: int) -> str:
    """Number and words of a network's reason; empty for 0, which is none."""
    return f"{number}: {CAUSES.get(number, 'see 3GPP TS 24.301')}" if number else ""


def status_of(reading: Reading) -> ModemStatus:
    """What is told of a modem that answers."""
    state, reason = _state(reading)
    is_there = reading.registration in ("home", "roaming")
    return ModemStatus(
        source="at",
        state=state,
        reason=reason,
        model=reading.model or "",
        operator=(reading.operator or "") if is_there else "",
        technology=reading.technology or "",
        band=reading.band or "",
        cell=reading.cell or "",
        rsrp_dbm=reading.rsrp_dbm,
        rsrq_db=reading.rsrq_db,
        sinr_db=reading.sinr_db,
        rssi_dbm=reading.rssi_dbm,
        registration=reading.registration or "",
        reject_cause=reading.reject_cause or "",
        temperature_c=reading.temperature_c,
        sim=reading.sim or "",
        apn=reading.apn or "",
    )


def _state(reading: Reading) -> tuple[ModemState, str]:
    """The first of what keeps it from carrying data."""
    cause = reading.reject_cause or "it gives no reason"
    apn = f" with the APN {reading.apn}" if reading.apn else ""
    obstacles: tuple[tuple[bool, ModemState, str], ...] = (
        (reading.sim == "missing", "sim-missing", "no SIM card: is it seated, and the right way round?"),
        (
            reading.sim == "pin",
            "sim-locked",
            "the SIM card waits for its PIN: turn the PIN off in a telephone",
        ),
        (reading.sim == "puk", "sim-locked", "the SIM card waits for its PUK: its provider has it"),
        (reading.sim == "failed", "failed", "the SIM card does not work: try another one"),
        (reading.function not in (None, RADIO_IS_ON), "disabled", "the modem's radio is off"),
        (
            reading.registration == "denied",
            "denied",
            f"the network refuses it ({cause}): ask the card's provider",
        ),
        (
            reading.registration not in ("home", "roaming"),
            "searching",
            "no network that takes it is in reach: look at antenna and place",
        ),
        (not reading.has_address, "registered", f"there is no data connection{apn}: is the APN right?"),
    )
    return next(((state, reason) for holds, state, reason in obstacles if holds), ("connected", ""))
