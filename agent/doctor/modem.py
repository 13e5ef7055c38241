"""The mobile modem: whether it is there, its card, its APN, and what picture its signal carries."""

import asyncio
from pathlib import Path

from agent.config import Settings
from agent.doctor.holder import PROC, Holder, find_port_holder, not_looked_at
from agent.doctor.report import Finding
from agent.model.signal import Detail
from agent.model.tasks import TaskGroup
from agent.serial.modem.data import DataCount, Forgets
from agent.serial.modem.status import Modem, ModemStatus, SignalClass

PATIENCE_S = 9.0
"""ModemManager answers at once; a modem on its AT port takes some seconds for all that it is asked."""
_LOOK_S = 0.2

PICTURES: dict[SignalClass, str] = {
    "good": "carries the full picture",
    "fair": "carries the full picture most of the time",
    "weak": "carries the small picture",
    "poor": "carries pictures slowly, or not at all",
    "": "is not known yet",
}


async def try_modem(
    settings: Settings,
    patience_s: float = PATIENCE_S,
    proc: Path = PROC,
    bus_address: str | None = None,
) -> ModemStatus | Holder:
    """What it says, or the agent that has its port meanwhile."""
    port = settings.modem.port if settings.modem.backend == "at" else None
    if port and (holder := await asyncio.to_thread(find_port_holder, port, proc)):
        return holder
    modem = _make(settings, bus_address)
    async with TaskGroup() as group:
        running = group.create_task(modem.run(), name="modem")
        try:
            async with asyncio.timeout(patience_s):
                await _settle(modem)
        except TimeoutError:
            pass
        found = modem.status  # before it is cancelled: a port that we close is no modem that was lost
        running.cancel()
    return found


async def _settle(modem: Modem) -> None:
    while modem.status.state != "connected" or not modem.status.signal:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(_LOOK_S)


def _make(settings: Settings, bus_address: str | None) -> Modem:
    count = DataCount(Forgets(), str, bool)
    if settings.modem.backend == "at":
        from agent.serial.modem.wire import WireModem  # noqa: PLC0415

        return WireModem(settings.modem, count, lambda: None, lambda *_: None)
    from agent.serial.modem.modem_manager import ManagedModem  # noqa: PLC0415

    return ManagedModem(count, bus_address)


def judge_modem(source: str, found: ModemStatus | Holder) -> Finding:
    """Warnings only: a device may have other ways to the portal, and the broker's check tells whether."""
    if isinstance(found, Holder):
        return not_looked_at("modem", source, found)
    network = " ".join(filter(None, (found.operator, found.technology, found.band)))
    details: dict[str, Detail] = {"state": found.state, "sim": found.sim, "apn": found.apn}
    if found.rsrp_dbm is not None:
        details["rsrp_dbm"] = found.rsrp_dbm
    if found.sinr_db is not None:
        details["sinr_db"] = found.sinr_db
    if found.state != "connected":
        words, _, advice = found.reason.partition(": ")
        return Finding("modem", source, "warning", f"{found.state}: {words}", advice, details=details)
    power_dbm = found.rsrp_dbm if found.rsrp_dbm is not None else found.rssi_dbm
    signal = (
        network,
        f"APN {found.apn}" if found.apn else "",
        f"{power_dbm:.0f} dBm" if power_dbm is not None else "",
        f"{found.sinr_db:.0f} dB above noise" if found.sinr_db is not None else "",
    )
    words = f"{', '.join(filter(None, signal)) or 'connected'}: its signal {PICTURES[found.signal]}"
    if found.signal in ("weak", "poor"):
        advice = "another place or an outdoor antenna helps; so does a smaller camera.bitrate_bps"
        return Finding("modem", source, "warning", words, advice, details=details)
    return Finding("modem", source, "good", words, details=details)
