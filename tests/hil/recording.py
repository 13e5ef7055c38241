"""A device that was recorded: the same commands get the same answers, for a dry run of the suite.

Each answer of the TOML file has a `command`, as a regular expression of the whole, what it `says`, and a
`code` where that is not 0. Of several the last counts, and one with `after` only when such a command was
given before. What nobody recorded is not found, as by a shell, and marked in the log.
"""

import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device import Device, DeviceError
from viewer import Viewer


@dataclass(slots=True)
class RecordedDevice(Device):
    """Notes in `log` what it was told to do."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def run(self, command: str, *, timeout_s: float = 30) -> str:
        """What it said. Raises DeviceError as the real one."""
        known = [
            each
            for each in self.answers
            if re.fullmatch(each["command"], command)
            and ("after" not in each or any(re.fullmatch(each["after"], line) for line in self.log))
        ]
        self.log.append(command if known else f"not recorded: {command}")
        if not known or known[-1].get("code"):
            raise DeviceError(f"{command!r} failed within {timeout_s:g} s")
        return str(known[-1]["says"])


@dataclass(frozen=True, slots=True)
class RecordedViewer(Viewer):
    """Sees at once what was recorded."""

    seen: dict[str, Any]

    def watch(self, seconds: float, *more: str) -> dict[str, Any]:
        """Of the stream that is asked for."""
        wide = self.seen["preview_width_px" if "preview" in more else "width_px"]
        return self.seen | {"seconds": seconds, "width_px": wide, "latency_ms": None}

    def start(self, seconds: float, *more: str) -> subprocess.Popen[str]:
        """Something that can be ended."""
        return subprocess.Popen(["true", str(seconds), *more], text=True)

    def end(self, process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
        """At once."""
        process.wait()
        return self.watch(seconds)

    def until_back(self, limit_s: float, seconds: float = 2) -> float:
        """In time."""
        return min(limit_s, seconds)


def recorded(file: Path) -> tuple[RecordedDevice, RecordedViewer]:
    """The device and who watches it; nobody waits."""
    recording = tomllib.loads(file.read_text())
    device = RecordedDevice(
        [], portal_host=recording["portal_host"], wait=lambda _: None, answers=recording["answer"]
    )
    return device, RecordedViewer((), {}, recording["seen"])
