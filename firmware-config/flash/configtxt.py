"""A linter for config.txt: what the firmware would ignore in silence, or would refuse to boot with.

Format, filters and keys: raspberrypi.com/documentation/computers/config_txt.html. Only the keys that a camera
without a screen has a use for are known; another one is a question, not an oversight.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flash.errors import FlashError

MAX_LINE = 98
"""The firmware ignores what comes after."""
BOARDS = {"pi02", "pi3+", "pi4", "cm4", "pi5", "cm5"}
"""The ones that we support. A CM4 sees [pi4] too, and a CM5 [pi5]."""
FILTERS = BOARDS | {"all", "none", "pi3", "pi400", "pi500", "cm4s", "tryboot"}
SERIAL = re.compile(r"0x[0-9a-fA-F]{1,8}")
VALUED = re.compile(r"(gpio\d{1,2}=[01]|board-type=0x[0-9a-fA-F]+|partition=\d+|boot_partition=\d+)")

LIMITS: dict[str, tuple[int, int]] = {
    "arm_64bit": (0, 1),
    "arm_boost": (0, 1),
    "arm_freq": (600, 2400),
    "auto_initramfs": (0, 1),
    "boot_delay": (0, 30),
    "camera_auto_detect": (0, 1),
    "disable_fw_kms_setup": (0, 1),
    "disable_overscan": (0, 1),
    "disable_splash": (0, 1),
    "display_auto_detect": (0, 1),
    "enable_uart": (0, 1),
    "force_turbo": (0, 1),
    "gpu_mem": (16, 512),
    "kernel_watchdog_timeout": (0, 15),
    "otg_mode": (0, 1),
    "temp_soft_limit": (60, 70),
    "uart_2ndstage": (0, 1),
    "usb_max_current_enable": (0, 1),
}
"""Whole numbers. The watchdog's counter holds 16 s at most."""
PARAMETERS = {"act_led_trigger", "audio", "i2c_arm", "pwr_led_trigger", "spi", "uart0", "watchdog"}
OVERLAYS = re.compile(
    r"(vc4-kms-v3d|vc4-kms-v3d-pi5|disable-bt|disable-wifi|miniuart-bt|imx\d{3}|ov\d{4}|uart[0-5](-pi5)?|i2c-rtc|dwc2)"
)
STOCK_OVERLAYS = {
    "vc4-kms-v3d",
    "vc4-kms-v3d-pi5",
    "vc4-fkms-v3d",
    "dwc2",
    "nospi10",
    "disable-bt",
    "miniuart-bt",
}
"""What an image has that nobody chose."""
OURS = "# Pinhole:"
"""How a file of ours begins."""
CMA = re.compile(r"cma-(\d+)")
CMA_LIMITS_MB = {"pi02": 192, "pi3+": 320}
"""Of 512 MB and 1 GB: what is left must carry the system."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line that does not do what it seems to."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(slots=True)
class _Reader:
    """Walks the lines with the filter that is in force, and what was set under it."""

    is_site: bool = False
    """Lines of one place: vendors bring overlays that nobody else knows, and boards have more parameters."""
    filter: str = "all"
    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def faults(self, number: int, line: str) -> Iterator[str]:
        if len(line) > MAX_LINE:
            yield f"{len(line)} characters, and the firmware ignores what comes after {MAX_LINE}"
        if not line.isascii():
            yield "the firmware reads ASCII alone"
        if line != line.strip():
            yield "white space at its beginning or end belongs to the key or the value"
        line = line.strip()
        if not line or line.startswith("#"):
            return
        if line.startswith("["):
            yield from self._section(line)
        elif "=" in line:
            key, _, value = line.partition("=")
            yield from self._setting(number, key, value)
        elif not re.fullmatch(r"(include|initramfs) \S.*", line):
            yield f"{line!r} is neither key=value nor [filter]"

    def _section(self, line: str) -> Iterator[str]:
        if not line.endswith("]"):
            yield f"{line!r} has no closing bracket"
            return
        name = line[1:-1]
        if name not in FILTERS and not SERIAL.fullmatch(name) and not VALUED.fullmatch(name):
            yield f"[{name}] is no filter; known: {', '.join(sorted(FILTERS))}"
        self.filter = name

    def _setting(self, number: int, key: str, value: str) -> Iterator[str]:
        if "#" in value:
            yield "a comment needs a line of its own: here it is part of the value"
        if key == "dtoverlay":
            yield from self._overlay(value)
        elif key == "dtparam":
            name = value.partition("=")[0]
            if name not in PARAMETERS and not self.is_site:
                yield f"dtparam={name} is not known; known: {', '.join(sorted(PARAMETERS))}"
        elif key in LIMITS:
            yield from _number(key, value)
            if (before := self.seen.get((self.filter, key))) is not None:
                yield f"{key} is set in line {before} already"
            self.seen[self.filter, key] = number
        else:
            yield f"{key} is not known"

    def _overlay(self, value: str) -> Iterator[str]:
        name, *parameters = value.split(",")
        if name and not OVERLAYS.fullmatch(name) and not self.is_site:
            yield f"dtoverlay={name} is not known"
        if name == "vc4-kms-v3d" and self.filter == "pi5":
            yield "a Pi 5 needs dtoverlay=vc4-kms-v3d-pi5"
        for parameter in parameters:
            found = CMA.fullmatch(parameter)
            if found and int(found[1]) > CMA_LIMITS_MB.get(self.filter, 512):
                limit = CMA_LIMITS_MB.get(self.filter, 512)
                yield f"cma-{found[1]}: at most {limit} MB leave enough for the system"


def _number(key: str, value: str) -> Iterator[str]:
    low, high = LIMITS[key]
    if not value.isdecimal():
        yield f"{key}={value}: a whole number is needed"
    elif not low <= int(value) <= high:
        yield f"{key}={value}: {low} to {high}"


def lint(text: str, *, is_site: bool = False) -> list[Fault]:
    """Every fault, in the order of the lines."""
    reader = _Reader(is_site)
    faults = [
        Fault(number, message)
        for number, line in enumerate(text.splitlines(), 1)
        for message in reader.faults(number, line)
    ]
    if reader.filter != "all":
        last = len(text.splitlines())
        faults.append(
            Fault(last, f"ends under [{reader.filter}]: what an installer appends would hold there alone")
        )
    return faults


def extended(text: str, lines: Sequence[str]) -> str:
    """`text` and then the lines of one place or board, under [all]: of two settings the later one counts.

    Raises FlashError that names every line which would not do what it seems to.
    """
    if not lines:
        return text
    if faults := [f"{lines[fault.line - 1]!r}: {fault.message}" for fault in _lint_each(lines)]:
        raise FlashError("config.txt: " + "; ".join(faults))
    return "\n".join([text.rstrip("\n"), "", "# Of this place.", *lines, ""])


def lost_overlays(before: str, after: str) -> list[str]:
    """Overlays that somebody chose for this device, and that it would not have any more.

    None where the file is ours already: there the settings have changed, by someone who knew.
    """
    if before.startswith(OURS):
        return []
    kept = set(after.splitlines())
    return [
        line
        for line in map(str.strip, before.splitlines())
        if (found := re.match(r"dtoverlay=([^,:]+)", line))
        and found[1] not in STOCK_OVERLAYS
        and line not in kept
    ]


def _lint_each(lines: Sequence[str]) -> list[Fault]:
    broken = [
        Fault(number, "one line, please")
        for number, line in enumerate(lines, 1)
        if len(line.splitlines()) > 1
    ]
    return broken or lint("\n".join(lines), is_site=True)
