"""A modem as ModemManager sees one: AT commands (3GPP TS 27.007, V.250) over a Unix socket.

`python3 at_modem.py SOCKET LOG PIN`, where SOCKET is an abstract name; without a PIN it has no SIM card. It
knows one packet data context, and writes each command that it gets into LOG.
"""

import re
import socket
import sys
from pathlib import Path

ANSWERS = {
    "+GCAP": "+GCAP: +CGSM",
    "I": "Manufacturer: Pinhole\r\nModel: AT modem",
    "+CGMI": "Pinhole",
    "+CGMM": "AT modem",
    "+CGMR": "1",
    "+CGSN": "490154203237518",
    "+CIMI": "001010123456789",
    "+CFUN?": "+CFUN: 1",
    "+CREG?": '+CREG: 2,1,"1234","001122BB"',
    "+CGREG?": '+CGREG: 2,1,"31C5","0083F7CD"',
    "+COPS=3,2;+COPS?": '+COPS: 0,2,"00101",2',
    "+COPS=3,0;+COPS?": '+COPS: 0,0,"Test network",2',
    "+CGDCONT=?": '+CGDCONT: (1-11),"IP",,,(0-2),(0-3)',
    "+CSCS=?": '+CSCS: ("IRA","UCS2","GSM")',
    "+CSCS?": '+CSCS: "IRA"',
    "+WS46=?": "+WS46: (12,22)",
    "+CSQ": "+CSQ: 17,99",
    "+CESQ=?": "+CESQ: (0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)",
    "+CESQ": "+CESQ: 99,99,255,255,18,44",  # RSRQ -11 dB, RSRP -97 dBm
    "+CGACT?": "+CGACT: 1,0",
    "+CLCK=?": '+CLCK: ("SC")',
    "+CMGF=?": "+CMGF: (0,1)",
}
REFUSED = re.compile(r"\+(CNMI|CUSD|CPMS|CMER|CIND|CCLK|CTZU|CRSM|CEREG|CPOL|CGCONTRDP)|\*|\^|\$|#")
"""What it does not have."""

NO_SIM = "\r\n+CME ERROR: 10\r\n"
"""3GPP TS 27.007 section 9.2.1: SIM not inserted."""


class Modem:
    """Answers one command after the other; `locked` until the PIN came."""

    def __init__(self, pin: str) -> None:
        self.pin, self.locked, self.context, self.format = pin, True, "", "0"

    def answer(self, command: str) -> str:
        """What it says to `command`, without its AT."""
        if command == "+CPIN?":
            return self.good(f"+CPIN: {'SIM PIN' if self.locked else 'READY'}") if self.pin else NO_SIM
        if command.startswith("+CPIN="):
            self.locked = self.locked and command != f'+CPIN="{self.pin}"'
            return "\r\n+CME ERROR: 16\r\n" if self.locked else self.good()
        if command.startswith("+CGDCONT="):
            self.context = command.partition("=")[2]
        if command == "+CGDCONT?":
            return self.good(f"+CGDCONT: {self.context},,0,0" if self.context else "")
        if command.startswith("D"):
            return "\r\nCONNECT\r\n"
        if command in ("+COPS=3,0", "+COPS=3,2"):
            self.format = command[-1]
        if command == "+COPS?":
            command = f"+COPS=3,{self.format};+COPS?"
        if command in ANSWERS:
            return self.good(ANSWERS[command])
        return "\r\nERROR\r\n" if REFUSED.match(command) else self.good()

    @staticmethod
    def good(text: str = "") -> str:
        """V.250: information text, then the result."""
        return f"\r\n{text}\r\n\r\nOK\r\n" if text else "\r\nOK\r\n"


def main(name: str, log: Path, pin: str) -> None:
    modem = Modem(pin)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        while True:
            with server.accept()[0] as port:
                serve(port, modem, log)


def received(port: socket.socket) -> bytes:
    """Empty once the other end has hung up."""
    try:
        return port.recv(4096)
    except ConnectionError:
        return b""


def serve(port: socket.socket, modem: Modem, log: Path) -> None:
    """Until the other end hangs up."""
    buffer = b""
    while data := received(port):
        *lines, buffer = (buffer + data).split(b"\r")
        for line in lines:
            command = line.decode("ascii", "replace").strip()
            with log.open("a") as file:
                file.write(command + "\n")
            if command.upper().startswith("AT"):
                port.sendall(modem.answer(command[2:]).encode())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "".join(sys.argv[3:]))
