"""What a release brings outside of its folder, and which one runs."""

import re
from pathlib import Path

from release.formats import SystemFile
from release.machine import Paths, Settings, sync_folder, systemctl, write_atomically
from release.state import installed

EDITION = 2
"""Of this program: an older one, which may not read our files, does not replace it."""


def switch(paths: Paths, settings: Settings, version: str) -> None:
    """Make a release the current one, with the units it brings, and start it."""
    install_system(paths, version, at="activation")
    point_current(paths, version)
    systemctl("daemon-reload")
    systemctl("reset-failed", settings.unit, check=False)
    systemctl("restart", "--no-block", settings.unit)


def point_current(paths: Paths, version: str) -> None:
    part = paths.home / ".current.part"
    part.unlink(missing_ok=True)
    part.symlink_to(Path("releases") / version)
    part.replace(paths.current)
    sync_folder(paths.home)


def install_system(paths: Paths, version: str, *, at: str) -> None:
    """The unit changes with the release; what runs this trial changes only once the release is good."""
    folder = paths.releases / version
    for system in system_of(paths, version):
        target = paths.root / system["path"].lstrip("/")
        is_unit = target.suffix == ".service"
        if not (folder / "system" / system["file"]).exists():
            continue  # of a damaged release, to which we go back for want of a better
        data = (folder / "system" / system["file"]).read_bytes()
        old = target.read_bytes() if target.exists() else b""
        if is_unit == (at == "activation") and old != data and (is_unit or edition(old) <= edition(data)):
            write_atomically(target, data, 0o644 if is_unit else 0o755)


def edition(program: bytes) -> int:
    found = re.search(rb"^EDITION = (\d+)$", program, re.MULTILINE)
    return int(found[1]) if found else 1


def system_of(paths: Paths, version: str) -> list[SystemFile]:
    """Where its files go; by their names where nothing better is left of the release."""
    if release := installed(paths).get(version):
        return list(release["system"])
    units = sorted((paths.releases / version / "system").glob("pinhole*.service"))
    return [{"file": unit.name, "path": f"/etc/systemd/system/{unit.name}"} for unit in units]
