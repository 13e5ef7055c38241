"""A short message as a modem keeps it and sends it: 3GPP TS 23.040 (TPDU), TS 23.038 (alphabets). Pure.

What comes is hostile: anybody who knows the number sends it.
"""

import re
from dataclasses import dataclass

from agent.errors import MessageError

MAX_PDU_BYTES = 12 + 164
"""Address of the service centre and the longest TPDU (TS 27.005 section 3.1, TS 23.040 section 9.2.3.24)."""
MAX_CHARS = 160
_NUMBER = re.compile(r"\+?\d{3,20}")
_ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""GSM 7 bit default alphabet (TS 23.038 section 6.2.1)."""
_ESCAPE = 0x1B
_EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|",
    0x65: "€",
}  # fmt: skip
_DELIVER = 0
"""TP-MTI of a message that was received."""
_HAS_HEADER = 0x40
_INTERNATIONAL, _ALPHANUMERIC = 0x10, 0x50
_KIND = 0x70
"""Type of number, within the type of an address (section 9.1.2.5)."""
_CONCATENATED = {0x00: 1, 0x08: 2}
"""Elements of a user data header that say which part it is: bytes of the reference (section 9.2.3.24)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which of a message that was too long for one; a whole one is the first of one."""

    reference: int = 0
    total: int = 1
    number: int = 1


@dataclass(frozen=True, slots=True)
class Received:
    """A message, or a part of one."""

    sender: str
    """A number that can be answered; empty for names, and for what is none."""
    text: str
    """Empty for what is no text."""
    part: Part = Part()


def parse_deliver(pdu: bytes) -> Received:
    """What a modem got. Raises MessageError `invalid`."""
    try:
        return _deliver(_Octets(pdu))
    except (IndexError, UnicodeDecodeError) as exc:
        raise MessageError("invalid", "not an SMS, or cut off") from exc


def encode_submit(number: str, text: str) -> tuple[bytes, int]:
    """What a modem sends, and how long `AT+CMGS` says that it is. Raises MessageError `invalid`."""
    septets = [_ALPHABET.find(char) for char in text]
    if not _NUMBER.fullmatch(number):
        raise MessageError("invalid", "not a telephone number")
    if len(text) > MAX_CHARS or any(each in (-1, _ESCAPE) for each in septets):
        raise MessageError("invalid", "not a text of one SMS")
    digits = number.removeprefix("+")
    kind = 0x91 if number.startswith("+") else 0x81
    address = bytes((len(digits), kind)) + _semi_octets(digits)
    # SMS-SUBMIT, reference 0 (the modem counts), and 7 bit text; how long it is kept is the network's choice.
    message = bytes((0x01, 0)) + address + bytes((0, 0, len(septets))) + _pack(septets)
    return b"\0" + message, len(message)  # by the service centre that the card names


class _Octets:
    """Read from the front. Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def one(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) < length:
            raise IndexError
        self._at += length
        return taken


def _deliver(octets: _Octets) -> Received:
    octets.take(octets.one())  # the service centre's address
    first = octets.one()
    if first & 0x03 != _DELIVER:
        raise MessageError("invalid", "not a message that was received")
    sender = _address(octets)
    octets.one()  # the protocol: to whatever it is addressed, it is text
    coding = octets.one()
    octets.take(7)  # when the service centre got it: by a clock that proves nothing
    length = octets.one()
    alphabet = _alphabet(coding)
    data = octets.take((length * 7 + 7) // 8 if alphabet == "7bit" else length)
    header = data[: data[0] + 1] if first & _HAS_HEADER else b""
    if len(header) > len(data):
        raise IndexError
    return Received(sender, _text(alphabet, data, length, len(header)), _part(header))


def _address(octets: _Octets) -> str:
    length, kind = octets.one(), octets.one()
    data = octets.take((length + 1) // 2)
    if kind & _KIND == _ALPHANUMERIC:
        return ""
    digits = data.hex()
    digits = "".join(b + a for a, b in zip(digits[::2], digits[1::2], strict=True))[:length]
    number = f"+{digits}" if kind & _KIND == _INTERNATIONAL else digits
    return number if _NUMBER.fullmatch(number) else ""


def _alphabet(coding: int) -> str:
    """TS 23.038 section 4: `7bit`, `ucs2`, or `8bit`, which is no text."""
    group = coding >> 4
    if group >= 0x0F:
        return "8bit" if coding & 0x04 else "7bit"
    if group >= 0x0C:  # messages that wait
        return "ucs2" if group == 0x0E else "7bit"
    if group >= 0x08 or coding & 0x20:  # reserved, compressed
        return "8bit"
    return ("7bit", "8bit", "ucs2", "8bit")[coding >> 2 & 0x03]


def _text(alphabet: str, data: bytes, length: int, header_bytes: int) -> str:
    if alphabet == "7bit":
        septets = _unpack(data, length)
        return _decode(septets[(header_bytes * 8 + 6) // 7 :])
    return data[header_bytes:].decode("utf-16-be") if alphabet == "ucs2" else ""


def _part(header: bytes) -> Part:
    octets = _Octets(header)
    left = octets.one() if header else 0
    while left > 0:
        element, size = octets.one(), octets.one()
        value = octets.take(size)
        left -= 2 + size
        if element in _CONCATENATED and _CONCATENATED[element] == size - 2:
            part = Part(int.from_bytes(value[:-2]), value[-2], value[-1])
            if not 1 <= part.number <= part.total:
                raise IndexError
            return part
    return Part()


def _unpack(data: bytes, count: int) -> list[int]:
    """Septets, of which the first begins at the lowest bit (TS 23.038 section 6.1.2.1)."""
    bits = int.from_bytes(data, "little")
    return [bits >> 7 * place & 0x7F for place in range(min(count, MAX_CHARS))]


def _pack(septets: list[int]) -> bytes:
    bits = sum(each << 7 * place for place, each in enumerate(septets))
    return bits.to_bytes((len(septets) * 7 + 7) // 8, "little")


def _decode(septets: list[int]) -> str:
    text, is_escaped = "", False
    for each in septets:
        if each == _ESCAPE and not is_escaped:
            is_escaped = True
            continue
        text += _EXTENSION.get(each, _ALPHABET[each]) if is_escaped else _ALPHABET[each]
        is_escaped = False
    return text


def _semi_octets(digits: str) -> bytes:
    padded = digits + "f" * (len(digits) % 2)
    return bytes.fromhex("".join(b + a for a, b in zip(padded[::2], padded[1::2], strict=True)))
