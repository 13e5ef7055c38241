"""A test's hold on the link emulator: start it, change it while traffic flows, ask what it did."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from netlab.emulator import MAX_COMMAND_BYTES
from netlab.namespaces import LabError, Namespaces, Process
from netlab.shape import Counters, Passage, Shape

TESTS = Path(__file__).parents[1]
TUN = Path("/dev/net/tun")
START_TIMEOUT_S = 60.0
REPLY_TIMEOUT_S = 30.0
Side = Literal["uplink", "downlink", "both"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Since the start; lateness is how long after its time a packet left."""

    uplink: Counters
    downlink: Counters
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


@dataclass
class Link:
    """A running emulator."""

    control: socket.socket
    process: Process

    def change(self, side: Side = "both", **changes: Any) -> None:
        """Set fields of `Shape` from now on, as in `change("uplink", rate_bps=400e3)`. Raises LabError."""
        self._ask({"direction": side, "change": _plain(changes)})

    def plan(self, steps: Sequence[tuple[float, Side, dict[str, Any]]]) -> None:
        """Make changes later: (seconds from now, side, fields of `Shape`). Raises LabError."""
        self._ask({"plan": [(at_s, side, _plain(changes)) for at_s, side, changes in steps]})

    def statistics(self) -> Statistics:
        """Return what it did so far."""
        said = self._ask({})
        return Statistics(Counters(**said.pop("uplink")), Counters(**said.pop("downlink")), **said)

    def passages(self) -> dict[str, list[Passage]]:
        """Return what passed the bottleneck so far, by direction; holds the link up for a moment."""
        file = self.process.log_file.with_name("passages.json")
        self._ask({"passages": str(file)})
        said = json.loads(file.read_text())
        return {name: [Passage(*one) for one in passages] for name, passages in said.items()}

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(command, separators=(",", ":")).encode()
        if len(data) > MAX_COMMAND_BYTES:  # a trace of a fast link
            file = self.process.log_file.with_name("command.json")
            file.write_bytes(data)
            data = json.dumps({"file": str(file)}).encode()
        try:
            self.control.send(data)
            reply: dict[str, Any] = json.loads(self.control.recv(MAX_COMMAND_BYTES))
        except OSError as exc:
            raise LabError(f"the link emulator does not answer:\n{self.process.log()}") from exc
        if "error" in reply:
            raise LabError(reply["error"])
        return reply


def missing() -> str:
    """Why this machine cannot emulate a link, empty where it can."""
    if os.access(TUN, os.R_OK | os.W_OK):
        return ""
    return f"needs {TUN}, open to us: sudo chmod 666 {TUN}, or run as root"


@contextmanager
def emulated_link(
    spaces: Namespaces,
    near: tuple[str, str],
    far: tuple[str, str],
    uplink: Shape,
    downlink: Shape,
    *,
    seed: int,
) -> Iterator[Link]:
    """Join two TAPs, each a (host, interface); `uplink` is from near to far. Raises LabError."""
    path = spaces.folder / "link.socket"
    options = {
        "near": near, "far": far, "uplink": asdict(uplink), "downlink": asdict(downlink),
        "seed": seed, "control": str(path),
    }  # fmt: skip
    file = spaces.folder / "link.json"
    file.write_text(json.dumps(options))
    process = spaces.start(
        near[0], "link", [sys.executable, "-m", "netlab.emulator", str(file)], env={"PYTHONPATH": str(TESTS)}
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        control.bind(str(spaces.folder / "link-client.socket"))
        control.settimeout(REPLY_TIMEOUT_S)
        _connect(control, path, process)
        yield Link(control, process)


def _connect(control: socket.socket, path: Path, process: Process) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            control.connect(os.fspath(path))
        except OSError as exc:
            if process.popen.poll() is not None or time.monotonic() > deadline_s:
                raise LabError(f"the link emulator did not start:\n{process.log()}") from exc
            time.sleep(0.01)
        else:
            return


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value if key != "burst" or value is None else asdict(value) for key, value in changes.items()
    }
