"""Where an image goes: a file, or a card that nobody uses."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flash import tools
from flash.errors import FlashError

MAX_CARD = 2 * 1024**4
"""SDXC ends there; what is larger is no card."""


@dataclass(frozen=True, slots=True)
class Target:
    """`size` is None for a file, which grows."""

    path: Path
    words: str
    size: int | None = None

    @property
    def is_card(self) -> bool:
        """A block device, not a file."""
        return self.size is not None


def choose(path: Path) -> Target:
    """Raises FlashError for whatever must not be overwritten."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_relative_to("/dev"):
            raise FlashError(f"{path} is not there: is the card in its reader?") from None
        if not path.parent.is_dir():
            raise FlashError(f"{path.parent} is no folder") from None
        return Target(path, f"new file {path}")
    if stat.S_ISREG(mode):
        return Target(path, f"file {path}")
    if not stat.S_ISBLK(mode):
        raise FlashError(f"{path} is neither a file nor a card")
    listed = tools.run("lsblk", "--json", "--bytes", "--paths", "--output",
                       "NAME,TYPE,SIZE,RO,RM,HOTPLUG,MODEL,TRAN,MOUNTPOINTS")  # fmt: skip
    return judge(path, json.loads(listed)["blockdevices"])


def judge(path: Path, disks: list[dict[str, Any]]) -> Target:
    """From what lsblk says; pure but for symbolic links in `path`."""
    real = os.path.realpath(path)
    disk = next((disk for disk in disks if disk["name"] == real), None)
    if disk is None:
        parent = next((disk for disk in disks if real in _names(disk)), None)
        what = f"a part of {parent['name']}: give the whole card" if parent else "no disk"
        raise FlashError(f"{path} is {what}")
    if mounted := [point for point in _mounts(disk) if point]:
        raise FlashError(f"{path} is in use ({', '.join(mounted)}): unmount it, or is it the wrong one?")
    if disk["ro"]:
        raise FlashError(f"{path} is write-protected: move the card's little switch")
    if disk["type"] != "disk":
        raise FlashError(f"{path} is a {disk['type']}, no card")
    if not (disk["rm"] or disk["hotplug"] or disk["tran"] in ("usb", "mmc") or "mmcblk" in real):
        raise FlashError(f"{path} cannot be taken out of this machine: that is no card")
    size = int(disk["size"])
    if not 0 < size <= MAX_CARD:
        raise FlashError(f"{path}: {'there is no card in it' if not size else 'too large for a card'}")
    model = (disk["model"] or "").strip() or "card"
    return Target(path, f"{model}, {size / 1e9:.1f} GB, at {path}", size)


def _names(disk: dict[str, Any]) -> list[str]:
    """Its own and all that stand on it: partitions, encrypted volumes, LVM."""
    return [disk["name"], *(name for child in disk.get("children", ()) for name in _names(child))]


def _mounts(disk: dict[str, Any]) -> list[str]:
    return [*disk["mountpoints"], *(point for child in disk.get("children", ()) for point in _mounts(child))]
