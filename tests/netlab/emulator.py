"""The link emulator's process: joins two TAPs, one in each of two namespaces, by a `Direction` each way.

Started with a file of options in JSON (`link.py` writes it), steered by JSON datagrams on a Unix socket.
Python's own epoll counts in whole milliseconds; `select` takes microseconds, and there are three descriptors.
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

from netlab.marks import set_ce
from netlab.shape import NS_PER_S, Direction, Shape, ShapeError

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
CLONE_NEWNET = 0x40000000  # linux/sched.h
ETHERNET_HEADER_BYTES = 14
BATCH_FRAMES = 64
MAX_COMMAND_BYTES = 200_000
MAX_LATENESS_SAMPLES = 50_000
REALTIME_PRIORITY = 10
NAMES = ("uplink", "downlink")


def open_tap(namespace: str, name: str) -> int:
    """Attach to the TAP `name` in another namespace; a descriptor that reads and writes Ethernet frames."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
        return tap
    finally:
        setns(home, CLONE_NEWNET)
        os.close(there)
        os.close(home)


@dataclass
class Emulator:
    """Two directions by name, what is planned for them, and how punctual we are."""

    directions: dict[str, Direction]
    planned: list[tuple[int, int, str, dict[str, Any]]] = field(default_factory=list)
    """(at_ns, order, direction, changes): a heap."""
    lateness_ns: list[int] = field(default_factory=list)
    late_packets: int = 0

    def on_command(self, command: dict[str, Any], now_ns: int) -> dict[str, Any]:
        """Carry out {"change": …}, {"plan": …}, {"passages": file} or what is in {"file": file}.

        Raises ShapeError, KeyError.
        """
        if "file" in command:
            command = json.loads(Path(command["file"]).read_text())
        if "passages" in command:
            passages = {name: [astuple(p) for p in one.passages] for name, one in self.directions.items()}
            Path(command["passages"]).write_text(json.dumps(passages))
        if "change" in command:
            self._change(command.get("direction", "both"), command["change"], now_ns)
        for order, (at_s, direction, changes) in enumerate(command.get("plan", [])):
            self._shapes(direction, changes)  # what cannot work fails now and not later
            heapq.heappush(self.planned, (now_ns + round(at_s * NS_PER_S), order, direction, changes))
        return {name: asdict(one.counters) for name, one in self.directions.items()} | self._punctuality()

    def run_due(self, now_ns: int) -> None:
        """Make the changes whose time has come."""
        while self.planned and self.planned[0][0] <= now_ns:
            _, _, direction, changes = heapq.heappop(self.planned)
            self._change(direction, changes, now_ns)

    def next_ns(self) -> int | None:
        """When something is due next."""
        times = [at for one in self.directions.values() if (at := one.next_ns()) is not None]
        return min([*times, self.planned[0][0]] if self.planned else times, default=None)

    def note_lateness(self, late_ns: int) -> None:
        """Keep a bounded, even sample (algorithm R)."""
        self.late_packets += 1
        if len(self.lateness_ns) < MAX_LATENESS_SAMPLES:
            self.lateness_ns.append(late_ns)
        else:
            place = random.randrange(self.late_packets)
            if place < MAX_LATENESS_SAMPLES:
                self.lateness_ns[place] = late_ns

    def _change(self, direction: str, changes: dict[str, Any], now_ns: int) -> None:
        for name, shape in self._shapes(direction, changes).items():
            self.directions[name].reshape(shape, now_ns)

    def _shapes(self, direction: str, changes: dict[str, Any]) -> dict[str, Shape]:
        names = NAMES if direction == "both" else (direction,)
        return {name: self.directions[name].shape.changed(**changes) for name in names}

    def _punctuality(self) -> dict[str, float]:
        ordered = sorted(self.lateness_ns) or [0]
        at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        return {f"late_{k}_ms": ordered[int((len(ordered) - 1) * q)] / 1e6 for k, q in at.items()}


def run(emulator: Emulator, taps: dict[int, tuple[str, int]], control: socket.socket) -> None:
    """Carry frames until killed. `taps` maps a descriptor to its direction and the descriptor it leads to."""
    outs = dict(taps.values())
    readers = [*taps, control]
    while True:
        now_ns = time.monotonic_ns()
        emulator.run_due(now_ns)
        for name, direction in emulator.directions.items():
            for due_ns, frame in direction.pop(now_ns):
                emulator.note_lateness(now_ns - due_ns)
                with suppress(OSError):  # the far end is down: as lost as on a wire
                    os.write(outs[name], frame)
        next_ns = emulator.next_ns()
        wait_s = None if next_ns is None else max(0.0, (next_ns - time.monotonic_ns()) / NS_PER_S)
        for ready in select.select(readers, [], [], wait_s)[0]:
            if ready is control:
                _answer(emulator, control)
            else:
                _read(ready, emulator.directions[taps[ready][0]])


def _read(tap: int, direction: Direction) -> None:
    with suppress(BlockingIOError):
        for _ in range(BATCH_FRAMES):
            direction.push(os.read(tap, 65536), time.monotonic_ns())


def _answer(emulator: Emulator, control: socket.socket) -> None:
    data, sender = control.recvfrom(MAX_COMMAND_BYTES)
    try:
        reply = emulator.on_command(json.loads(data), time.monotonic_ns())
    except (ShapeError, KeyError, TypeError, ValueError, OSError) as exc:
        reply = {"error": str(exc) or repr(exc)}
    with suppress(OSError):  # whoever asked has gone
        control.sendto(json.dumps(reply).encode(), sender)


def main() -> None:
    """Read the options and carry frames."""
    options = json.loads(Path(sys.argv[1]).read_text())
    with suppress(OSError):  # an ordinary process is late under load, no more
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    now_ns = time.monotonic_ns()
    near, far = (open_tap(*end) for end in (options["near"], options["far"]))
    directions = {
        name: Direction(
            Shape().changed(**options[name]),
            random.Random(f"{options['seed']} {name}"),
            now_ns,
            ETHERNET_HEADER_BYTES,
            set_ce,
        )
        for name in NAMES
    }
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MAX_COMMAND_BYTES)
    control.bind(options["control"])
    run(Emulator(directions), {near: ("uplink", far), far: ("downlink", near)}, control)


if __name__ == "__main__":
    main()
