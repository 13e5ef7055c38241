"""A virtual arm64 board that boots a card's image. 10.0.2.2 is this machine's loopback there."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flash import bootpart
from parts.kept import ENDS_WITH_US

HOST = "10.0.2.2"
"""This machine, seen from qemu's user network."""


@dataclass
class Machine:
    """A running board."""

    process: subprocess.Popen[bytes]
    console: Path

    def said(self) -> str:
        """The serial console so far."""
        return self.console.read_text(errors="replace")

    def until(self, condition, limit_s: float, what: str) -> float:
        """Seconds until it is so; fails with the console's end."""
        begin_s = time.monotonic()
        while not condition():
            if time.monotonic() - begin_s > limit_s or self.process.poll() is not None:
                pytest.fail(f"not within {limit_s:g} s: {what}\n{self.said()[-6000:]}")
            time.sleep(0.5)
        return time.monotonic() - begin_s


@contextlib.contextmanager
def boot(card: Path) -> Iterator[Machine]:
    """Start with the kernel, the initramfs and the command line of the card's boot partition."""
    partition = bootpart.find(card)
    for name in ("vmlinuz", "initrd"):
        card.with_name(name).write_bytes(partition.read(name))
    console = card.with_name("console")
    console.touch()
    with card.with_name("qemu.log").open("wb") as log:
        process = subprocess.Popen(
            [*ENDS_WITH_US, "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72",
             "-smp", "2", "-m", "1024",
             "-accel", "tcg,thread=multi", "-display", "none", "-monitor", "none",
             "-serial", f"file:{console}",
             "-kernel", card.with_name("vmlinuz"), "-initrd", card.with_name("initrd"),
             "-append", partition.read("cmdline.txt").decode().strip(),
             "-drive", f"if=none,file={card},format=raw,id=card,cache=unsafe",
             "-device", "virtio-blk-device,drive=card",
             "-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-device,netdev=net",
             "-device", "virtio-rng-device"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Machine(process, console)
    finally:
        process.kill()
        process.wait()
