"""Messages of a modem on its AT port: listed, deleted, handed on, answered (TS 27.005, in PDU mode)."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from agent.errors import MessageError, ModemError
from agent.serial.modem import commands
from agent.serial.modem.answers import number, read_fields
from agent.serial.modem.at import Answer
from agent.serial.modem.commands import Command
from agent.serial.modem.pdu import MAX_PDU_BYTES, Received, encode_submit, parse_deliver
from agent.serial.modem.sms import OnSms

log = logging.getLogger(__name__)

PARTS_S = 3600.0
"""What is missing of a message in parts may come so much later; then it never comes."""
MAX_PARTS = 4
"""Of a command in UCS-2, as telephones send it whose owner has them write so: 160 characters take three."""
WARN_AT = 3
_STORAGES = ("SM", "ME", "MT")
_HEX = re.compile(rf"([0-9A-Fa-f]{{2}}){{8,{MAX_PDU_BYTES}}}")
_RECEIVED = ("0", "1")
"""`<stat>`: not read yet, and read. 2 and 3 are what somebody here wrote."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One message where the modem keeps it."""

    index: int
    is_received: bool
    pdu: bytes
    """Empty where the port lost some of it: another look may have all."""


def read_list(lines: Iterable[str]) -> list[Kept]:
    """The answer to `commands.MESSAGES`: `+CMGL: <index>,<stat>,[<alpha>],<length>`, and the message."""
    kept: dict[int, Kept] = {}
    about: list[str] = []
    for line in lines:
        if line.startswith("+CMGL:"):
            about = [*read_fields(line), "", "", ""]
            if re.fullmatch(r"\d{1,3}", about[0]):
                kept[int(about[0])] = Kept(int(about[0]), about[1] in _RECEIVED, b"")
        elif about and re.fullmatch(r"\d{1,3}", about[0]):
            pdu, index = bytes.fromhex(line) if _HEX.fullmatch(line) else b"", int(about[0])
            # The length is without the service centre's address, which is in front of it.
            if pdu and number(about[3], 0, 999) == len(pdu) - 1 - pdu[0]:
                kept[index] = replace(kept[index], pdu=pdu)
            about = []
    return list(kept.values())


def read_storages(answer: Answer) -> tuple[str, str, bool]:
    """Of `+CPMS: <mem1>,<used>,<total>,<mem2>,…`: what is listed, where new ones go, whether that is full."""
    fields = [*read_fields(answer.lines[0] if answer.lines else ""), *[""] * 9]
    used, total = number(fields[7], 0, 9999), number(fields[8], 0, 9999)
    return fields[0], fields[6], used is not None and total is not None and used >= total > 0


class WireInbox:
    """Of one modem."""

    def __init__(self, on_sms: OnSms, ask: Callable[[Command], Awaitable[Answer]]) -> None:
        """`ask` raises ModemError where nothing comes."""
        self._on_sms, self._ask = on_sms, ask
        self._is_set_up = False
        self._refusals = 0
        """In a row: a card that starts refuses for a while."""
        self._seen_s: dict[int, float] = {}
        """Since when a part waits for the others, by its index."""

    def begin_anew(self) -> None:
        """The modem has forgotten what it was told."""
        self._is_set_up = False

    async def look(self) -> None:
        """Those that are there whole. Raises ModemError where the modem does not answer."""
        self._is_set_up = self._is_set_up or await self._set_up()
        if not self._is_set_up:
            return
        answer = await self._ask(commands.MESSAGES)
        if not answer.is_ok:
            self._warn(f"{commands.MESSAGES.text}: {answer.result}")
            return
        self._refusals = 0
        left = {each.index: each for each in read_list(answer.lines)}
        for indexes, message in _whole(left.values()):
            # First, so that one that is done and then comes to nothing is not looked at for ever.
            if await self._delete(indexes):
                await self._take(message)
            for index in indexes:
                left.pop(index, None)
        await self._clear(left)

    async def _set_up(self) -> bool:
        """Hexadecimal, and what is listed is where new ones go. A card that starts refuses both."""
        mode = await self._ask(commands.PDU_MODE)
        if not mode.is_ok:
            self._warn(f"{commands.PDU_MODE.text}: {mode.result}")
            return False
        listed, filled, _ = read_storages(await self._ask(commands.STORAGE))
        if listed != filled and filled in _STORAGES:
            await self._ask(commands.keep_in(filled))
        await self._ask(commands.MESSAGE_NEWS)  # refused, they are found by the next poll
        return True

    async def _take(self, message: Received) -> None:
        answer = await self._on_sms(message.text) if message.text else None
        if answer is None or not message.sender:
            return
        try:
            sent = await self._ask(commands.submit(*encode_submit(message.sender, answer)))
        except (ModemError, MessageError) as exc:
            log.warning(f"the answer to an SMS was not sent: {exc}")
        else:
            if not sent.is_ok:
                log.warning(f"the answer to an SMS was not sent: {sent.result}")

    async def _clear(self, left: dict[int, Kept]) -> None:
        """Parts whose others never came; and where nothing fits any more, all that is kept."""
        now_s = asyncio.get_running_loop().time()
        self._seen_s = {index: self._seen_s.get(index, now_s) for index in left}
        if not left:
            return
        _, _, is_full = read_storages(await self._ask(commands.STORAGE))
        if is_full:
            log.warning("the modem had no room left for messages: all that it kept are deleted")
        for index, each in left.items():
            if is_full or (each.is_received and now_s - self._seen_s[index] >= PARTS_S):
                await self._delete([index])

    async def _delete(self, indexes: list[int]) -> bool:
        answers = [await self._ask(commands.delete(index)) for index in indexes]
        refused = next((each for each in answers if not each.is_ok), None)
        if refused:
            log.warning(f"an SMS is not read: the modem refuses {refused.command.text}: {refused.result}")
        return refused is None

    def _warn(self, why: str) -> None:
        self._refusals += 1
        if self._refusals == WARN_AT:
            log.warning(f"no SMS is read or answered: the modem refuses {why}")


def _whole(kept: Iterable[Kept]) -> list[tuple[list[int], Received]]:
    """Messages with all their parts, and where these are; empty ones stand for what nobody can read."""
    whole: list[tuple[list[int], Received]] = []
    waiting: dict[tuple[str, int, int], dict[int, tuple[int, Received]]] = {}
    for each in kept:
        if not each.is_received or not each.pdu:
            continue
        try:
            message = parse_deliver(each.pdu)
        except MessageError as exc:
            log.debug("an SMS was not read: %s", exc)
            message = Received("", "")
        part = message.part
        if part.total == 1:
            whole.append(([each.index], message))
        elif part.total > MAX_PARTS:
            whole.append(([each.index], Received("", "")))
        else:
            parts = waiting.setdefault((message.sender, part.reference, part.total), {})
            parts[part.number] = (each.index, message)
    for (sender, _, total), parts in waiting.items():
        if len(parts) == total:
            text = "".join(parts[number][1].text for number in sorted(parts))
            whole.append(([index for index, _ in parts.values()], Received(sender, text)))
    return whole
