"""Messages on an AT port: each is read once, deleted, and answered where there is an answer."""

from itertools import pairwise

import pytest
from fakes.clock import LoopClock
from fakes.modem_messages import Messages, deliver_pdu
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ModemError
from agent.serial.modem import commands
from agent.serial.modem.at import Answer, Channel, Prompt
from agent.serial.modem.wire_inbox import PARTS_S, WARN_AT, Kept, WireInbox, read_list

SENDER = "+4915140075573"


class Bench:
    """A modem's messages, and an inbox that asks it."""

    def __init__(self, answers=str.upper):
        self.clock = LoopClock()
        self.messages, self.heard, self.asked = Messages(), [], []
        self.refused = self.silent = ""
        self._answers = answers
        self.inbox = WireInbox(self.on_sms, self.ask)

    async def on_sms(self, text):
        self.heard.append(text)
        return self._answers(text)

    async def ask(self, command):
        self.asked.append(command.text)
        if self.silent and command.text.startswith(self.silent):
            raise ModemError(f"the modem does not answer {command.text}")
        if self.refused and command.text.startswith(self.refused):
            return Answer(command, (), "+CMS ERROR: 500")
        said = self.messages.answer(command.text.removeprefix("AT"))
        if said == [">"]:
            said = self.messages.write(command.body)
        return Answer(command, tuple(said[:-1]), said[-1])

    def get(self, text, sender=SENDER, **how):
        self.messages.deliver(deliver_pdu(text, sender, **how))


async def test_each_is_read_once_deleted_and_answered():
    it = Bench()
    it.get("one")
    it.get("two", "+41791234567")
    await it.inbox.look()
    await it.inbox.look()
    assert it.heard == ["one", "two"]
    assert it.messages.kept == {}
    assert it.messages.sent == [(SENDER, "ONE"), ("+41791234567", "TWO")]


async def test_it_is_deleted_before_it_counts_and_where_it_cannot_be_it_does_not_count():
    it = Bench()
    it.get("reboot")
    it.refused = "AT+CMGD"
    await it.inbox.look()
    assert it.heard == []
    it.refused = ""
    await it.inbox.look()
    assert it.heard == ["reboot"]
    assert it.asked[-2:] == ["AT+CMGD=0", "AT+CMGS=20"]


async def test_a_stranger_gets_no_answer_nor_does_a_name():
    it = Bench(answers=lambda text: None if text == "win" else "done")
    it.get("win")
    it.messages.deliver("000409D0D432BB2C030000112180115252000141")
    await it.inbox.look()
    assert it.heard == ["win", "A"]
    assert (it.messages.kept, it.messages.sent) == ({}, [])


async def test_what_is_no_text_is_deleted_unread():
    it = Bench()
    it.messages.deliver("07911326040000F006D60B911346610089F6")  # a report, cut off
    await it.inbox.look()
    assert (it.heard, it.messages.kept) == ([], {})


async def test_parts_of_a_message_are_one_in_any_order_and_others_wait():
    it = Bench(answers=lambda _: None)
    it.get("world", header="050003070202", is_ucs2=True)
    await it.inbox.look()
    assert (it.heard, len(it.messages.kept)) == ([], 1)
    it.get("x", "+41791234567", header="050003070201", is_ucs2=True)
    it.get("hello ", header="050003070201", is_ucs2=True)
    await it.inbox.look()
    assert it.heard == ["hello world"]
    assert len(it.messages.kept) == 1, "the other sender's"
    it.clock.now_s += PARTS_S
    await it.inbox.look()
    assert (it.heard, it.messages.kept) == (["hello world"], {})


async def test_what_is_much_longer_than_a_command_is_not_waited_for():
    it = Bench()
    it.get("x", header="050003070901", is_ucs2=True)
    await it.inbox.look()
    assert (it.heard, it.messages.kept) == ([], {})


async def test_a_full_storage_is_cleared_also_of_what_somebody_wrote_here(caplog):
    it = Bench()
    it.messages.size = 3
    it.messages.kept = {index: (3, deliver_pdu("draft", SENDER)) for index in range(3)}
    await it.inbox.look()
    assert (it.heard, it.messages.kept) == ([], {})
    assert "no room left" in caplog.text
    it.get("one")
    await it.inbox.look()
    assert it.heard == ["one"]


async def test_what_somebody_wrote_here_stays_while_there_is_room():
    it = Bench()
    it.messages.kept = {5: (3, deliver_pdu("draft", SENDER))}
    it.get("one")
    await it.inbox.look()
    assert (it.heard, list(it.messages.kept)) == (["one"], [5])


async def test_it_is_set_up_once_after_each_start_and_reads_where_new_ones_go():
    it = Bench()
    it.messages.listed = "SM"
    it.get("one")
    await it.inbox.look()
    assert it.asked[:5] == ["AT+CMGF=0", "AT+CPMS?", 'AT+CPMS="ME"', "AT+CNMI=2,1", "AT+CMGL=4"]
    assert it.heard == ["one"]
    it.asked.clear()
    await it.inbox.look()
    assert it.asked == ["AT+CMGL=4"]
    it.messages.restart()
    it.inbox.begin_anew()
    await it.inbox.look()
    assert it.asked[1:] == ["AT+CMGF=0", "AT+CPMS?", "AT+CNMI=2,1", "AT+CMGL=4"]


@pytest.mark.parametrize("command", ["AT+CMGF=0", "AT+CMGL=4"])
async def test_a_refusal_that_stays_is_told_once_and_a_card_that_starts_is_not(command, caplog):
    it = Bench()
    it.refused = command
    for _ in range(WARN_AT - 1):
        await it.inbox.look()
    assert caplog.text == ""
    for _ in range(5):
        await it.inbox.look()
    assert caplog.text.count("no SMS is read") == 1
    it.refused = ""
    it.get("one")
    await it.inbox.look()
    assert it.heard == ["one"]


@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_an_answer_that_does_not_leave_is_told_and_does_no_harm(how, caplog):
    it = Bench()
    setattr(it, how, "AT+CMGS")
    it.get("one")
    it.get("two")
    await it.inbox.look()
    assert (it.heard, it.messages.kept) == (["one", "two"], {})
    assert caplog.text.count("was not sent") == 2
    assert SENDER[1:] not in caplog.text


async def test_a_modem_that_says_nothing_is_said_to():
    it = Bench()
    it.silent = "AT+CMGL"
    with pytest.raises(ModemError):
        await it.inbox.look()


PDU = deliver_pdu("PH1 x", SENDER)
LENGTH = len(PDU) // 2 - 8
LISTED = (
    f'\r\n+CMGL: 0,1,,{LENGTH}\r\n{PDU}\r\n+CMTI: "ME",3\r\n+CMGL: 7,3,"A, B",{LENGTH}\r\n{PDU}\r\n\r\nOK\r\n'
).encode()
BOTH = [Kept(0, True, bytes.fromhex(PDU)), Kept(7, False, bytes.fromhex(PDU))]


def listed(*pieces):
    channel = Channel()
    channel.send(commands.MESSAGES, 0.0)
    events = [event for piece in pieces for event in channel.feed(piece)] + channel.expire(1e9)
    (answer,) = [event for event in events if isinstance(event, Answer)]
    return read_list(answer.lines)


@given(st.lists(st.integers(0, len(LISTED)), max_size=8))
def test_any_split_of_a_list_gives_the_same(cuts):
    places = [0, *sorted(cuts), len(LISTED)]
    assert listed(*(LISTED[here:there] for here, there in pairwise(places))) == BOTH


@given(st.binary(max_size=60), st.integers(0, len(LISTED)), st.integers(0, 40), st.booleans())
def test_noise_and_loss_never_raise_and_never_make_another_message(noise, place, lost, is_cut):
    """What is not as long as it is said to be is not believed to be cut off: another look may have all."""
    for each in listed(LISTED[:place] + noise + (b"" if is_cut else LISTED[place + lost :])):
        assert each.index in range(1000)
        assert len(each.pdu) in (0, len(PDU) // 2) or noise


@pytest.mark.parametrize("lost", range(1, 9))
def test_a_list_that_lost_bytes_is_not_believed(lost):
    place = LISTED.index(PDU.encode()) + 20
    assert listed(LISTED[:place] + LISTED[place + lost :])[0].pdu == b""


def test_a_text_is_written_at_the_prompt_once_and_ended():
    channel = Channel()
    assert channel.send(commands.submit(b"\x00\x01\xab", 2), 0.0) == b"AT+CMGS=2\r"
    assert channel.feed(b"\r\n>") == [Prompt(b"0001AB\x1a")]
    assert channel.feed(b" ") == []
    assert channel.feed(b"\r\n> ") == []
    assert channel.feed(b"\r\n+CMGS: 7\r\n\r\nOK\r\n")[-1].is_ok
    assert not channel.is_at_prompt


def test_a_prompt_that_is_not_ended_in_time_is_left():
    channel = Channel()
    channel.send(commands.submit(b"\x00\x01\xab", 2), 0.0)
    channel.feed(b"\r\n> ")
    channel.expire(1e9)
    assert channel.is_at_prompt


@pytest.mark.parametrize("body", ["", "0", "XY", "00\x1aAT", "00" * 177])
def test_nothing_but_a_message_is_written_at_a_prompt(body):
    with pytest.raises(ValueError, match="not a command"):
        Channel().send(commands.Command("AT+CMGS=2", body=body), 0.0)


def test_nor_anything_where_there_is_none():
    with pytest.raises(ValueError, match="not a command"):
        Channel().send(commands.Command("AT+CSQ", body="0001"), 0.0)
