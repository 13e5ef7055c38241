"""What a modem is found to be, whoever asks it, and what its signal is worth. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from agent.model.sections import ModemSection

ModemState = Literal[
    "absent",
    "failed",
    "sim-missing",
    "sim-locked",
    "disabled",
    "searching",
    "denied",
    "registered",
    "connected",
]
"""From the worst to the best. `absent`: there is none, or nobody who could tell of it. `failed`: it is there
and does not work. `searching`: no network is in reach. `denied`: one is, and refuses it. `registered`: it
carries no data. `connected`: it does, as far as it knows."""
Registration = Literal["", "idle", "home", "searching", "denied", "roaming"]
"""3GPP TS 27.007 section 10.1.22, `<stat>` 0 to 3 and 5; empty for what nobody knows."""
SimState = Literal["", "ready", "missing", "pin", "puk", "failed"]
SignalClass = Literal["", "poor", "weak", "fair", "good"]

_CLASSES: tuple[SignalClass, ...] = ("poor", "weak", "fair", "good")
_RSRP_DBM = (-115.0, -105.0, -90.0)
"""From which on the power of LTE and 5G is weak, fair, good: below the first the cell is as good as gone."""
_SINR_DB = (-3.0, 0.0, 13.0)
"""The same of signal above noise: from 13 dB on a cell sends its fast modulations, below 0 it repeats."""
_RSSI_DBM = (-105.0, -95.0, -80.0)
"""The same of 2G and 3G, which have no RSRP."""
_BARS_DBM = (-125.0, -115.0, -105.0, -95.0, -85.0)
"""RSRP from which on there is one bar more; what people know from a telephone."""
_RSSI_BELOW_RSRP_DB = 15.0
"""What a 2G or 3G cell's RSSI is above the RSRP of an LTE cell that shows as many bars."""


@dataclass(frozen=True, slots=True)
class ModemStatus:
    """One modem at one moment. None, 0 bars and empty text stand for what nobody knows.

    It holds no IMSI, ICCID, IMEI and no telephone number: they never leave the back end.
    """

    source: Literal["", "modemmanager", "at"] = ""
    state: ModemState = "absent"
    reason: str = ""
    """Why it is not `connected`, for people; what to do where that is known."""
    model: str = ""
    operator: str = ""
    technology: str = ""
    """`GSM`, `UMTS`, `LTE`, `5G`, with what the modem's back end adds."""
    band: str = ""
    """`B20` of LTE, `n78` of 5G."""
    cell: str = ""
    """`MCC-MNC-TAC-CELL`, TAC and cell in hexadecimal."""
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    rssi_dbm: float | None = None
    """Where there is no RSRP: 2G and 3G."""
    apn: str = ""
    """What the data connection asks for."""
    registration: Registration = ""
    reject_cause: str = ""
    """Number and words of 3GPP TS 24.301 section 9.9.3.9, such as `11: PLMN not allowed`."""
    temperature_c: float | None = None
    sim: SimState = ""
    data_since: str = ""
    """First day of the month in which the next two are counted, `YYYY-MM-DD`."""
    received_bytes: int | None = None
    sent_bytes: int | None = None

    @property
    def signal(self) -> SignalClass:
        """The worse of power and noise: either alone ends a stream."""
        return signal_class(self.rsrp_dbm, self.sinr_db, self.rssi_dbm)

    @property
    def bars(self) -> int:
        """0 to 5; at most 2 where noise is stronger than the signal."""
        power_dbm = self.rsrp_dbm
        if power_dbm is None and self.rssi_dbm is not None:
            power_dbm = self.rssi_dbm - _RSSI_BELOW_RSRP_DB
        if power_dbm is None:
            return 0
        bars = _rank(power_dbm, _BARS_DBM)
        return min(bars, 2) if self.sinr_db is not None and self.sinr_db < 0 else bars


class Modem(Protocol):
    """A back end: one way to a modem."""

    @property
    def status(self) -> ModemStatus: ...

    @property
    def device(self) -> Path | None:
        """In /sys, where it hangs or hung last; None where nobody knows."""

    async def run(self) -> None:
        """Keep `status` until cancelled; a modem that vanishes is `absent`, and is found again.

        Where it ends by a fault of its own the status is `absent` or `failed`.
        """

    async def renew_bearer(self) -> None:
        """End the data connection and begin another. Raises ModemError, as the others do."""

    async def cycle_radio(self) -> None:
        """Radio off and on again: the modem looks for its network anew."""

    async def reset_modem(self) -> None:
        """Have the modem start anew; it vanishes for up to a minute."""


def signal_class(rsrp_dbm: float | None, sinr_db: float | None, rssi_dbm: float | None = None) -> SignalClass:
    """What a signal is worth; empty where nothing is known of it."""
    ranks = [_rank(rsrp_dbm, _RSRP_DBM)] if rsrp_dbm is not None else []
    if rsrp_dbm is None and rssi_dbm is not None:
        ranks.append(_rank(rssi_dbm, _RSSI_DBM))
    if sinr_db is not None:
        ranks.append(_rank(sinr_db, _SINR_DB))
    return _CLASSES[min(ranks)] if ranks else ""


def section_of(status: ModemStatus) -> ModemSection:
    """What the device's state says of it; recovery adds what it did."""
    return ModemSection(
        source=status.source,
        state=status.state,
        reason=status.reason,
        model=status.model,
        operator=status.operator,
        technology=status.technology,
        band=status.band,
        cell=status.cell,
        rsrp_dbm=status.rsrp_dbm,
        rsrq_db=status.rsrq_db,
        sinr_db=status.sinr_db,
        signal=status.signal,
        signal_bars=status.bars,
        registration=status.registration,
        reject_cause=status.reject_cause,
        roaming=status.registration == "roaming",
        temperature_c=status.temperature_c,
        sim=status.sim,
        data_since=status.data_since,
        received_bytes=status.received_bytes,
        sent_bytes=status.sent_bytes,
    )


def _rank(value: float, limits: tuple[float, ...]) -> int:
    return sum(value >= limit for limit in limits)
