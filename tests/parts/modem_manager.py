"""ModemManager as Debian has it, on a bus of its own, with a modem that speaks AT over a socket."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.unpack import unpack_variants
from parts.need import need

FAKE = Path(__file__).parents[1] / "fakes/at_modem.py"
PROGRAM = "/usr/sbin/ModemManager"
NAME, ROOT = "org.freedesktop.ModemManager1", "/org/freedesktop/ModemManager1"
PIN = "4321"


@dataclass
class ModemManager:
    """The daemon and its bus; `start` and `stop` it as systemd would."""

    address: str
    folder: Path
    processes: list[subprocess.Popen] = field(default_factory=list)
    daemon: subprocess.Popen | None = None

    def start(self) -> None:
        environ = os.environ | {"DBUS_SESSION_BUS_ADDRESS": self.address}
        with (self.folder / "ModemManager.log").open("a") as log:
            self.daemon = subprocess.Popen(
                [PROGRAM, "--test-session", "--test-enable", "--debug"], env=environ, stderr=log, stdout=log
            )

    def stop(self) -> None:
        if self.daemon is not None:
            end(self.daemon)
        self.daemon = None

    def plug(self, pin: str = PIN) -> subprocess.Popen:
        """A modem; end the process, and it is unplugged."""
        socket = f"pinhole-{os.getpid()}-{len(self.processes)}"
        arguments = [f"abstract:{socket}", str(self.folder / "at.log"), *([pin] if pin else [])]
        modem = subprocess.Popen([sys.executable, str(FAKE), *arguments])
        self.processes.append(modem)
        deadline = time.monotonic() + 10
        while f"@{arguments[0]}" not in Path("/proc/net/unix").read_text():
            assert time.monotonic() < deadline, "the modem does not listen"
            time.sleep(0.02)
        return modem

    @property
    def socket(self) -> str:
        """Of the modem that was plugged in last."""
        return f"abstract:pinhole-{os.getpid()}-{len(self.processes) - 1}"

    async def call(self, path, method, *body, signature=""):
        """As root would, with `busctl`."""
        interface, _, member = method.rpartition(".")
        bus = await MessageBus(self.address, BusType.SESSION).connect()
        try:
            reply = await bus.call(
                Message(NAME, path, interface, member, signature=signature, body=list(body))
            )
        finally:
            bus.disconnect()
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        return unpack_variants(reply.body[0]) if reply.body else None

    async def find_modem(self) -> None:
        """ModemManager's own way to say that udev told of a modem."""
        await self.call(ROOT, f"{NAME}.Test.SetProfile", "rover", "generic", [self.socket], signature="ssas")

    async def modem(self) -> tuple[str, dict]:
        """Path and properties."""
        found = await self.call(ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        [(path, interfaces)] = found.items()
        return path, interfaces[f"{NAME}.Modem"]

    async def unlock(self) -> None:
        _, own = await self.modem()
        await self.call(own["Sim"], f"{NAME}.Sim.SendPin", PIN, signature="s")

    async def enable(self) -> None:
        path, _ = await self.modem()
        await self.call(path, f"{NAME}.Modem.Enable", True, signature="b")

    async def connect(self) -> None:
        path, _ = await self.modem()
        apn = {"apn": Variant("s", "internet.example")}
        await self.call(path, f"{NAME}.Modem.Simple.Connect", apn, signature="a{sv}")

    def commands(self) -> list[str]:
        """What the modem was told."""
        return (self.folder / "at.log").read_text().splitlines()


def end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait(10)


@contextmanager
def running_bus(folder: Path) -> Iterator[str]:
    """The address of a bus of its own."""
    need(shutil.which("dbus-daemon"), "dbus-daemon: apt-get install dbus-daemon")
    bus = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--nosyslog", "--print-address=1",
         f"--address=unix:path={folder / 'bus'}"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield bus.stdout.readline().strip()
    finally:
        end(bus)


@contextmanager
def running_modem_manager(folder: Path) -> Iterator[ModemManager]:
    need(Path(PROGRAM).exists(), "ModemManager: apt-get install modemmanager")
    with running_bus(folder) as address:
        made = ModemManager(address, folder)
        made.start()
        try:
            yield made
        finally:
            made.stop()
            for process in made.processes:
                end(process)
