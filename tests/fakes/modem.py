"""A modem as its AT port shows it, with its cell, its card, its USB port, and what goes wrong in them.

`SimModem` is a state and a clock: bytes and times in, bytes out. `PluggedModem` puts one at
the end of a wire (`tests/parts/terminal.py`).
What it says is what the modems in tests/data/modem said.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from fakes.modem_messages import NO_CARD, Messages, deliver_pdu
from parts.terminal import SocketWire, Terminal

Fault = Literal[
    "bearer",  # registered, and the data connection is dead: a new one helps
    "detached",  # registered, and there is no data connection: a new one helps
    "replugged",  # is gone from USB for a while, and then it is "detached"
    "radio",  # says that it is registered, and is not: radio off and on
    "zombie",  # says OK to everything, and nothing works: a reset
    "silent",  # does not answer: its USB port off and on
    "garbage",  # answers noise: its USB port off and on
    "vanished",  # is gone from USB: its power off and on
    "hung",  # says OK to everything, and nothing works: its power off and on
    "dead",  # does not answer: its power off and on
    "no-usb",  # is gone from USB with the whole of it: a reboot of the board
    "denied",
    "no-coverage",
    "no-sim",
    "pin",
]
CURES: dict[Fault, tuple[str, ...]] = {
    "bearer": ("bearer", "radio", "reset", "usb", "power"),
    "detached": ("bearer", "radio", "reset", "usb", "power"),
    "replugged": ("bearer", "radio", "reset", "usb", "power"),
    "radio": ("radio", "reset", "usb", "power"),
    "zombie": ("reset", "usb", "power"),
    "silent": ("usb", "power"),
    "garbage": ("usb", "power"),
    "vanished": ("power",),
    "hung": ("power",),
    "dead": ("power",),
    "no-usb": ("reboot",),
}
"""What helps, and of these a reboot always; of the others nothing does but that they end."""
GONE: tuple[Fault, ...] = ("vanished", "replugged", "no-usb")
BOOT_S, REGISTER_S, ATTACH_S, OFF_S = 12.0, 4.0, 2.0, 1.5
"""From power to a port; from a radio that is on to a network; from there to data; a USB port or power off."""


TURN_S = 0.05


@dataclass
class SimModem:
    """One modem. All times are seconds of one clock."""

    maker: str = "Quectel"
    model: str = "EG25"
    echo: bool = True
    fault: Fault | None = None
    until_s: float = float("inf")
    """When the fault is over by itself."""
    cause: int = 15
    """Of a registration that is denied."""
    rsrp_dbm: int = -97
    first_cpsi_fails: bool = True
    boot_s: float = BOOT_S
    register_s: float = REGISTER_S
    tells: bool = True
    """It has news of what goes wrong; else it is only asked."""
    noise: Callable[[bytes], bytes] = lambda data: bytes(0x80 | byte for byte in data) + b"\xff\x00\r\n\x7e"
    """What it says to what it got where it answers noise."""
    messages: Messages = field(default_factory=Messages)
    apn: str = "internet.example"
    needs_apn: str = ""
    """The only one by which there is data; empty where any does."""
    receiver: str = ""
    """The command by which its satellite receiver is switched on, such as `QGPS`; empty where it has none."""
    is_receiver_on: bool = False
    carried: tuple[int, int] | None = None
    """Sent and received, as a Quectel that counts tells it."""
    _born_s: float = 0.0
    """There is a port from here on."""
    _radio_s: float | None = 0.0
    _bearer_s: float | None = REGISTER_S + ATTACH_S
    _rest: bytes = b""
    _out: bytearray = field(default_factory=bytearray)
    _is_data: bool = False
    _is_prompt: bool = False
    _typed: bytes = b""
    got: list[str] = field(default_factory=list)
    """Every command that came."""

    def strike(self, fault: Fault, now_s: float, until_s: float = float("inf")) -> None:
        """Something goes wrong from now on."""
        self.fault, self.until_s = fault, until_s
        if fault == "detached":
            self._bearer_s = None
        if self.tells and fault in ("denied", "no-coverage", "no-sim", "pin", "radio"):
            self._say(*self._registration_news(now_s))

    def is_there(self, now_s: float) -> bool:
        """Its USB port shows."""
        return self.fault_at(now_s) not in GONE and now_s >= self._born_s

    def has_data(self, now_s: float) -> bool:
        """What it is for."""
        is_well = self.fault_at(now_s) is None and self.is_there(now_s) and self.needs_apn in ("", self.apn)
        return is_well and self._bearer_s is not None and now_s >= self._bearer_s

    def fault_at(self, now_s: float) -> Fault | None:
        """What is wrong with it now."""
        if self.fault and now_s >= self.until_s:
            if self.fault == "replugged":
                self._restart(now_s, 0)
                self.strike("detached", now_s)
            else:
                self.fault = None
                self._bearer_s = now_s + self.register_s + ATTACH_S
        return self.fault

    def changes_s(self, now_s: float) -> float:
        """When it does something by itself again."""
        return min((each for each in (self._born_s, self.until_s) if each > now_s), default=float("inf"))

    def reauthorize(self, now_s: float) -> None:
        """Its USB port, off and on."""
        self._cure("usb", now_s)
        self._restart(now_s, OFF_S)

    def power_cycle(self, now_s: float) -> None:
        """Its power, off and on."""
        self._cure("power", now_s)
        self._restart(now_s, OFF_S + self.boot_s)

    def reboot(self, now_s: float) -> None:
        """Of the board: it gets its power anew."""
        self.fault = None if self.fault in CURES else self.fault
        self._restart(now_s, self.boot_s)

    def receive(self, data: bytes, now_s: float) -> None:
        """What its port gets."""
        fault = self.fault_at(now_s)
        if not self.is_there(now_s) or fault in ("silent", "dead"):
            return
        if fault == "garbage":
            self._out += self.noise(data)
            return
        if self._is_data:
            if data == b"+++":
                self._is_data = False
                self._say("OK")
            return
        if self._is_prompt:
            self._write(data)
            return
        if self.echo:
            self._out += data
        *lines, self._rest = (self._rest + data).split(b"\r")
        for line in lines:
            self._do(line.decode("ascii", "replace").strip(), now_s)

    def transmit(self) -> bytes:
        """What its port says, since it was last asked."""
        said = bytes(self._out)
        self._out.clear()
        return said

    def say(self, *lines: str) -> None:
        """News."""
        self._say(*lines)

    def deliver(self, text: str, sender: str = "+4915140075573") -> None:
        """Somebody sends a message to it."""
        self._say(*self.messages.deliver(deliver_pdu(text, sender)))

    def enter_data_mode(self) -> None:
        """As if somebody had dialled."""
        self._is_data = True
        self._say("CONNECT 150000000")

    def enter_prompt(self) -> None:
        """As if somebody had begun to write a message, and gone."""
        self._is_prompt, self._typed = True, b""
        self._out += b"\r\n> "

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._out += b"\r\n" + line.encode() + b"\r\n"

    def _write(self, data: bytes) -> None:
        """At a prompt."""
        self._typed += data
        if b"\x1b" in data or (b"\x1a" in data and self.messages.length is None):
            self._is_prompt = False
            self._say("OK")
        elif b"\x1a" in data:
            self._is_prompt = False
            self._say(*self.messages.write(self._typed.partition(b"\x1a")[0].decode()))
        elif self.messages.length is None:
            self._out += b"\r\n> "

    def _do(self, line: str, now_s: float) -> None:
        self.got.append(line)
        if not line.upper().startswith("AT"):
            return
        command = line[2:]
        if self.fault == "hung" or (self.fault == "zombie" and command != "+CFUN=1,1"):
            self._say(*self._told(command, now_s), "OK")
            return
        act = {
            "+CFUN=4": lambda: self._radio(on=False, now_s=now_s),
            "+CFUN=1": lambda: self._radio(on=True, now_s=now_s),
            "+CFUN=1,1": lambda: self._reset(now_s),
            "+CGATT=0": self._end_bearer,
            "+CGATT=1": lambda: self._begin_bearer(now_s),
            "+CGACT=1,1": lambda: self._begin_bearer(now_s),
            "+CGACT=0,1": self._end_bearer,
            "E0": self._end_echo,
        }.get(command)
        if act:
            act()
            self._say("OK")
        elif command == "+CPSI?" and self.first_cpsi_fails:
            self.first_cpsi_fails = False
            self._say("ERROR")
        elif command == "+CPIN?" and self.fault == "no-sim":
            self._say("+CME ERROR: 10")
        elif self._is_kept(command):
            pass
        elif re.fullmatch(r"|\+C(E|G|5G)REG=[23]|\+CMEE=1|\+COPS=3,0|H", command):
            self._say("OK")
        elif told := self._told(command, now_s):
            self._say(*told, "OK")
        else:
            self._say("ERROR")

    def _is_kept(self, command: str) -> bool:
        """Whether it is of what a card or a modem keeps; then it was answered."""
        said = self.messages.answer(command)
        if self.receiver and command == f"+{self.receiver}?":
            said = [f"+{self.receiver}: {int(self.is_receiver_on)}", "OK"]
        elif self.receiver and command == f"+{self.receiver}=1":
            said = ["+CME ERROR: 504" if self.is_receiver_on else "OK"]
            self.is_receiver_on = True
        if said == [">"]:
            self.enter_prompt()
        elif said is not None:
            self._say(*(NO_CARD if self.fault in ("no-sim", "pin") else said))
        elif found := re.fullmatch(r'\+CGDCONT=1,"IP","(.*)"', command):
            self.apn = found[1]
            self._say("OK")
            return True
        return said is not None

    def _told(self, command: str, now_s: float) -> list[str]:
        """The lines of an answer."""
        registered = self._stat(now_s) == 1
        power = self.rsrp_dbm if registered or self.fault == "denied" else None
        answers = {
            "+CGMI": [self.maker],
            "+CGMM": [self.model],
            "+CFUN?": [f"+CFUN: {4 if self._radio_s is None else 1}"],
            "+CPIN?": ["+CPIN: SIM PIN" if self.fault == "pin" else "+CPIN: READY"],
            "+CEREG?": [f"+CEREG: 3,{self._registration(now_s)}"],
            "+CGREG?": ["+CGREG: 2,0"],
            "+COPS?": ['+COPS: 0,0,"Test network",7' if registered else "+COPS: 0"],
            "+CSQ": [f"+CSQ: {99 if power is None else 19},99"],
            "+CESQ": [
                f"+CESQ: 99,99,255,255,{255 if power is None else 20},{255 if power is None else power + 141}"
            ],
            "+CGPADDR": ['+CGPADDR: 1,"10.37.1.2"' if self._has_address(now_s) else '+CGPADDR: 1,"0.0.0.0"'],
            "+CGDCONT?": [f'+CGDCONT: 1,"IP","{self.apn}","0.0.0.0",0,0'],
            "+CGACT?": [f"+CGACT: 1,{int(self._bearer_s is not None)}"],
        }
        if self.maker == "Quectel":
            answers |= {
                "+QNWINFO": ['+QNWINFO: "FDD LTE","22802","LTE BAND 20",6200'],
                '+QENG="servingcell"': [
                    '+QENG: "servingcell","NOCONN","LTE","FDD",228,02,1C00B01,64,6200,20,4,4,B3B3,'
                    f"{power},-8,-66,12,30"
                    if registered
                    else '+QENG: "servingcell","SEARCH"'
                ],
                "+QTEMP": ["+QTEMP: 36,34,33"],
            }
            if self.carried:
                answers["+QGDCNT?"] = ["+QGDCNT: {},{}".format(*self.carried)]
        else:
            answers |= {
                "+CPSI?": [
                    "+CPSI: LTE,Online,228-02,0x9C01,20001001,46,EUTRAN-BAND20,6200,3,3,"
                    f"-85,{power * 10},-660,12"
                    if registered and power
                    else "+CPSI: NO SERVICE,Online"
                ],
                "+CPMUTEMP": ["+CPMUTEMP: 29"],
            }
        return answers.get(command, [])

    def _stat(self, now_s: float) -> int:
        """`<stat>` of +CEREG."""
        if self.fault == "denied":
            return 3
        if self.fault in ("no-coverage", "no-sim", "pin") or self._radio_s is None:
            return 0 if self._radio_s is None else 2
        return 1 if now_s >= self._radio_s + self.register_s else 2

    def _registration(self, now_s: float) -> str:
        stat = self._stat(now_s)
        if stat == 1:
            return '1,"B3B3","01C00B01",7'
        return f"3,,,,0,{self.cause}" if stat == 3 else str(stat)

    def _registration_news(self, now_s: float) -> list[str]:
        return [f"+CEREG: {self._registration(now_s)}"]

    def _has_address(self, now_s: float) -> bool:
        return self._stat(now_s) == 1 and self._bearer_s is not None and now_s >= self._bearer_s

    def _cure(self, step: str, now_s: float) -> None:
        if self.fault and step in CURES.get(self.fault, ()):
            self.fault = None
        if self._radio_s is not None:
            self._bearer_s = max(now_s, self._radio_s + self.register_s) + ATTACH_S

    def _restart(self, now_s: float, after_s: float) -> None:
        self._born_s = self._radio_s = now_s + after_s
        self._bearer_s = self._born_s + self.register_s + ATTACH_S
        self.echo, self.first_cpsi_fails, self._is_data, self._rest = True, True, False, b""
        self._is_prompt = False
        self.messages.restart()
        self.is_receiver_on = False
        self._out.clear()
        if self.fault is None:
            self._say("RDY")

    def _radio(self, *, on: bool, now_s: float) -> None:
        if not on:
            self._radio_s = self._bearer_s = None
        elif self._radio_s is None:
            self._radio_s = now_s
            self._cure("radio", now_s)

    def _reset(self, now_s: float) -> None:
        self._cure("reset", now_s)
        self._restart(now_s, self.boot_s)

    def _end_bearer(self) -> None:
        self._bearer_s = None

    def _begin_bearer(self, now_s: float) -> None:
        if self._bearer_s is None:
            self._cure("bearer", now_s)

    def _end_echo(self) -> None:
        self.echo = False


class PluggedModem:
    """A modem at the device's end of a wire, for as long as it is told the time."""

    def __init__(self, modem: SimModem, wire: Terminal | SocketWire) -> None:
        self.modem, self.wire = modem, wire

    def turn(self, now_s: float) -> None:
        """What happened since the last turn: plugged, unplugged, heard, said."""
        is_there = self.modem.is_there(now_s)
        if self.wire.is_plugged != is_there:
            self.wire.plug() if is_there else self.wire.unplug()
        if not is_there:
            return
        if heard := self.wire.heard():
            self.modem.receive(heard, now_s)
        if said := self.modem.transmit():
            with contextlib.suppress(BlockingIOError):
                self.wire.say(said)

    async def run(self) -> None:
        """Until cancelled, by the loop's clock."""
        loop = asyncio.get_running_loop()
        while True:
            self.turn(loop.time())
            await asyncio.sleep(TURN_S)
