"""The AT commands that the agent may send: all of them, each as a whole. Pure.

What is not here does not reach the port: commands cost money (`ATD`), lock a card (`AT+CPIN=`), or change
what outlasts a restart (`AT+QCFG=`). Only who may send a signed SMS has an answer sent (`AT+CMGS=`), or the
access point name changed (`AT+CGDCONT=`).
"""

import re
from dataclasses import dataclass
from re import Pattern

from agent.model.sms import APN

BRIEF_S, USUAL_S = 1.0, 5.0
NETWORK_S, DETACH_S = 45.0, 150.0
"""What asks the network: `AT+COPS?` answers within 45 s at worst, attaching takes up to 140 s (manuals)."""
RADIO_S = 20.0
SEND_S = 45.0
"""Of a message: makers say up to 120 s, and a reboot that it announces waits for no longer than a minute."""
LIST_S = 20.0


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and what belongs to it."""

    text: str
    answer: Pattern[str] | None = None
    """Lines that are its answer; all others are news that came in between. None: it has only a result."""
    limit_s: float = USUAL_S
    must_answer: bool = False
    """A result without an answer before it is that of an earlier command, which came late."""
    body: str = ""
    """What is written once the modem asks for it by a prompt: hexadecimal (TS 27.005 section 4.3)."""


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
COUNT_QUECTEL, COUNT_5G_QUECTEL = _ask("AT+QGDCNT?", "+QGDCNT:"), _ask("AT+QGDNRCNT?", "+QGDNRCNT:")
"""Bytes over LTE and what was before it, and over 5G, since the modem started."""
CELL_SIMCOM, HEAT_SIMCOM = _ask("AT+CPSI?", "+CPSI:"), _ask("AT+CPMUTEMP", "+CPMUTEMP:")
CELL_TELIT, HEAT_TELIT = _ask("AT#RFSTS", "#RFSTS:"), _ask("AT#TEMPMON=1", "#TEMPMEAS:")
CELL_SIERRA = Command("AT!GSTATUS?", re.compile(r"!GSTATUS:|[A-Z][\w() ./-]{2,}:"))
RECEIVERS_QUECTEL = ((_ask("AT+QGPS?", "+QGPS:"), Command("AT+QGPS=1")),)
RECEIVERS_SIMCOM = (
    (_ask("AT+CGPS?", "+CGPS:"), Command("AT+CGPS=1")),
    (_ask("AT+CGNSSPWR?", "+CGNSSPWR:"), Command("AT+CGNSSPWR=1")),
)
"""Whether the satellite receiver is on, and to switch it on until the modem starts anew: SIM7600, A76xx."""
RADIO_OFF, RADIO_ON = Command("AT+CFUN=4", limit_s=RADIO_S), Command("AT+CFUN=1", limit_s=RADIO_S)
RESET = Command("AT+CFUN=1,1", limit_s=RADIO_S)
DETACH, ATTACH = Command("AT+CGATT=0", limit_s=DETACH_S), Command("AT+CGATT=1", limit_s=DETACH_S)
PDU_MODE = Command("AT+CMGF=0")
"""Messages as hexadecimal: as text, a stranger's could hold the lines of a result, or of news."""
STORAGE = _ask("AT+CPMS?", "+CPMS:")
MESSAGE_NEWS = Command("AT+CNMI=2,1")
"""By `+CMTI`, which says where a message is kept and not what is in it."""
MESSAGES = Command("AT+CMGL=4", re.compile(r"\+CMGL:|[0-9A-Fa-f]{16,}$"), LIST_S)
"""All that are kept, each as a line about it and a line that it is."""


def keep_in(storage: str) -> Command:
    """List and delete in this storage: `SM`, `ME` or `MT`."""
    return Command(f'AT+CPMS="{storage}"', re.compile(r"\+CPMS:"))


def delete(index: int) -> Command:
    """One message."""
    return Command(f"AT+CMGD={index}", limit_s=LIST_S)


def submit(pdu: bytes, length: int) -> Command:
    """Send one, as `pdu.encode_submit` makes it."""
    return Command(f"AT+CMGS={length}", re.compile(r"\+CMGS:"), SEND_S, body=pdu.hex().upper())


def define(context: int, kind: str, apn: str) -> Command:
    """Give a context another access point name; `kind` is what it carries, such as `IPV4V6`."""
    return Command(f'AT+CGDCONT={context},"{kind}","{apn}"')


def deactivate(context: int) -> Command:
    """End a data connection, as `activate` begins one."""
    return Command(f"AT+CGACT=0,{context}", limit_s=DETACH_S)


def activate(context: int) -> Command:
    """By the number of the context that holds its APN: 1 to 16."""
    return Command(f"AT+CGACT=1,{context}", limit_s=DETACH_S)


_FIXED = (
    ATTENTION, ECHO_OFF, NUMERIC_ERRORS, HANG_UP, ESCAPE, FUNCTION, MAKER, MODEL, SIM, STRENGTH, QUALITY,
    OPERATOR_NAME, OPERATOR, ADDRESSES, CONTEXTS, ACCESS_POINTS, *REGISTRATIONS, *WITH_CAUSE, *WITHOUT_CAUSE,
    CELL_QUECTEL, BAND_QUECTEL, HEAT_QUECTEL, COUNT_QUECTEL, COUNT_5G_QUECTEL,
    CELL_SIMCOM, HEAT_SIMCOM, CELL_TELIT, HEAT_TELIT, CELL_SIERRA,
    RADIO_OFF, RADIO_ON, RESET, DETACH, ATTACH, PDU_MODE, STORAGE, MESSAGE_NEWS, MESSAGES,
    *(each for pair in (*RECEIVERS_QUECTEL, *RECEIVERS_SIMCOM) for each in pair),
)  # fmt: skip
_CONTEXT = r"([1-9]|1[0-6])"
_ALLOWED = re.compile(
    "|".join(
        [
            *(re.escape(each.text) for each in _FIXED),
            rf"AT\+CGACT=[01],{_CONTEXT}",
            rf'AT\+CGDCONT={_CONTEXT},"(IP|IPV6|IPV4V6)","({APN.pattern})"',
            r'AT\+CPMS="(SM|ME|MT)"',
            r"AT\+CMG[DS]=\d{1,3}",
        ]
    )
)
_BODY = re.compile(r"([0-9A-F]{2}){2,176}")


def is_allowed(text: str, body: str = "") -> bool:
    """Whether the agent may send this."""
    has_right_body = _BODY.fullmatch(body) is not None if text.startswith("AT+CMGS=") else not body
    return has_right_body and _ALLOWED.fullmatch(text) is not None
