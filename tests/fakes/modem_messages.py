"""Short messages in a simulated modem: what it keeps, what it says of them, and what was sent by it.

Its coding is its own, so that the agent's is not its own judge: a string of bits for the 7 bit alphabet, of
which only the letters are known that are what they are in ASCII.
"""

import re
from dataclasses import dataclass, field

NO_CARD = ["+CMS ERROR: 310"]
"""TS 27.005 section 3.2.5: SIM not inserted."""
FORBIDDEN = ["+CMS ERROR: 302"]


def septets(text: str) -> str:
    """Hexadecimal."""
    bits = "".join(f"{ord(char):07b}"[::-1] for char in text)
    return "".join(f"{int(bits[i : i + 8][::-1].rjust(8, '0'), 2):02X}" for i in range(0, len(bits), 8))


def swapped(number: str) -> str:
    """Length, type and digits of an address, hexadecimal."""
    digits = number.lstrip("+")
    padded = digits + "F" * (len(digits) % 2)
    pairs = "".join(padded[i + 1] + padded[i] for i in range(0, len(padded), 2))
    return f"{len(digits):02X}{'91' if number.startswith('+') else '81'}{pairs}"


def deliver_pdu(text: str, sender: str, *, header: str = "", is_ucs2: bool = False) -> str:
    """An SMS-DELIVER, hexadecimal; a `header` only with UCS-2."""
    if is_ucs2:
        data = header + text.encode("utf-16-be").hex().upper()
        length = len(data) // 2
    else:
        data, length = septets(text), len(text)
    first, coding = ("44" if header else "04"), ("08" if is_ucs2 else "00")
    return f"07911326040000F0{first}{swapped(sender)}00{coding}11218011525200{length:02X}{data}"


def submitted(pdu: str) -> tuple[str, str]:
    """Number and text of an SMS-SUBMIT."""
    octets = bytes.fromhex(pdu)
    assert octets[0] == 0, "by the service centre of the card"
    assert octets[1] & 0x1F == 0x01, "an SMS-SUBMIT without a time"
    digits, kind = octets[3], octets[4]
    end = 5 + (digits + 1) // 2
    number = "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in octets[5:end])[:digits]
    assert octets[end : end + 2] == bytes(2), "text, in 7 bit"
    bits = "".join(f"{octet:08b}"[::-1] for octet in octets[end + 3 :])
    text = "".join(chr(int(bits[i * 7 : i * 7 + 7][::-1], 2)) for i in range(octets[end + 2]))
    return ("+" if kind == 0x91 else "") + number, text


@dataclass
class Messages:
    """One modem's."""

    size: int = 23
    listed: str = "ME"
    """What is read of, where the new ones go to ME."""
    kept: dict[int, tuple[int, str]] = field(default_factory=dict)
    """`<stat>` and hexadecimal, by index."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    is_as_text: bool = True
    """As somebody left it."""
    refuses_to_send: bool = False
    is_mute: bool = False
    """No prompt comes."""
    _tells: bool = False
    length: int | None = None
    """Of what is being written at a prompt."""

    def deliver(self, pdu: str) -> list[str]:
        """A message comes; the news of it."""
        free = [index for index in range(self.size) if index not in self.kept]
        if not free:
            return []
        self.kept[free[0]] = (0, pdu)
        return [f'+CMTI: "ME",{free[0]}'] if self._tells else []

    def restart(self) -> None:
        """What it was told is gone, and nothing that it keeps."""
        self.is_as_text, self._tells, self.length = True, False, None

    def answer(self, command: str) -> list[str] | None:
        """All lines with the result; `>` for a prompt; None for what has nothing to do with it."""
        name, sign, value = re.match(r"([^=?]*)([=?]?)(.*)", command).groups()  # type: ignore[union-attr]
        act = {
            "+CMGF=": self._set_form,
            "+CNMI=": self._set_news,
            "+CPMS?": self._count,
            "+CPMS=": self._choose,
            "+CMGL=": self._list,
            "+CMGD=": self._delete,
            "+CMGS=": self._ask_for,
        }.get(name + sign)
        return act(value) if act else None

    def _set_form(self, value: str) -> list[str]:
        self.is_as_text = value == "1"
        return ["OK"]

    def _set_news(self, value: str) -> list[str]:
        self._tells = value == "2,1"
        return ["OK"]

    def _count(self, _value: str) -> list[str]:
        counts = f"{len(self.kept)},{self.size}"
        return [f'+CPMS: "{self.listed}",{counts},"ME",{counts},"ME",{counts}', "OK"]

    def _choose(self, value: str) -> list[str]:
        self.listed = value.strip('"')
        return [f"+CPMS: {len(self.kept)},{self.size},0,23,0,23", "OK"]

    def _delete(self, value: str) -> list[str]:
        return ["OK"] if self.kept.pop(int(value), None) else ["+CMS ERROR: 321"]

    def _ask_for(self, value: str) -> list[str]:
        if self.is_mute:
            return []
        self.length = int(value)
        return FORBIDDEN if self.refuses_to_send else [">"]

    def write(self, pdu: str) -> list[str]:
        """What was written at the prompt."""
        assert len(pdu) // 2 - 1 == self.length, "as long as it was said to be"
        self.length = None
        self.sent.append(submitted(pdu))
        return [f"+CMGS: {len(self.sent)}", "OK"]

    def _list(self, value: str) -> list[str]:
        assert (value, self.is_as_text) == ("4", False), "a stranger's lines would be a modem's"
        lines = []
        for index, (stat, pdu) in sorted(self.kept.items()) if self.listed == "ME" else ():
            lines += [f"+CMGL: {index},{stat},,{len(pdu) // 2 - 1 - int(pdu[:2], 16)}", pdu]
            self.kept[index] = (max(stat, 1), pdu)
        return [*lines, "OK"]
