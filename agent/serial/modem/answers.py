"""What modems of every maker answer (3GPP TS 27.007), each as a reading. Pure.

An answer is as hostile as any input: what does not fit is left out, and nothing raises.
"""

import re
from collections.abc import Callable

from agent.serial.modem import commands
from agent.serial.modem.at import Answer
from agent.serial.modem.reading import Reading, cause_of
from agent.serial.modem.status import Registration, SimState

MAX_WORDS = 64
_FIELD = re.compile(r'(?:^|,)((?:"[^"]*"?|[^,"])*)')
_REGISTRATIONS: dict[str, Registration] = {
    "0": "idle", "1": "home", "2": "searching", "3": "denied", "5": "roaming",
}  # fmt: skip
"""`<stat>`; 6 to 10 are for SMS and calls alone, and carry no data."""
_TECHNOLOGIES = {
    0: "GSM", 1: "GSM", 3: "GSM", 2: "UMTS", 4: "UMTS", 5: "UMTS", 6: "UMTS", 7: "LTE", 8: "GSM", 9: "LTE",
    10: "LTE", 11: "5G", 12: "5G", 13: "5G NSA",
}  # fmt: skip
"""`<AcT>` (section 7.3)."""
_SIMS: tuple[tuple[str, SimState], ...] = (
    ("READY", "ready"), ("NOT INSERTED", "missing"), ("SIM NOT INSERTED", "missing"), ("10", "missing"),
    ("SIM PIN", "pin"), ("11", "pin"), ("SIM PUK", "puk"), ("12", "puk"),
    ("SIM PIN2", "ready"), ("SIM PUK2", "ready"),
    ("PH-NET PIN", "failed"), ("PH-SIM PIN", "failed"), ("13", "failed"), ("SIM FAILURE", "failed"),
    ("15", "failed"), ("SIM WRONG", "failed"),
)  # fmt: skip
"""`<code>` of +CPIN (section 8.3), and the errors of section 9.2.1 that stand in its place."""


def read_fields(line: str) -> list[str]:
    """What stands behind the colon, between commas that are in no quotes; without quotes and spaces."""
    _, _, rest = line.partition(":")
    return [each.strip().strip('"').strip() for each in _FIELD.findall(rest)]


def number(text: str, low: float, high: float) -> float | None:
    """A decimal number within bounds; None for anything else, as modems write for what they do not know."""
    if not re.fullmatch(r"[+-]?\d{1,9}(\.\d{1,6})?", text):
        return None
    value = float(text)
    return value if low <= value <= high else None


def _first(answer: Answer) -> list[str]:
    return read_fields(answer.lines[0]) if answer.lines else []


def _sim(answer: Answer) -> Reading:
    said = answer.error or next(iter(_first(answer)), "")
    return Reading(sim=dict(_SIMS).get(said.upper()))


def _function(answer: Answer) -> Reading:
    value = number(next(iter(_first(answer)), ""), 0, 255)
    return Reading(function=None if value is None else int(value))


def _words(line: str) -> str:
    """Of `+CGMM: "EC25"` and `EC25`."""
    return line.partition(":")[2].strip().strip('"')[:MAX_WORDS] if line.startswith("+") else line[:MAX_WORDS]


def _maker(answer: Answer) -> Reading:
    return Reading(maker=_words(answer.lines[0])) if answer.lines else Reading()


def _model(answer: Answer) -> Reading:
    return Reading(model=_words(answer.lines[0])) if answer.lines else Reading()


def _registration(answer: Answer) -> Reading:
    """`<n>,<stat>[,<tac>,<ci>,<AcT>[,<cause_type>,<reject_cause>]]`."""
    said = [*_first(answer), *[""] * 7]
    stat = _REGISTRATIONS.get(said[1])
    if stat is None:
        return Reading()
    cause = number(said[6], 0, 255) if said[5] == "0" else None  # of type 1 are the maker's own
    return Reading(registration=stat, reject_cause=cause_of(int(cause or 0)) if stat == "denied" else "")


def _strength(answer: Answer) -> Reading:
    rssi = number(next(iter(_first(answer)), ""), 0, 31)  # 99 is unknown
    return Reading(rssi_dbm=None if rssi is None else -113 + 2 * rssi)


def _quality(answer: Answer) -> Reading:
    """`<rxlev>,<ber>,<rscp>,<ecno>,<rsrq>,<rsrp>[,<ss_rsrq>,<ss_rsrp>,<ss_sinr>]`; 255 is unknown."""
    said = [*_first(answer), *[""] * 9]
    rsrq, rsrp = number(said[4], 0, 34), number(said[5], 0, 97)
    reading = Reading(
        rsrp_dbm=None if rsrp is None else rsrp - 141, rsrq_db=None if rsrq is None else rsrq / 2 - 20
    )
    rsrq, rsrp, sinr = number(said[6], 0, 126), number(said[7], 0, 126), number(said[8], 0, 127)
    if rsrp is None:
        return reading
    return Reading(
        rsrp_dbm=rsrp - 157,
        rsrq_db=None if rsrq is None else rsrq / 2 - 43.5,
        sinr_db=None if sinr is None else sinr / 2 - 23.5,
    )


def _operator(answer: Answer) -> Reading:
    said = [*_first(answer), *[""] * 4]
    access = number(said[3], 0, 13)
    technology = None if access is None else _TECHNOLOGIES.get(int(access))
    return Reading(operator=said[2][:MAX_WORDS], technology=technology)


def _addresses(answer: Answer) -> Reading:
    """`<cid>,<address>[,<address>]`: dotted, IPv6 in sixteen numbers or with colons."""
    found = [each for line in answer.lines for each in read_fields(line)[1:]]
    return Reading(has_address=any(re.search(r"[1-9a-fA-F]", each) is not None for each in found))


def _access_point(answer: Answer) -> Reading:
    """`<cid>,<type>,<APN>,…`: the first that is for data; calls have theirs beside it."""
    found = [[*read_fields(line), "", ""][2] for line in answer.lines]
    return Reading(
        apn=next((each[:MAX_WORDS] for each in found if each.lower() not in ("", "ims", "sos")), "")
    )


def data_context(answer: Answer) -> tuple[int, str]:
    """Of `AT+CGDCONT?`, the context for data, and what it carries; the first one where none is told."""
    for line in answer.lines:
        context, kind, apn = [*read_fields(line), "", "", ""][:3]
        if re.fullmatch(r"[1-9]|1[0-6]", context) and apn.lower() not in ("ims", "sos"):
            return int(context), kind.upper() if kind.upper() in ("IPV6", "IPV4V6") else "IP"
    return 1, "IP"


READERS: dict[str, Callable[[Answer], Reading]] = {
    commands.FUNCTION.text: _function,
    commands.MAKER.text: _maker,
    commands.MODEL.text: _model,
    commands.STRENGTH.text: _strength,
    commands.QUALITY.text: _quality,
    commands.OPERATOR.text: _operator,
    commands.ADDRESSES.text: _addresses,
    commands.ACCESS_POINTS.text: _access_point,
    **{each.text: _registration for each in commands.REGISTRATIONS},
}


def read_answer(answer: Answer) -> Reading:
    """What is said in it; nothing where the modem refused the command, but for the card's."""
    if answer.command == commands.SIM:
        return _sim(answer)
    reader = READERS.get(answer.command.text)
    return reader(answer) if reader and answer.is_ok else Reading()
