"""Runs on the board: takes a command a line from the virtio port, as JSON, and answers with one line."""

import json
import subprocess
from pathlib import Path

PORT = "/dev/virtio-ports/org.pinhole.commands"

with Path(PORT).open("r+b", buffering=0) as port:  # it can be opened once at a time
    port.write(b'{"ready": true}\n')
    rest = b""
    while True:
        rest += port.read(65536)
        while b"\n" in rest:
            line, _, rest = rest.partition(b"\n")
            asked = json.loads(line)
            try:
                done = subprocess.run(
                    ["/bin/sh", "-c", asked["command"]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, timeout=asked["timeout_s"], check=False,
                )  # fmt: skip
                code, said = done.returncode, done.stdout
            except subprocess.TimeoutExpired as exc:
                code, said = 124, (exc.stdout or b"") + b"\n[it took too long]"
            port.write(json.dumps({"code": code, "said": said.decode(errors="replace")}).encode() + b"\n")
