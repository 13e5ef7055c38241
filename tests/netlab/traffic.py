"""Numbered UDP packets through the lab, to measure what a link does to them; and a TCP upload beside others.

`python -m netlab.traffic receive PORT` prints a JSON list of [number, delay in ms, arrival in s] when it is
told to end; `… send HOST PORT COUNT BYTES INTERVAL_US` sends. One machine has one monotonic clock, so delays
are one way. `… take PORT` prints a line [s, bytes] for each tenth of a second of `… upload HOST PORT`.
"""

import json
import signal
import socket
import struct
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from netlab.internet import Internet
from netlab.namespaces import LabError, Process

PORT, UPLOAD_PORT = 9000, 9001
IP_UDP_HEADER_BYTES = 28
QUIET_S = 0.5
UPLOAD_STEP_S = 0.1
_STAMP = struct.Struct("!IQ")


@dataclass
class Received:
    """What came, in order of arrival; filled when the receiver has ended."""

    numbers: list[int] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)


@contextmanager
def receiving(lab: Internet, host: str = "server"):
    """Receive in `host` until the end of the block, and a little longer for what is on its way."""
    received = Received()
    process = _start_ready(lab, host, f"receiver-{host}", "receive", PORT)
    yield received
    time.sleep(QUIET_S)
    process.stop(signal.SIGINT)
    for number, delay_ms, arrival_s in json.loads(process.log().splitlines()[-1]):
        received.numbers.append(number)
        received.delays_ms.append(delay_ms)
        received.arrivals_s.append(arrival_s)


def send(
    lab: Internet, host: str, to: str, *, count: int, size_bytes: int = 1500, interval_us: float
) -> None:
    """Send `count` packets of `size_bytes`, IP and UDP headers included, and return after the last."""
    payload_bytes = size_bytes - IP_UDP_HEADER_BYTES
    argv = _argv("send", to, PORT, count, payload_bytes, interval_us)
    lab.spaces.run(host, "env", f"PYTHONPATH={_environment()['PYTHONPATH']}", *argv, timeout_s=60)


@dataclass
class Upload:
    """One TCP connection that sends what it can."""

    sender: Process
    taker: Process

    def arrived(self) -> list[tuple[float, int]]:
        """End it; (seconds on the monotonic clock, bytes since the one before). Raises LabError."""
        ended = self.sender.popen.poll() is not None
        self.sender.stop()
        self.taker.stop()
        if ended:
            raise LabError(f"the upload ended by itself: {self.sender.log().strip()}")
        return [(at_s, size_bytes) for at_s, size_bytes in map(json.loads, self.taker.log().splitlines()[1:])]


def start_upload(lab: Internet, host: str, to: str, to_ip: str) -> Upload:
    """Let `host` send to the host `to` until the lab's end, or until `arrived` is asked."""
    taker = _start_ready(lab, to, "upload-taker", "take", UPLOAD_PORT)
    argv = _argv("upload", to_ip, UPLOAD_PORT)
    return Upload(lab.spaces.start(host, "upload-sender", argv, env=_environment()), taker)


def _start_ready(lab: Internet, host: str, name: str, *arguments: object) -> Process:
    process = lab.spaces.start(host, name, _argv(*arguments), env=_environment())
    while "ready" not in process.log():
        assert process.popen.poll() is None, process.log()
        time.sleep(0.01)
    return process


def _argv(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "netlab.traffic", *map(str, arguments)]


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[1])}


def _receive(port: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    sock.bind(("", port))
    print("ready", flush=True)
    rows = []
    try:
        while True:
            data = sock.recv(2048)
            now_ns = time.monotonic_ns()
            number, sent_ns = _STAMP.unpack_from(data)
            rows.append([number, (now_ns - sent_ns) / 1e6, now_ns / 1e9])
    except KeyboardInterrupt:
        print(json.dumps(rows), flush=True)


def _send(host: str, port: int, count: int, payload_bytes: int, interval_us: float) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    start_ns = time.monotonic_ns()
    for number in range(count):
        wait_ns = start_ns + number * interval_us * 1000 - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        stamp = _STAMP.pack(number, time.monotonic_ns())
        sock.sendto(stamp + bytes(payload_bytes - len(stamp)), (host, port))


def _take(port: int) -> None:
    with socket.create_server(("", port)) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
        while True:
            until_s, size_bytes = time.monotonic() + UPLOAD_STEP_S, 0
            while (now_s := time.monotonic()) < until_s:
                data = connection.recv(65536)
                if not data:
                    return
                size_bytes += len(data)
            print(json.dumps([now_s, size_bytes]), flush=True)


def _upload(host: str, port: int) -> None:
    with socket.socket() as sock:
        # Most senders' (RFC 9438), whatever this machine's kernel has for a default.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        sock.connect((host, port))
        while True:
            sock.sendall(bytes(65536))


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        _receive(int(sys.argv[2]))
    elif sys.argv[1] == "take":
        _take(int(sys.argv[2]))
    elif sys.argv[1] == "upload":
        _upload(sys.argv[2], int(sys.argv[3]))
    else:
        _send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
