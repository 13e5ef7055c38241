"""Ask a modem: at.py DEVICE COMMAND prints its answer. With --hold the port stays open until it is lost."""

import os
import select
import sys
import time
import tty

LIMIT_S = 20


def ask(handle: int, command: str) -> str:
    """The answer up to OK or ERROR."""
    os.write(handle, f"{command}\r".encode())
    said, deadline_s = b"", time.monotonic() + LIMIT_S
    while not said.rstrip().endswith((b"OK", b"ERROR")):
        if not select.select([handle], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            sys.exit(f"no answer: {said!r}")
        data = os.read(handle, 256)
        if not data:
            sys.exit("hung up")
        said += data
    return " ".join(said.decode().split())


port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
tty.setraw(port)
print(ask(port, sys.argv[2]), flush=True)
if "--hold" in sys.argv:
    try:
        while True:
            select.select([port], [], [])
            if not os.read(port, 256):
                raise OSError("end of file")  # noqa: TRY301
    except OSError as exc:
        print(f"lost: {exc}", flush=True)
    time.sleep(600)  # as a program that has not noticed: its number is not free yet
