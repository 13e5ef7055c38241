"""Short messages as a modem keeps and sends them, against what others made, and against all that is none."""

import pytest
from fakes.modem_messages import deliver_pdu, submitted
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import MessageError
from agent.model.sms import MAX_CHARS, make_command
from agent.serial.modem.pdu import Part, Received, encode_submit, parse_deliver

ASCII = "".join(chr(code) for code in range(0x20, 0x7B) if chr(code) not in "$@[\\]^_`")
"""What the 7 bit alphabet has at the same places."""


@pytest.mark.parametrize(
    ("pdu", "sender", "text"),
    [
        (
            "07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07",
            "+31641600986",
            "How are you?",
        ),
        (
            "07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37",
            "27838890001",
            "hellohello",
        ),
        # By a name, which is no number; the euro sign and brackets are of the extension.
        ("000409D0D432BB2C03000011218011525200069BF286B7F101", "", "€[]"),
        # No service centre, UCS-2; then 8 bit data, which is no text.
        ("00040B911346610089F60008112180115252000400470072", "+31641600986", "Gr"),
        ("00040B911346610089F600041121801152520002FFFE", "+31641600986", ""),
    ],
)  # fmt: skip
def test_what_others_sent(pdu, sender, text):
    assert parse_deliver(bytes.fromhex(pdu)) == Received(sender, text)


def test_a_part_of_a_long_message_says_which():
    """Its text begins at a whole septet behind the header (TS 23.040 section 9.2.3.24)."""
    pdu = "00440B911346610089F60000112180115252000C050003A20201906536FB0D"
    assert parse_deliver(bytes.fromhex(pdu)) == Received("+31641600986", "Hello", Part(0xA2, 2, 1))
    wide = deliver_pdu("Grüße", "+31641600986", header="060804A1B20302", is_ucs2=True)
    assert parse_deliver(bytes.fromhex(wide)) == Received("+31641600986", "Grüße", Part(0xA1B2, 3, 2))


def test_what_else_a_header_holds_says_nothing_of_parts():
    """Element 0x24 tells the language (TS 23.040 section 9.2.3.24.15), here in two bytes."""
    for header in ("0424020201", "0424020305"):
        pdu = deliver_pdu("Hi", "+31641600986", header=header, is_ucs2=True)
        assert parse_deliver(bytes.fromhex(pdu)) == Received("+31641600986", "Hi")
    pdu = deliver_pdu("Hi", "+31641600986", header="09240202010003A20201", is_ucs2=True)
    assert parse_deliver(bytes.fromhex(pdu)).part == Part(0xA2, 2, 1)


@pytest.mark.parametrize(("number", "total"), [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_cannot_be_is_none(number, total):
    pdu = deliver_pdu("x", "+31641600986", header=f"050003A2{total:02X}{number:02X}", is_ucs2=True)
    with pytest.raises(MessageError):
        parse_deliver(bytes.fromhex(pdu))


def test_what_is_sent_is_what_another_coder_makes_of_it():
    pdu, length = encode_submit("+46708251358", "hellohello")
    assert pdu.hex().upper() == "0001000B916407281553F800000AE8329BFD4697D9EC37"
    assert length == 22


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("", "x"),
        ("Bank", "x"),
        ("+1*2", "x"),
        ("+4179123", "ł"),
        ("+4179123", "x" * 161),
        ("+4179123", "\x1b"),
    ],
)
def test_what_is_no_message_is_not_sent(number, text):
    with pytest.raises(MessageError):
        encode_submit(number, text)


@given(st.text(ASCII, max_size=MAX_CHARS), st.from_regex(r"\+?[0-9]{3,20}", fullmatch=True))
def test_a_text_arrives_as_it_was_written(text, number):
    assert parse_deliver(bytes.fromhex(deliver_pdu(text, number))) == Received(number, text)
    pdu, length = encode_submit(number, text)
    assert (submitted(pdu.hex()), length) == ((number, text), len(pdu) - 1)


def test_a_command_of_a_portal_fits_in_one_and_arrives():
    text = make_command("apn", "a" * 47, 4e9).encode(bytes(64))
    assert len(text) <= MAX_CHARS
    assert parse_deliver(bytes.fromhex(deliver_pdu(text, "+4179123"))).text == text


WHOLE = bytes.fromhex(deliver_pdu("PH1 x", "+31641600986", header="050003A20201", is_ucs2=True))


@given(st.binary(max_size=200) | st.integers(0, len(WHOLE) - 1).map(lambda end: WHOLE[:end]))
def test_noise_and_truncation_are_refused_or_read_and_nothing_else(pdu):
    try:
        found = parse_deliver(pdu)
    except MessageError:
        return
    assert len(found.text) <= MAX_CHARS
    assert 1 <= found.part.number <= found.part.total
