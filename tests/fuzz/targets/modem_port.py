"""What a modem, or what is taken for one, may say on its AT port."""

from pathlib import Path

from fuzz.target import Target, join, steps

from agent.serial.modem import commands
from agent.serial.modem.answers import read_answer
from agent.serial.modem.at import MAX_LINE_BYTES, MAX_LINES, Answer, Channel, Prompt
from agent.serial.modem.pdu import MAX_PDU_BYTES
from agent.serial.modem.reading import Reading, merge, status_of
from agent.serial.modem.vendors import vendor_of
from agent.serial.modem.wire_inbox import read_list, read_storages

TRANSCRIPTS = Path(__file__).parents[2] / "data/modem/transcripts.txt"
VENDORS = [vendor_of(maker) for maker in ("quectel", "simcom", "telit", "sierra")]
ASKED = [
    commands.FUNCTION, commands.SIM, commands.MAKER, commands.MODEL, *commands.REGISTRATIONS,
    *commands.STANDARD, commands.ESCAPE, commands.STORAGE, commands.MESSAGES,
    commands.submit(bytes(9), 8),
    *(command for vendor in VENDORS for command in vendor.polls),
]  # fmt: skip


def check(data: bytes) -> None:
    """Each message answers the next command; an answer is bounded, and so is what is read of it."""
    channel, readings = Channel(), [Reading()]
    for number, said in enumerate(steps(data)):
        channel.send(ASKED[number % len(ASKED)], 0.0)
        events = [*channel.feed(said), *channel.expire(1e9)]
        answers = [event for event in events if isinstance(event, Answer)]
        assert len(answers) == 1, "one command, one answer"
        assert len(answers[0].lines) <= MAX_LINES
        assert all(len(line) <= 2 * MAX_LINE_BYTES for line in answers[0].lines)
        assert sum(isinstance(event, Prompt) for event in events) <= 1, "a message is written once"
        assert all(len(each.pdu) <= MAX_PDU_BYTES for each in read_list(answers[0].lines))
        read_storages(answers[0])
        assert len(channel._rest) <= MAX_LINE_BYTES
        readings += [read_answer(answers[0]), *(vendor.read(answers[0]) for vendor in VENDORS)]
    status = status_of(merge(*readings))
    assert status.rsrp_dbm is None or -157 <= status.rsrp_dbm <= -30
    assert len(repr(status)) < 2000, "what it calls itself and its network is short"


def seeds() -> list[bytes]:
    """All that modems really said, in the order of the commands; and news, data mode, a prompt."""
    said: dict[str, list[bytes]] = {}
    for line in TRANSCRIPTS.read_text().splitlines():
        command, arrow, answer = line.partition(" -> ")
        if arrow and not line.startswith("#"):
            said.setdefault(command, []).append(answer.replace("|", "\r\n").encode() + b"\r\n")
    rounds = max(map(len, said.values()))
    whole = [
        join(
            *(
                said.get(command.text, [b"OK\r\n"])[turn % len(said.get(command.text, [b""]))]
                for command in ASKED
            )
        )
        for turn in range(rounds)
    ]
    odd = join(
        b"\r\nCONNECT\r\n~\xff}#", b"RDY\r\n+CEREG: 3,,,,0,15\r\nERROR\r\n", b"\r\n> ", b"+CME ERROR: 10\r\n"
    )
    return [*whole, odd]


TARGET = Target("modem-port", "Lines on a modem's AT port.", check, seeds, max_bytes=8192)
