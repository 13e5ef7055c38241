"""The modem's side of its AT ports: answers as an EC25 does, however often it is plugged in."""

import os
import sys
import threading
import time
import tty

ANSWERS = {
    "ATI": "Quectel\r\nEC25\r\nRevision: EC25EFAR06A01M4G",
    "AT+CGMI": "Quectel",
    "AT+CGMM": "EC25",
    "AT+CGMR": "EC25EFAR06A01M4G",
    "AT+CGSN": "867000000000001",
    "AT+GCAP": "+GCAP: +CGSM,+FCLASS",
    "AT+CPIN?": "+CPIN: READY",
    "AT+CFUN?": "+CFUN: 1",
    "AT+CSQ": "+CSQ: 21,99",
}


def serve(port: str) -> None:
    """One line at a time; what is not known is good."""
    while True:
        try:
            handle = os.open(port, os.O_RDWR | os.O_NOCTTY)
            try:
                tty.setraw(handle)
                rest = b""
                while data := os.read(handle, 256):
                    *lines, rest = (rest + data).split(b"\r")
                    for line in lines:
                        answer = ANSWERS.get(line.decode(errors="replace").strip().upper())
                        words = f"\r\n{answer}\r\n" if answer else ""
                        os.write(handle, f"{words}\r\nOK\r\n".encode())
            finally:
                os.close(handle)
        except OSError:
            pass  # unplugged
        time.sleep(0.2)


for name in sys.argv[1:]:
    threading.Thread(target=serve, args=(name,)).start()
