"""The talk over an AT port: commands in turn, answers told from news, and nothing that noise could break."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.serial.modem import commands
from agent.serial.modem.at import MAX_LINE_BYTES, MAX_LINES, Answer, Channel, News, redact
from agent.serial.modem.commands import Command, is_allowed

CEREG = commands.REGISTRATIONS[0]


def talk(command, *pieces):
    """What comes of a command where the port gives these pieces."""
    channel = Channel()
    channel.send(command, 0.0)
    return [event for piece in pieces for event in channel.feed(piece)]


def answer(command, *pieces):
    found = [event for event in talk(command, *pieces) if isinstance(event, Answer)]
    assert len(found) == 1
    return found[0]


def news(*events):
    return [event.line for event in events if isinstance(event, News)]


def test_a_command_is_sent_and_answered():
    channel = Channel()
    assert channel.send(commands.STRENGTH, 7.0) == b"AT+CSQ\r"
    assert channel.deadline_s == 12.0
    assert channel.feed(b"\r\n+CSQ: 19,99\r\n\r\nOK\r\n") == [
        Answer(commands.STRENGTH, ("+CSQ: 19,99",), "OK")
    ]
    assert channel.deadline_s is None


def test_one_at_a_time():
    channel = Channel()
    channel.send(commands.STRENGTH, 0.0)
    with pytest.raises(ValueError, match="AT\\+CSQ has not been answered"):
        channel.send(commands.SIM, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "ATD*99***1#", "ATI", "AT+CPIN=1234", 'AT+CLCK="SC",1,"1234"', "AT+CFUN=0", "AT+CFUN=6", "AT+CIMI",
        'AT+CGDCONT=1,"PPP","x"', 'AT+CGDCONT=1,"IP","a"b"', 'AT+CGDCONT=17,"IP","x"', "AT+CGDCONT=1",
        "AT+CMGF=1", "AT+CMGD=1,4", 'AT+CMGS="+4179"', "AT+CMGS=12", 'AT+CPMS="XX"', "AT+CMSS=1",
        "AT+COPS=1,2,00101", 'AT+QCFG="usbnet",1', "AT+CRSM=176", "AT+CGSN", "AT&F",
        "AT+CSQ;D*99#", "AT+CSQ\rATD112", "at+csq", "AT+CGACT=1,17", "AT+CGACT=1,0", "AT+CGATT", "",
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_does_not_reach_the_port(text):
    assert not is_allowed(text)
    with pytest.raises(ValueError, match="not a command"):
        Channel().send(Command(text), 0.0)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"ERROR", ""),
        (b"+CME ERROR: 10", "10"),
        (b"+CME ERROR: SIM not inserted", "SIM not inserted"),
        (b"+CMS ERROR: 500", "500"),
        (b"COMMAND NOT SUPPORT", ""),
    ],
)
def test_refusals(said, error):
    found = answer(commands.SIM, b"\r\n" + said + b"\r\n")
    assert (found.is_ok, found.is_missed, found.error) == (False, False, error)


def test_the_echo_is_no_line_of_the_answer():
    found = talk(commands.MODEL, b"AT+CGMM\r\r\nEC25\r\n\r\nOK\r\n")
    assert found == [Answer(commands.MODEL, ("EC25",), "OK")]


def test_news_in_the_middle_of_an_answer_is_news():
    events = talk(
        commands.CELL_QUECTEL,
        b'\r\n+QENG: "servingcell","NOCONN"\r\n\r\n+CEREG: 1,"1A2B","1C00B01",7\r\n\r\n+QIND: SMS DONE\r\n',
        b'+QENG: "LTE","FDD",460,01\r\n\r\nOK\r\n',
    )
    assert news(*events) == ['+CEREG: 1,"1A2B","1C00B01",7', "+QIND: SMS DONE"]
    assert events[-1].lines == ('+QENG: "servingcell","NOCONN"', '+QENG: "LTE","FDD",460,01')


@pytest.mark.parametrize(
    "line",
    ['+CEREG: 1,"1A2B","1C00B01",7', "+CEREG: 2", "+CEREG: 3,,,,0,15", '+CEREG: 5,"31C5","0083F7CD",13'],
)
def test_news_of_the_registration_is_not_taken_for_the_answer(line):
    """They differ in nothing but that an answer begins with what was asked for."""
    events = talk(CEREG, line.encode() + b"\r\n+CEREG: 3,5\r\nOK\r\n")
    assert news(*events) == [line]
    assert events[-1].lines == ("+CEREG: 3,5",)


@pytest.mark.parametrize("line", ["RDY", "RING", "PB DONE", "SMS READY", "NO CARRIER", "+CPIN: READY"])
def test_an_answer_without_a_prefix_is_told_from_news_by_its_look(line):
    events = talk(commands.MAKER, line.encode() + b"\r\nQuectel\r\nOK\r\n")
    assert events[-1].lines == ("Quectel",)


def test_a_late_ok_of_another_command_does_not_answer_the_one_that_finds_the_step():
    events = talk(commands.FUNCTION, b"\r\n+CSQ: 19,99\r\n\r\nOK\r\n", b"\r\n+CFUN: 1\r\n\r\nOK\r\n")
    assert news(*events) == ["+CSQ: 19,99"]
    assert events[-1] == Answer(commands.FUNCTION, ("+CFUN: 1",), "OK")


def test_time_is_over_for_each_command_by_its_own_limit():
    channel = Channel()
    channel.send(commands.OPERATOR, 100.0)
    assert channel.expire(144.9) == []
    assert channel.expire(145.0) == [Answer(commands.OPERATOR, (), "")]
    assert channel.expire(1e9) == []
    assert channel.feed(b"\r\nOK\r\n") == [News("OK")]


def test_data_mode_is_no_answer_and_its_bytes_are_no_lines():
    channel = Channel()
    channel.send(commands.ATTENTION, 0.0)
    assert channel.feed(b"\r\nCONNECT 150000000\r\n") == [Answer(commands.ATTENTION, (), "CONNECT")]
    assert channel.is_in_data_mode
    assert channel.feed(b"~\xff}#\xc0!\r\nGET / HTTP\r\n") == []
    assert channel.send(commands.ESCAPE, 1.0) == b"+++"
    assert channel.feed(b"~\xff}\r\n+CEREG: 1\r\n\r\nOK\r\n") == [Answer(commands.ESCAPE, (), "OK")]
    assert not channel.is_in_data_mode


def test_the_other_end_may_end_data_mode():
    channel = Channel()
    channel.feed(b"CONNECT\r\n")
    channel.feed(b"\r\nNO CARRIER\r\n")
    assert not channel.is_in_data_mode
    assert channel.feed(b"RDY\r\n") == [News("RDY")]


def test_a_prompt_that_somebody_left_is_seen_and_is_no_line():
    channel = Channel()
    channel.send(commands.FUNCTION, 0.0)
    assert channel.feed(b"\r\n> ") == []
    assert channel.is_at_prompt
    channel.feed(b"\r\n+CFUN: 1\r\n\r\nOK\r\n")
    assert not channel.is_at_prompt


def test_a_line_that_does_not_end_is_dropped_and_the_next_one_counts():
    channel = Channel()
    channel.send(commands.STRENGTH, 0.0)
    for _ in range(100):
        assert channel.feed(b"x" * 1000) == []
    assert channel.dropped_bytes >= 100_000 - MAX_LINE_BYTES
    assert channel.feed(b"OK\r\n+CSQ: 1,99\r\nOK\r\n")[-1].lines == ("+CSQ: 1,99",)


def test_an_answer_without_an_end_is_bounded():
    channel = Channel()
    channel.send(commands.STRENGTH, 0.0)
    channel.feed(b"+CSQ: 1,99\r\n" * 10_000)
    assert len(channel.expire(1e9)[0].lines) == MAX_LINES


def test_numbers_of_people_do_not_reach_a_log():
    assert redact('#RFSTS: "286 01",1795,"001010123456789"') == '#RFSTS: "286 01",1795,"…6789"'
    assert redact('+CEREG: 1,"1A2B","1C00B01",7') == '+CEREG: 1,"1A2B","1C00B01",7'


WHOLE = (
    b'\r\n+QENG: "servingcell","NOCONN"\r\n\r\n+CPIN: READY\r\n'
    b'+QENG: "LTE","FDD",460,01\r\n\r\nOK\r\n\r\nRDY\r\n'
)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_any_split_of_the_bytes_gives_the_same(cuts):
    places = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[here:there] for here, there in pairwise(places)]
    assert talk(commands.CELL_QUECTEL, *pieces) == talk(commands.CELL_QUECTEL, WHOLE)


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)), st.booleans())
@example(b"\r\nCONNECT\r\n", 3, False)
def test_noise_and_truncation_never_raise_and_the_next_command_is_answered(noise, place, is_cut):
    channel = Channel()
    channel.send(commands.CELL_QUECTEL, 0.0)
    channel.feed(WHOLE[:place] + noise + (b"" if is_cut else WHOLE[place:]))
    channel.expire(1e9)
    channel.feed(b"\r\n")
    channel.send(commands.FUNCTION, 0.0)
    events = channel.feed(b"\r\n+CFUN: 1\r\n\r\nOK\r\n")
    assert events[-1] == Answer(commands.FUNCTION, ("+CFUN: 1",), "OK")
    assert not channel.is_in_data_mode
