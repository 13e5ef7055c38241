"""How long bytes of an upload still arrive after somebody began to watch, over links with long queues."""

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.arguments import add_json, one_or_more
from dashboard import summary
from netlab.internet import internet
from netlab.plan import SERVER_IP, Plan
from netlab.shape import Shape
from rich.console import Console
from rich.table import Table

from agent.upload.parcel import PART_BYTES, Part
from agent.upload.sending import HaltedError, Sending
from agent.uploads import _Pace

PORT, ROOT, ONE_WAY_MS = 9100, Path(__file__).parents[2], 50.0
LINKS = {"1 Mb/s": 1e6, "5 Mb/s": 5e6}
QUEUE_S = 1.0
"""What a mobile modem may hold, at its rate."""
AFTER_S = (5.0, 8.0)
PATIENCE_S = 1200.0
SIZE_BYTES = 4 * PART_BYTES
"""So that none ends before it is cut off."""


def main(rounds, json_file):
    result = {}
    for name, rate_bps in LINKS.items():
        late_ms, rates = measure(rounds, rate_bps)
        worst = {"worst": round(max(late_ms), 1)}
        result[f"{name}: last byte after a viewer came, ms"] = summary(late_ms) | worst
        result[f"{name}: sent until then, kb/s"] = summary(rates)
    table = Table("", "n", "p50", "p95", "worst")
    for name, row in result.items():
        table.add_row(name, *(str(row.get(key, "")) for key in ("n", "p50", "p95", "worst")))
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


def measure(rounds, rate_bps):
    """How late the last byte of each part was, beside the way itself; and the rate until then."""
    uplink = Shape(rate_bps=rate_bps, queue_bytes=int(rate_bps * QUEUE_S / 8), delay_ms=ONE_WAY_MS)
    with internet(Plan("none", "none", uplink=uplink, downlink=Shape(delay_ms=ONE_WAY_MS))) as lab:
        env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{Path(__file__).parent}"}
        server = lab.spaces.start("server", "store", [sys.executable, __file__, "receive"], env=env)
        _until(lambda: "ready" in server.log(), server)
        words = [sys.executable, __file__, "send", str(rounds)]
        device = lab.spaces.start("device", "sender", words, env=env)
        _until(lambda: device.popen.poll() is not None, device)
        assert device.popen.returncode == 0, device.log()
        _until(lambda: len(_rows(server)) == rounds, server)
        pairs = list(zip(_rows(server), _rows(device), strict=True))
    late_ms = [max(0.0, last_s - halted_s) * 1000 - ONE_WAY_MS for (last_s, _), (_, halted_s) in pairs]
    return late_ms, [size * 8 / (halted_s - began_s) / 1000 for (_, size), (began_s, halted_s) in pairs]


def _rows(process):
    return [json.loads(line) for line in process.log().splitlines() if line.startswith("[")]


def _until(seen, process):
    ends_s = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < ends_s, process.log()
        time.sleep(0.05)


def receive():
    """A store that only counts: when the last byte of each connection came, and how many there were."""
    with socket.create_server(("", PORT)) as listener:
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            last_s, size_bytes = 0.0, 0
            try:
                while data := connection.recv(65536):
                    last_s, size_bytes = time.monotonic(), size_bytes + len(data)
            except OSError:
                pass
            print(json.dumps([last_s, size_bytes]), flush=True)


def send(rounds):
    """Parts that are cut off after some seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part"
        file.write_bytes(bytes(SIZE_BYTES))
        for _ in range(rounds):
            halted = []
            part = Part(1, f"http://{SERVER_IP}:{PORT}/part", 0, SIZE_BYTES)
            sending = Sending(file, SIZE_BYTES, part, _Pace(None), lambda: None)

            def halt(sending=sending, halted=halted):
                halted.append(time.monotonic())
                sending.halt()

            began_s = time.monotonic()
            timer = threading.Timer(random.uniform(*AFTER_S), halt)
            timer.start()
            try:
                sending.run()
            except HaltedError:
                print(json.dumps([began_s, halted[0]]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["receive"]:
        receive()
    elif sys.argv[1:2] == ["send"]:
        send(int(sys.argv[2]))
    else:
        parser = argparse.ArgumentParser(prog="scripts/bench upload", description=__doc__)
        parser.add_argument("--rounds", type=one_or_more, default=20)
        add_json(parser)
        arguments = parser.parse_args()
        main(arguments.rounds, arguments.json)
