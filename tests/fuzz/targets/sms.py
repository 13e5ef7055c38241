"""Messages that a camera's modem gets from anybody who knows its number: as text, and by a port."""

import asyncio
import re
from contextlib import suppress

from fakes.modem_messages import deliver_pdu
from fuzz.target import Target

from agent.errors import MessageError
from agent.model.sms import MAX_CHARS, is_command, make_command
from agent.serial.modem.pdu import parse_deliver
from agent.serial.modem.sms import Heard, Lifeline, Now

SIGNATURE = bytes(range(64))
"""The one that counts here: who finds it still has to be new and in time."""
NOW_S = 1_800_000_000.0


class Memory:
    """The disk."""

    def __init__(self) -> None:
        self.value: Heard | None = None

    def load(self) -> Heard | None:
        return self.value

    def keep(self, value: Heard, _now_s: float) -> None:
        self.value = value

    def write(self, value: Heard) -> None:
        self.value = value


def check(data: bytes) -> None:
    """Nothing is done but what was signed, and that once; answers are for who proved it alone."""
    done: list[str] = []

    def act(argument: str) -> str:
        done.append(argument)
        return argument

    line = Lifeline(
        "door",
        lambda _, signature: signature == SIGNATURE,
        {"status": act, "reboot": act, "apn": act, "plan": act},
        Memory(),
        lambda: Now(NOW_S, True, 0.0),
    )
    text = data.decode(errors="replace")
    with suppress(MessageError):
        message = parse_deliver(data)
        assert len(message.text) <= MAX_CHARS
        assert 1 <= message.part.number <= message.part.total <= 255
        assert re.fullmatch(r"(\+?\d{3,20})?", message.sender)
        text = message.text
    answer = asyncio.run(line.on_sms(text))
    assert (answer is None) == (not done)
    assert asyncio.run(line.on_sms(text)) is None
    assert len(done) <= 1
    if answer is not None:
        assert is_command(text)
        assert len(answer) <= MAX_CHARS
        assert all(" " <= char <= "z" for char in answer)


def seeds() -> list[bytes]:
    """One of each verb, with the right signature and with none; and as modems list them."""
    made = [make_command(verb, "", NOW_S) for verb in ("status", "reboot", "plan")]
    made.append(make_command("apn", "internet.example", NOW_S))
    texts = [each.encode(signature) for each in made for signature in (SIGNATURE, bytes(64))]
    pdus = [deliver_pdu(text, "+4915140075573") for text in texts]
    pdus.append(deliver_pdu("PH1 x", "+4915140075573", header="050003A20201", is_ucs2=True))
    return [*(text.encode() for text in texts), *map(bytes.fromhex, pdus)]


TARGET = Target("sms", "Commands by SMS: whoever knows the camera's number.", check, seeds, max_bytes=512)
