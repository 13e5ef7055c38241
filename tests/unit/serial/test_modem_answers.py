"""What modems really said, read; and whatever else they may say."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.serial.modem import commands
from agent.serial.modem.answers import number, read_answer, read_fields
from agent.serial.modem.at import Answer, Channel
from agent.serial.modem.data import Traffic
from agent.serial.modem.reading import Reading, best_registration, merge, status_of
from agent.serial.modem.vendors import STANDARD, counted, vendor_of

TRANSCRIPTS = Path(__file__).parents[2] / "data/modem/transcripts.txt"
VENDORS = {
    "QENG": "Quectel",
    "QNWINFO": "Quectel",
    "QTEMP": "Quectel",
    "CPSI": "SIMCOM",
    "CPMUTEMP": "SIMCOM",
}
COMMANDS = {each.text: each for each in vars(commands).values() if isinstance(each, commands.Command)} | {
    each.text: each for each in commands.REGISTRATIONS
}


def transcripts():
    lines = TRANSCRIPTS.read_text().splitlines()
    return [tuple(line.split(" -> ", 1)) for line in lines if line and not line.startswith("#")]


def vendor_for(command):
    name = command.removeprefix("AT").lstrip("+#!").split("=")[0].rstrip("?")
    return vendor_of(
        {"RFSTS": "Telit", "GSTATUS": "Sierra Wireless, Incorporated"}.get(name, VENDORS.get(name, ""))
    )


def read(command, said):
    """Through the channel, as from a port."""
    channel = Channel()
    channel.send(COMMANDS[command], 0.0)
    data = "".join(f"\r\n{line}\r\n" for line in said.split("|")).encode()
    (answer,) = (event for event in channel.feed(data) if isinstance(event, Answer))
    return merge(read_answer(answer), vendor_for(command).read(answer))


EXPECTED = {
    "+CSQ: 19,99": Reading(rssi_dbm=-75),
    "+CPSI: LTE,Online,228-02": Reading(
        technology="LTE", band="B20", cell=f"228-02-9C01-{20001001:X}",
        rsrp_dbm=-108.9, rsrq_db=-17.8, sinr_db=8,
    ),
    "+CPSI: LTE,Online,262-02": Reading(
        technology="LTE", band="B1", cell=f"262-02-B002-{13001002:X}",
        rsrp_dbm=-118.4, rsrq_db=-12.2, sinr_db=9,
    ),
    "+CPSI: LTE,Online,250-20": Reading(
        technology="LTE", band="B7", cell=f"250-20-4D03-{200001003:X}",
        rsrp_dbm=-90.0, rsrq_db=-6.9, sinr_db=20,
    ),
    "+CPSI: LTE,Online,510-10": Reading(
        technology="LTE", band="B40", cell=f"510-10-830-{110001004:X}",
        rsrp_dbm=-105.7, rsrq_db=-20.0, sinr_db=4,
    ),
    "+CPSI: NO SERVICE": Reading(),
    "+CPSI: WCDMA": Reading(technology="UMTS", cell="252-02-2612-EE6B2800"),
    "+CPMUTEMP: 29": Reading(temperature_c=29),
    "+CPSI: LTE,Online,460-11,0x774B": Reading(
        technology="LTE", band="B1", cell=f"460-11-774B-{12001002:X}", rsrp_dbm=-105, rsrq_db=-14.0
    ),
    "+CPSI: NR5G_SA": Reading(
        technology="5G", band="n78", cell=f"242-12-765D-{4001002:X}",
        rsrp_dbm=-74.0, rsrq_db=-11.0, sinr_db=24.0,
    ),
    "+CPSI: LTE,Online,460-11,0x5A1E": Reading(
        technology="5G NSA", band="n78", cell=f"460-11-5A1E-{18001002:X}",
        rsrp_dbm=-96.0, rsrq_db=-12.0, sinr_db=9.5,
    ),
    '+QENG: "servingcell","CONECT"': Reading(
        technology="LTE", band="B1", cell="228-02-B3B3-1C00B01", rsrp_dbm=-105, rsrq_db=-7, sinr_db=3
    ),
    '+QENG: "servingcell","NOCONN","LTE"': Reading(
        technology="LTE", band="B2", cell="302-610-D6E7-8400902", rsrp_dbm=-89, rsrq_db=-8, sinr_db=17
    ),
    '+QENG: "servingcell","CONNECT","LTE"': Reading(
        technology="LTE", band="B3", cell="515-03-1A2B-FC00403", rsrp_dbm=-95, rsrq_db=-12, sinr_db=11
    ),
    '+QENG: "servingcell","SEARCH"': Reading(),
    '+QNWINFO: "FDD LTE"': Reading(band="B3"),
    "+QTEMP: 31": Reading(temperature_c=31),
    "+QGDCNT:": Reading(),  # `counted` reads it
    '+QENG: "servingcell","NOCONN"|+QENG: "LTE","FDD",460,01': Reading(
        technology="5G NSA", band="n78", cell="460-01-DE10-5F00A15", rsrp_dbm=-71, rsrq_db=-11, sinr_db=13
    ),
    '+QENG: "servingcell","NOCONN"|+QENG: "LTE","FDD",460,11': Reading(
        technology="5G NSA", band="B1", cell="460-11-7794-D100A00", rsrp_dbm=-107, rsrq_db=-12, sinr_db=10
    ),
    '+QENG: "servingcell","NOCONN","NR5G-SA"': Reading(
        technology="5G", band="n78", cell="460-01-690E0F-9000B014", rsrp_dbm=-107, rsrq_db=-13, sinr_db=2
    ),
    '+QENG: "servingcell","CONNECT"|+QENG: "NR5G-SA"': Reading(
        technology="5G", band="n78", cell="", rsrp_dbm=-98, rsrq_db=-11, sinr_db=20
    ),
    '+QNWINFO: "NR5G-SA"': Reading(band="n78"),
    '+QTEMP:"qfe': Reading(temperature_c=41),
    "#RFSTS:": Reading(technology="LTE", band="B3", cell="286-01-2242-B0D121", rsrp_dbm=-101, rsrq_db=-15),
    "!GSTATUS:": Reading(
        technology="LTE", band="B2", rsrp_dbm=-81, rsrq_db=-14.0, sinr_db=23.8, temperature_c=40
    ),
    "+CEREG: 3,3,,,,0,15": Reading(
        registration="denied", reject_cause="15: no suitable cells in tracking area"
    ),
    '+CEREG: 3,3,"ABCD"': Reading(
        registration="denied", reject_cause="15: no suitable cells in tracking area"
    ),
    "+CEREG: 0,1": Reading(registration="home", reject_cause=""),
    "+CEREG: 2,5": Reading(registration="roaming", reject_cause=""),
    '+COPS: 0,0,"T-Mobile",7': Reading(operator="T-Mobile", technology="LTE"),
    "+COPS: 0|OK": Reading(operator=""),
    "+CME ERROR: 10": Reading(sim="missing"),
    "+CME ERROR: SIM not inserted": Reading(sim="missing"),
    "+CPIN: SIM PUK": Reading(sim="puk"),
    "+CESQ:": Reading(rsrp_dbm=-97, rsrq_db=-10.0),
    "+CGPADDR: 1,10": Reading(has_address=True),
    '+CGDCONT: 1,"IP","internet"': Reading(apn="internet"),
    '+CGDCONT: 1,"IPV4V6","ims"': Reading(apn="gprs.example"),
    '+CGPADDR: 1,"0': Reading(has_address=False),
}  # fmt: skip
"""By how an answer begins; the longest that fits."""


@pytest.mark.parametrize(("command", "said"), [each for each in transcripts() if each[0] in COMMANDS])
def test_what_modems_said_is_read(command, said):
    if said == "ERROR":
        assert read(command, said) == Reading()
        return
    key = max((key for key in EXPECTED if said.startswith(key)), key=len)
    assert read(command, said) == EXPECTED[key]


def test_each_expectation_is_of_an_answer_and_each_command_that_is_not_ours_is_refused():
    for key in EXPECTED:
        assert any(said.startswith(key) for _, said in transcripts()), key
    refused = {command for command, _ in transcripts()} - COMMANDS.keys()
    assert refused == {"ATI", "AT+CREG?;+CGREG?;+CEREG?;+CCLK?;+CSQ"}
    assert not any(map(commands.is_allowed, refused))


@pytest.mark.parametrize(
    ("lines", "result", "sent_and_received"),
    [
        (("+QGDCNT: 237505722,614994307",), "OK", (237505722, 614994307)),
        (("+QGDCNT: 0,0",), "OK", (0, 0)),
        ((), "ERROR", None),
        ((), "OK", None),
        (("+QGDCNT: -1,5",), "OK", None),
        (("+QGDCNT: 1",), "OK", None),
        ((f"+QGDCNT: {'9' * 40},5",), "OK", None),
    ],
)
def test_what_a_quectel_counts_is_sent_and_then_received(lines, result, sent_and_received):
    found = counted(Answer(commands.COUNT_QUECTEL, lines, result))
    sent, received = sent_and_received or (0, 0)
    assert found == (Traffic("modem AT+QGDCNT?", received, sent) if sent_and_received else None)


def test_every_command_that_is_asked_is_allowed():
    assert all(commands.is_allowed(text) for text in COMMANDS)
    assert commands.is_allowed(commands.activate(16).text)


@pytest.mark.parametrize(
    ("maker", "model", "kind"),
    [
        ("Quectel", "EC25", "QENG"),
        ("SIMCOM INCORPORATED", "SIMCOM_SIM7600E-H", "CPSI"),
        ("INCORPORATED", "A7670E-FASE", "CPSI"),
        ("Telit", "LE910C4-EU", "RFSTS"),
        ("Sierra Wireless, Incorporated", "EM7455", "GSTATUS"),
    ],
)
def test_whose_modem_it_is(maker, model, kind):
    assert any(kind in command.text for command in vendor_of(maker, model).polls)


def test_an_unknown_maker_is_asked_the_standard_alone():
    assert vendor_of("u-blox", "SARA-R4") is STANDARD


@pytest.mark.parametrize(
    ("reading", "state", "words"),
    [
        (Reading(sim="missing", registration="searching"), "sim-missing", "no SIM card"),
        (Reading(sim="pin"), "sim-locked", "PIN"),
        (Reading(sim="puk"), "sim-locked", "PUK"),
        (Reading(sim="failed"), "failed", "card does not work"),
        (Reading(sim="ready", function=4), "disabled", "radio is off"),
        (Reading(sim="ready", function=1, registration="searching"), "searching", "antenna"),
        (
            Reading(registration="denied", reject_cause="11: PLMN not allowed"),
            "denied",
            r"\(11: PLMN not allowed\)",
        ),
        (Reading(registration="home", has_address=False), "registered", "connection: is the APN right"),
        (Reading(registration="home", has_address=False, apn="x"), "registered", "with the APN x: is"),
        (Reading(registration="roaming", has_address=True), "connected", "^$"),
        (Reading(), "searching", ""),
    ],
)
def test_the_state_is_the_first_of_what_keeps_it_from_data(reading, state, words):
    status = status_of(reading)
    assert (status.source, status.state) == ("at", state)
    assert re.search(words, status.reason)


def test_a_registration_that_carries_data_counts_before_one_that_was_refused():
    denied, home = Reading(registration="denied", reject_cause="15: …"), Reading(registration="home")
    assert best_registration([denied, home]) is home
    assert best_registration([Reading(registration="searching"), denied]) is denied
    assert best_registration([]) == Reading()


@pytest.mark.parametrize(
    ("text", "value"),
    [("-97", -97), ("8.5", 8.5), ("-", None), ("", None), ("-32768", None), ("1e3", None), ("²", None)],
)
def test_numbers(text, value):
    assert number(text, -156, 100) == value


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("+X: a,,b", ["a", "", "b"]),
        ("+X: ,a,", ["", "a", ""]),
        ('+COPS: 0,0,"A, B & C",7', ["0", "0", "A, B & C", "7"]),
        ('+X: "open,1', ["open,1"]),
        ("+X:", [""]),
        ("RDY", [""]),
    ],
)
def test_fields(line, fields):
    assert read_fields(line) == fields


ANSWERS = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120), max_size=6)


@given(st.sampled_from(sorted(COMMANDS)), ANSWERS, st.sampled_from(["OK", "ERROR", "+CME ERROR: 10", ""]))
def test_nothing_that_a_modem_says_raises(command, lines, result):
    answer = Answer(COMMANDS[command], tuple(lines), result)
    status_of(merge(read_answer(answer), vendor_for(command).read(answer)))


@given(st.sampled_from([each for each in transcripts() if each[0] in COMMANDS]), st.data())
def test_an_answer_that_was_cut_or_garbled_is_read_as_less_and_never_raises(transcript, data):
    command, said = transcript
    here, there = sorted(data.draw(st.tuples(st.integers(0, len(said)), st.integers(0, len(said)))))
    noise = data.draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8))
    answer = Answer(COMMANDS[command], tuple((said[:here] + noise + said[there:]).split("|")), "OK")
    status = status_of(merge(read_answer(answer), vendor_for(command).read(answer)))
    assert status.rsrp_dbm is None or -157 <= status.rsrp_dbm <= -30
    assert "001010123456789" not in repr(status)
