"""A virtual board under qemu: it boots the system with what a run brings, and does what it is told."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parts.kept import ENDS_WITH_US

HOST = "10.0.2.2"
"""This machine, seen from qemu's user network."""
PORT = "org.pinhole.commands"
BOOT_S = 300
SPARE_BYTES = 1 << 30
"""More than the journal must leave free."""


class BoardError(Exception):
    """A command failed on the board, or it does not answer."""


@dataclass
class Board:
    """A running board."""

    process: subprocess.Popen[bytes]
    console: Path
    channel: socket.socket

    def run(self, command: str, timeout_s: float = 120, *, check: bool = True) -> str:
        """What a shell command prints, both ways, run as root. Raises BoardError."""
        self.channel.settimeout(timeout_s + 60)
        self.channel.sendall(json.dumps({"command": command, "timeout_s": timeout_s}).encode() + b"\n")
        answer = json.loads(self._line())
        if check and answer["code"]:
            raise BoardError(f"{command[:300]}: exit code {answer['code']}: {answer['said'][-4000:]}")
        return answer["said"]

    def until(self, command: str, limit_s: float) -> float:
        """Seconds until a command is good. Raises BoardError with what it said last."""
        begin_s = time.monotonic()
        while True:
            try:
                self.run(command)
            except BoardError as exc:
                if time.monotonic() - begin_s > limit_s:
                    raise BoardError(f"not within {limit_s:g} s: {exc}") from exc
                time.sleep(0.5)
            else:
                return time.monotonic() - begin_s

    def _line(self) -> bytes:
        said = b""
        while not said.endswith(b"\n"):
            try:
                some = self.channel.recv(65536)
            except TimeoutError as exc:
                raise BoardError(f"no answer:\n{self.said()[-4000:]}") from exc
            if not some:
                raise BoardError(f"the board is gone:\n{self.said()[-4000:]}")
            said += some
        return said

    def said(self) -> str:
        """The serial console so far."""
        return self.console.read_text(errors="replace")


@contextlib.contextmanager
def boot(system: Path, brought: Path, folder: Path) -> Iterator[Board]:
    """Start it; what it writes is gone afterwards. /dev/vdc is an empty disk."""
    console, where, spare = folder / "console", folder / "commands", folder / "spare"
    console.touch()
    with spare.open("wb") as out:
        out.truncate(SPARE_BYTES)
    disks = []
    for file in (system / "disk", brought, spare):
        disks += ["-drive", f"if=virtio,file={file},format=raw,cache=unsafe,snapshot=on"]
    with (folder / "qemu.log").open("wb") as log:
        process = subprocess.Popen(
            [*ENDS_WITH_US, "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-smp", "2", "-m", "1500",
             "-accel", "tcg,thread=multi", "-display", "none", "-monitor", "none",
             "-serial", f"file:{console}",
             "-kernel", system / "vmlinuz", "-initrd", system / "initrd",
             "-append", "console=ttyS0 quiet mitigations=off nokaslr systemd.log_color=no",
             *disks,
             "-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net",
             "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
             "-chardev", f"socket,id=commands,path={where},server=on,wait=off",
             "-device", f"virtserialport,chardev=commands,name={PORT}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            _connect(channel, where, process, folder / "qemu.log")
            board = Board(process, console, channel)
            channel.settimeout(BOOT_S)
            assert json.loads(board._line()) == {"ready": True}
            yield board
    finally:
        process.kill()
        process.wait()


def _connect(channel: socket.socket, where: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + 30
    while True:
        try:
            channel.connect(str(where))
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise BoardError(f"qemu does not start: {log.read_text()}") from None
            time.sleep(0.1)
        else:
            return
