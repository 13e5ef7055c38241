"""A device over ssh: commands, facts, and what they tell of the board."""

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HARDWARE_ENCODERS = ("Zero 2", "Pi 3", "Pi 4", "Compute Module 4")
"""Boards with VideoCore 4's H.264 encoder; a Pi 5 has none."""
TEMPERATURE = "cat /sys/class/thermal/thermal_zone0/temp"
THROTTLED = "vcgencmd get_throttled"


BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
WAY = "ip -o route get $(getent ahosts {host} | sed -n '1s/ .*//p')"
MODEM = "mmcli -m any --output-keyvalue"


class DeviceError(Exception):
    """A command failed on the device."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is there. Empty where it could not be found out."""

    model: str
    system: str
    kernel: str
    memory_mb: int
    pinhole: str
    cameras: tuple[str, ...]
    modems: tuple[str, ...]
    throttled: int | None
    temperature_c: float | None

    @property
    def has_hardware_encoder(self) -> bool:
        """By its model."""
        return any(name in self.model for name in HARDWARE_ENCODERS)


@dataclass(frozen=True, slots=True)
class Way:
    """The interface over which the device reaches its portal; empty where it could not be found out."""

    interface: str
    is_modem: bool

    def __str__(self) -> str:
        """For people."""
        return f"{self.interface} (modem)" if self.is_modem else self.interface


@dataclass(slots=True)
class Device:
    """One host; `ssh` is the command up to it. `pid_command` prints the agent's process id."""

    ssh: list[str]
    pid_command: str = "systemctl show --property=MainPID --value pinhole.service"
    pinhole: str = "/opt/pinhole/current/bin/pinhole"
    is_service: bool = True
    """systemd looks after the agent, as on a real device."""
    is_hardware: bool = True
    portal_host: str = "127.0.0.1"
    wait: Callable[[float], None] = time.sleep
    _inventory: Inventory | None = field(default=None, repr=False)

    def run(self, command: str, *, timeout_s: float = 30) -> str:
        """What a shell command prints. Raises DeviceError where it fails or hangs."""
        try:
            result = subprocess.run(
                [*self.ssh, command], capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as exc:
            raise DeviceError(f"{command!r} took longer than {timeout_s:g} s") from exc
        if result.returncode:
            raise DeviceError(f"{command!r} failed ({result.returncode}): {result.stderr.strip()}")
        return result.stdout

    def ask(self, command: str) -> str:
        """The same, and nothing where the device does not know the command."""
        try:
            return self.run(command)
        except DeviceError:
            return ""

    def detached(self, script: str) -> None:
        """Start a script that goes on when its own network is gone."""
        self.run(f"nohup sudo -n sh -c {shlex.quote(script)} >/dev/null 2>&1 </dev/null & true")

    def agent_pid(self) -> int:
        """The agent's process id. Raises DeviceError where it does not run."""
        text = self.run(self.pid_command).strip()
        if not text.isdecimal() or text == "0":
            raise DeviceError("the agent does not run: journalctl -u pinhole")
        self.run(f"test -d /proc/{text}")
        return int(text)

    def boot_id(self) -> str:
        """Another one after each boot (random(4))."""
        return self.run(BOOT_ID).strip()

    def way(self) -> Way:
        """Over which interface it reaches its portal now."""
        interface = parse_route(self.ask(WAY.format(host=shlex.quote(self.portal_host))))
        return Way(interface, bool(interface) and interface in parse_modem_interfaces(self.ask(MODEM)))

    def memory_mb(self) -> float:
        """The agent's resident memory."""
        status = self.run(f"cat /proc/{self.agent_pid()}/status")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found, "Linux says so"
        return int(found[1]) / 1024

    def temperature_c(self) -> float | None:
        """Of the SoC."""
        text = self.ask(TEMPERATURE).strip()
        return int(text) / 1000 if text.isdecimal() else None

    def throttled(self) -> int | None:
        """The firmware's flags: 0 is good."""
        return parse_throttled(self.ask(THROTTLED))

    def inventory(self) -> Inventory:
        """Asked once."""
        if self._inventory is None:
            self._inventory = self._look()
        return self._inventory

    def _look(self) -> Inventory:
        memory = re.search(r"MemTotal:\s+(\d+) kB", self.run("cat /proc/meminfo"))
        return Inventory(
            model=self.ask("tr -d '\\0' </proc/device-tree/model").strip(),
            system=parse_os_release(self.ask("cat /etc/os-release")),
            kernel=self.run("uname -srm").strip(),
            memory_mb=int(memory[1]) // 1024 if memory else 0,
            pinhole=self.ask(f"{self.pinhole} --version").strip(),
            cameras=parse_cameras(self.ask("rpicam-hello --list-cameras 2>&1")),
            modems=tuple(self.ask("ls /dev/pinhole-modem").split()),
            throttled=self.throttled(),
            temperature_c=self.temperature_c(),
        )


def by_ssh(host: str, options: list[str], folder: Path) -> list[str]:
    """The ssh command: without questions, with one connection for all commands."""
    shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/ssh-%C", "-o", "ControlPersist=60"]
    given = [word for option in options for word in ("-o", option)]
    return ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *shared, *given, host]


def parse_throttled(said: str) -> int | None:
    """`throttled=0x50000`."""
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", said)
    return int(found[1], 16) if found else None


def parse_route(said: str) -> str:
    """`192.0.2.1 via 10.0.0.1 dev wwan0 src …` of `ip route get`: the interface."""
    found = re.search(r"\bdev (\S+)", said)
    return found[1] if found else ""


def parse_modem_interfaces(said: str) -> tuple[str, ...]:
    """`modem.generic.ports.value[3] : wwan0 (net)` of mmcli: the network interfaces."""
    return tuple(re.findall(r"^modem\.generic\.ports\.value\[\d+\]\s*: (\S+) \(net\)", said, re.MULTILINE))


def parse_os_release(text: str) -> str:
    """PRETTY_NAME of os-release(5)."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return found[1] if found else ""


def parse_cameras(said: str) -> tuple[str, ...]:
    """`0 : imx708 [4608x2592 10-bit RGGB] (/base/…)`: the models."""
    return tuple(re.findall(r"^\d+ : (\S+) \[", said, re.MULTILINE))
