"""The AT commands that the agent may send: all of them, each as a whole. Pure.

What is not here does not reach the port: commands cost money (`ATD`), lock a card (`AT+CPIN=`), or change
what outlasts a restart (`AT+CGDCONT=`, `AT+QCFG=`).
"""

import re
from dataclasses import dataclass
from re import Pattern

BRIEF_S, USUAL_S = 1.0, 5.0
NETWORK_S, DETACH_S = 45.0, 150.0
"""What asks the network: `AT+COPS?` answers within 45 s at worst, attaching takes up to 140 s (manuals)."""
RADIO_S = 20.0


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and what belongs to it."""

    text: str
    answer: Pattern[str] | None = None
    """Lines that are its answer; all others are news that came in between. None: it has only a result."""
    limit_s: float = USUAL_S
    must_answer: bool = False
    """A result without an answer before it is that of an earlier command, which came late."""


def _ask(text: str, prefix: str, limit_s: float = USUAL_S) -> Command:
    return Command(text, re.compile(re.escape(prefix)), limit_s)


def _plain(text: str) -> Command:
    """An answer without a prefix: any line that is not news by its look."""
    return Command(text, re.compile(r"(?!RDY|RING|PB |SMS |NO |Call |VOICE )[\w\"]|\+CGM[IM]:"))


ATTENTION = Command("AT", limit_s=BRIEF_S)
ECHO_OFF = Command("ATE0", limit_s=BRIEF_S)
NUMERIC_ERRORS = Command("AT+CMEE=1")
HANG_UP = Command("ATH")
ESCAPE = Command("+++", limit_s=BRIEF_S * 2)
"""Out of data mode, between two silences of a second (V.250 section 6.2.9)."""
FUNCTION = Command("AT+CFUN?", re.compile(r"\+CFUN: ?\d"), must_answer=True)
"""Every modem answers it, also without a card, so it tells whether answers and commands are in step."""
MAKER, MODEL = _plain("AT+CGMI"), _plain("AT+CGMM")
SIM = _ask("AT+CPIN?", "+CPIN:")
STRENGTH, QUALITY = _ask("AT+CSQ", "+CSQ:"), _ask("AT+CESQ", "+CESQ:")
OPERATOR_NAME = Command("AT+COPS=3,0", limit_s=NETWORK_S)
"""Only the form of the answer to the next."""
OPERATOR = _ask("AT+COPS?", "+COPS:", NETWORK_S)
ADDRESSES = _ask("AT+CGPADDR", "+CGPADDR:")
CONTEXTS = _ask("AT+CGACT?", "+CGACT:")
ACCESS_POINTS = _ask("AT+CGDCONT?", "+CGDCONT:")
STANDARD = (OPERATOR, STRENGTH, QUALITY, ACCESS_POINTS, ADDRESSES)
REGISTRATIONS = tuple(
    # An answer begins with what was asked for, news with the state: `3,1,"1A2B"` and `1,"1A2B"`.
    Command(f"AT+{name}?", re.compile(rf"\+{name}: ?[0-5], ?\d{{1,2}}(,|$)"))
    for name in ("CEREG", "C5GREG", "CGREG")
)
"""LTE's, 5G's, and that of the packet service before them."""
WITH_CAUSE = tuple(Command(f"AT+{name}=3") for name in ("CEREG", "C5GREG", "CGREG"))
"""Have changes told, with the network's reason for a refusal (TS 27.007 section 10.1.22)."""
WITHOUT_CAUSE = tuple(Command(f"AT+{name}=2") for name in ("CEREG", "C5GREG", "CGREG"))
"""For modems that know no 3."""
CELL_QUECTEL = _ask('AT+QENG="servingcell"', "+QENG:")
BAND_QUECTEL, HEAT_QUECTEL = _ask("AT+QNWINFO", "+QNWINFO:"), _ask("AT+QTEMP", "+QTEMP:")
CELL_SIMCOM, HEAT_SIMCOM = _ask("AT+CPSI?", "+CPSI:"), _ask("AT+CPMUTEMP", "+CPMUTEMP:")
CELL_TELIT, HEAT_TELIT = _ask("AT#RFSTS", "#RFSTS:"), _ask("AT#TEMPMON=1", "#TEMPMEAS:")
CELL_SIERRA = Command("AT!GSTATUS?", re.compile(r"!GSTATUS:|[A-Z][\w() ./-]{2,}:"))
RADIO_OFF, RADIO_ON = Command("AT+CFUN=4", limit_s=RADIO_S), Command("AT+CFUN=1", limit_s=RADIO_S)
RESET = Command("AT+CFUN=1,1", limit_s=RADIO_S)
DETACH, ATTACH = Command("AT+CGATT=0", limit_s=DETACH_S), Command("AT+CGATT=1", limit_s=DETACH_S)


def deactivate(context: int) -> Command:
    """End a data connection, as `activate` begins one."""
    return Command(f"AT+CGACT=0,{context}", limit_s=DETACH_S)


def activate(context: int) -> Command:
    """By the number of the context that holds its APN: 1 to 16."""
    return Command(f"AT+CGACT=1,{context}", limit_s=DETACH_S)


_FIXED = (
    ATTENTION, ECHO_OFF, NUMERIC_ERRORS, HANG_UP, ESCAPE, FUNCTION, MAKER, MODEL, SIM, STRENGTH, QUALITY,
    OPERATOR_NAME, OPERATOR, ADDRESSES, CONTEXTS, ACCESS_POINTS, *REGISTRATIONS, *WITH_CAUSE, *WITHOUT_CAUSE,
    CELL_QUECTEL, BAND_QUECTEL, HEAT_QUECTEL, CELL_SIMCOM, HEAT_SIMCOM, CELL_TELIT, HEAT_TELIT, CELL_SIERRA,
    RADIO_OFF, RADIO_ON, RESET, DETACH, ATTACH,
)  # fmt: skip
_ALLOWED = re.compile(
    "|".join([*(re.escape(each.text) for each in _FIXED), r"AT\+CGACT=[01],([1-9]|1[0-6])"])
)


def is_allowed(text: str) -> bool:
    """Whether the agent may send this."""
    return _ALLOWED.fullmatch(text) is not None
