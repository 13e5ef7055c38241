"""What each maker's modems say beyond the standard: cell, band, noise, temperature. Pure.

By the makers' manuals of AT commands, and by what modems said that are in `tests/data/modem`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from agent.serial.modem import commands
from agent.serial.modem.answers import number, read_fields
from agent.serial.modem.at import Answer
from agent.serial.modem.commands import Command
from agent.serial.modem.data import MODEMS, Traffic
from agent.serial.modem.reading import Reading, merge

_HEX = re.compile(r"(0x)?[0-9A-Fa-f]{1,10}")
_BAND = re.compile(r"(NR5G|NR)?.*?BAND[ _]?(\d{1,3})$", re.IGNORECASE)
_GAP = re.compile(r" {2,}")
RSRP, RSRQ, SINR = (-156.0, -31.0), (-43.0, 20.0), (-23.5, 40.5)
"""What each may be, in dBm and dB (TS 36.133 and 38.133); what is not is a modem's way of not knowing."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """What to ask besides the standard, and how to read it."""

    polls: tuple[Command, ...] = ()
    readers: tuple[tuple[Command, Callable[[Answer], Reading]], ...] = ()
    heat: tuple[Command, ...] = ()
    """Those of `polls` that tell the temperature."""
    counts: tuple[Command, ...] = ()
    """Of its kinds that count what they carried: `counted` reads the answers."""
    receivers: tuple[tuple[Command, Command], ...] = ()
    """Of its kinds with a satellite receiver: asks whether that is on, and switches it on."""

    def read(self, answer: Answer) -> Reading:
        """What is said in an answer to one of `polls`."""
        reader = {command.text: reader for command, reader in self.readers}.get(answer.command.text)
        return reader(answer) if reader and answer.is_ok else Reading()


def counted(answer: Answer) -> Traffic | None:
    """`+QGDCNT: <sent>,<received>`, in bytes; None where the modem has no such counter."""
    said = read_fields(answer.lines[0]) if answer.is_ok and answer.lines else []
    if len(said) != 2 or not all(re.fullmatch(r"\d{1,18}", each) for each in said):
        return None
    return Traffic(f"{MODEMS}{answer.command.text}", int(said[1]), int(said[0]))


def _power(text: str) -> float | None:
    return number(text, *RSRP)


def _noise(text: str) -> float | None:
    """Of Quectel: dB, but fifths of one above -20 where firmware follows the older manuals."""
    value = number(text, -20, 250)
    return value if value is None or value <= 30 else value / 5 - 20


def _cell(network: str, area: str, cell: str) -> str:
    """`MCC-MNC-TAC-CELL`; empty where it is none."""
    if not (re.fullmatch(r"\d{3}-\d{1,3}", network) and _HEX.fullmatch(area) and _HEX.fullmatch(cell)):
        return ""
    return f"{network}-{int(area, 16):X}-{int(cell, 16):X}"


def _band(text: str, prefix: str = "B") -> str:
    """Of a number, or of words such as `EUTRAN-BAND20`."""
    if text.isdecimal() and len(text) <= 3:
        return f"{prefix}{int(text)}" if int(text) else ""
    found = _BAND.fullmatch(text)
    return f"{'n' if found[1] else 'B'}{int(found[2])}" if found else ""


def _quectel_cell(answer: Answer) -> Reading:
    """`+QENG: "servingcell",<state>[,<cell>]`, and the cells on lines of their own where there are two."""
    return merge(*(_quectel_line(read_fields(line)) for line in answer.lines))


def _quectel_line(said: list[str]) -> Reading:
    if said[:1] == ["servingcell"]:
        said = said[2:]
    kind, said = next(iter(said), ""), [*said, *[""] * 20]
    if kind == "LTE":
        return Reading(
            technology="LTE", band=_band(said[7]), cell=_cell(f"{said[2]}-{said[3]}", said[10], said[4]),
            rsrp_dbm=_power(said[11]), rsrq_db=number(said[12], *RSRQ), sinr_db=_noise(said[14]),
        )  # fmt: skip
    if kind == "NR5G-NSA":  # beside an LTE cell, whose name stays
        return Reading(
            technology="5G NSA", band=_band(said[8], "n") or None,
            rsrp_dbm=_power(said[4]), sinr_db=_noise(said[5]), rsrq_db=number(said[6], *RSRQ),
        )  # fmt: skip
    if kind == "NR5G-SA":
        return _quectel_sa(said)
    if kind == "WCDMA":
        return Reading(technology="UMTS", cell=_cell(f"{said[1]}-{said[2]}", said[3], said[4]))
    if kind == "GSM":
        return Reading(technology="GSM", cell=_cell(f"{said[1]}-{said[2]}", said[3], said[4]))
    return Reading()


def _quectel_sa(said: list[str]) -> Reading:
    """With the area after the cell, or, in some firmware, without: RSRP is then one place earlier."""
    has_area = _power(said[9]) is None
    at = 10 if has_area else 9
    return Reading(
        technology="5G", band=_band(said[at - 2], "n"),
        cell=_cell(f"{said[2]}-{said[3]}", said[6], said[4]) if has_area else "",
        rsrp_dbm=_power(said[at]), rsrq_db=number(said[at + 1], *RSRQ), sinr_db=_noise(said[at + 2]),
    )  # fmt: skip


def _quectel_band(answer: Answer) -> Reading:
    """`+QNWINFO: "FDD LTE","22802","LTE BAND 20",6200`; the last of several is 5G's."""
    bands = [_band(said[2]) for line in answer.lines if len(said := read_fields(line)) > 2]
    return Reading(band=next((band for band in reversed(bands) if band), None))


def _quectel_heat(answer: Answer) -> Reading:
    """`+QTEMP: 36,34,33`, or `+QTEMP:"soc-thermal","38"` a line; the hottest counts."""
    found = [number(each, -60, 150) for line in answer.lines for each in read_fields(line)]
    degrees = [each for each in found if each]  # absent sensors say 0, -273 or 255
    return Reading(temperature_c=max(degrees, default=None))


def _simcom_cell(answer: Answer) -> Reading:
    """`+CPSI: <system>,<mode>,<MCC-MNC>,…`; a second line is 5G's beside LTE."""
    return merge(*(_simcom_line(read_fields(line)) for line in answer.lines))


def _simcom_line(said: list[str]) -> Reading:
    kind, said = next(iter(said), ""), [*said, *[""] * 14]
    if kind == "LTE":
        return _simcom_lte(said)
    if kind == "NR5G_SA":
        return Reading(
            technology="5G", band=_band(said[6]), cell=_cell(said[2], said[3], _decimal(said[4])),
            rsrp_dbm=_tenths(said[8], RSRP), rsrq_db=_tenths(said[9], RSRQ), sinr_db=_tenths(said[10], SINR),
        )  # fmt: skip
    if kind == "NR5G_NSA":
        return Reading(
            technology="5G NSA", band=_band(said[2]) or None,
            rsrp_dbm=_tenths(said[4], RSRP), rsrq_db=_tenths(said[5], RSRQ), sinr_db=_tenths(said[6], SINR),
        )  # fmt: skip
    if kind in ("WCDMA", "GSM"):
        technology = "UMTS" if kind == "WCDMA" else "GSM"
        return Reading(technology=technology, cell=_cell(said[2], said[3], _decimal(said[4])))
    return Reading()


def _simcom_lte(said: list[str]) -> Reading:
    """SIM7600: RSRQ, RSRP and RSSI are tenths, RSSNR is in dB. A76xx: they count up, as `+CESQ` does."""
    reading = Reading(technology="LTE", band=_band(said[6]), cell=_cell(said[2], said[3], _decimal(said[4])))
    counted = number(said[11], 0, 97)
    if counted is not None:
        rsrq = number(said[10], 0, 34)
        return replace(reading, rsrp_dbm=counted - 141, rsrq_db=None if rsrq is None else rsrq / 2 - 20)
    return replace(
        reading,
        rsrp_dbm=_tenths(said[11], RSRP),
        rsrq_db=_tenths(said[10], RSRQ),
        sinr_db=number(said[13], *SINR),
    )


def _tenths(text: str, bounds: tuple[float, float]) -> float | None:
    value = number(text, -10_000, 10_000)
    return None if value is None or not bounds[0] <= value / 10 <= bounds[1] else value / 10


def _decimal(text: str) -> str:
    """A cell's number as hexadecimal; SIMCom writes it in decimal, some firmware with 32 bits and a sign."""
    if not re.fullmatch(r"-?\d{1,11}", text):
        return ""
    return f"{int(text) if int(text) >= 0 else int(text) % 2**32:X}"


def _one_heat(answer: Answer) -> Reading:
    """`+CPMUTEMP: 29`, `#TEMPMEAS: 0,30`: degrees stand last."""
    said = read_fields(answer.lines[0]) if answer.lines else []
    return Reading(temperature_c=number(said[-1], -60, 150) if said else None)


def _telit_cell(answer: Answer) -> Reading:
    """`#RFSTS: "286 01",<earfcn>,<rsrp>,<rssi>,<rsrq>,<tac>,…,<cid>,<imsi>,<name>,<sd>,<band>,…`.

    How many fields stand between depends on the state, so they are found by the subscriber's number, which is
    not read. 2G and 3G have other fields, and no RSRP in this place.
    """
    said = [*(read_fields(answer.lines[0]) if answer.lines else []), *[""] * 16]
    power = _power(said[2])
    at = next((at for at in range(8, 14) if re.fullmatch(r"\d{14,15}", said[at])), None)
    if power is None or at is None:
        return Reading()
    return Reading(
        technology="LTE", band=_band(said[at + 3]),
        cell=_cell(said[0].replace(" ", "-"), said[5], said[at - 1]),
        rsrp_dbm=power, rsrq_db=number(said[4], *RSRQ),
    )  # fmt: skip


def _sierra_state(answer: Answer) -> Reading:
    """`!GSTATUS:`, then two labels with their values a line."""
    pairs = [pair for line in answer.lines for pair in _labels(line)]
    said = dict(reversed(pairs))  # the first of a name is the main cell's
    is_5g = said.get("System mode", "").startswith("NR5G")
    prefix = "NR5G " if is_5g else ""
    band = said.get("NR5G band" if is_5g else "LTE band", "")
    return Reading(
        technology={"LTE": "LTE", "NR5G": "5G", "WCDMA": "UMTS"}.get(said.get("System mode", "")),
        band=band if re.fullmatch(r"[Bn]\d{1,3}", band) else "",
        temperature_c=number(said.get("Temperature", ""), -60, 150),
        rsrp_dbm=_power(said.get(f"{prefix}RSRP (dBm)", "")),
        rsrq_db=number(said.get(f"{prefix}RSRQ (dB)", ""), *RSRQ),
        sinr_db=number(said.get(f"{prefix}SINR (dB)", ""), *SINR),
    )


def _labels(line: str) -> Iterator[tuple[str, str]]:
    """`LTE band:      B2      LTE bw:      20 MHz`."""
    label = ""
    for part in _GAP.split(line):
        name, colon, value = part.partition(":")
        label = name.strip() if colon else label
        if text := (value if colon else part).strip():
            yield label, text


STANDARD = Vendor()
_VENDORS = {
    "quectel": Vendor(
        (commands.BAND_QUECTEL, commands.CELL_QUECTEL, commands.HEAT_QUECTEL),
        (
            (commands.BAND_QUECTEL, _quectel_band),
            (commands.CELL_QUECTEL, _quectel_cell),
            (commands.HEAT_QUECTEL, _quectel_heat),
        ),
        heat=(commands.HEAT_QUECTEL,),
        counts=(commands.COUNT_QUECTEL, commands.COUNT_5G_QUECTEL),
        receivers=commands.RECEIVERS_QUECTEL,
    ),
    "simcom": Vendor(
        (commands.CELL_SIMCOM, commands.HEAT_SIMCOM),
        ((commands.CELL_SIMCOM, _simcom_cell), (commands.HEAT_SIMCOM, _one_heat)),
        heat=(commands.HEAT_SIMCOM,),
        receivers=commands.RECEIVERS_SIMCOM,
    ),
    "telit": Vendor(
        (commands.CELL_TELIT, commands.HEAT_TELIT),
        ((commands.CELL_TELIT, _telit_cell), (commands.HEAT_TELIT, _one_heat)),
        heat=(commands.HEAT_TELIT,),
    ),
    "sierra": Vendor(
        (commands.CELL_SIERRA,), ((commands.CELL_SIERRA, _sierra_state),), heat=(commands.CELL_SIERRA,)
    ),
}


def vendor_of(maker: str, model: str = "") -> Vendor:
    """By what it says to `AT+CGMI`; SIMCom's A76xx say `INCORPORATED` alone in some firmware."""
    words = f"{maker} {model}".lower()
    if re.search(r"\b(sim|a)7[0-9]", words):
        return _VENDORS["simcom"]
    return next((vendor for name, vendor in _VENDORS.items() if name in words), STANDARD)
