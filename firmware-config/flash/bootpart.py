"""The boot partition of an image or a card: a FAT, written in place without mounting and without root."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from flash import tools
from flash.errors import FlashError

FAT_TYPES = {
    "1", "4", "6", "b", "c", "e",  # MBR
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",  # GPT: EFI system
    "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",  # GPT: basic data
}  # fmt: skip
_ENV = {"PATH": "/usr/bin:/bin", "MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class BootPartition:
    """The FAT at `offset` bytes."""

    path: Path
    offset: int

    @property
    def _image(self) -> str:
        return f"{self.path}@@{self.offset}"

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is none."""
        if name not in self.names(str(Path(name).parent).lstrip(".")):
            return None
        return tools.run("mcopy", "-n", "-i", self._image, f"::{name}", "-", env=_ENV)

    def names(self, folder: str = "") -> set[str]:
        """The paths of a folder's files and folders."""
        prefix = f"{folder}/" if folder else ""
        try:
            listed = tools.run("mdir", "-b", "-i", self._image, f"::{folder}", env=_ENV).decode()
        except FlashError:
            if folder:
                return set()
            raise
        return {
            prefix + line.removeprefix("::/").rstrip("/").removeprefix(prefix) for line in listed.splitlines()
        }

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file; its folder is made where needed."""
        folder = str(Path(name).parent)
        if folder != "." and folder not in self.names():
            tools.run("mmd", "-i", self._image, f"::{folder}", env=_ENV)
        tools.run("mcopy", "-o", "-i", self._image, "-", f"::{name}", data=content, env=_ENV)

    def sync(self) -> None:
        """Until it is on the card."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def find(path: Path) -> BootPartition:
    """The first FAT partition that holds a cmdline.txt, else the first FAT partition."""
    table = json.loads(tools.run("sfdisk", "--json", str(path)))["partitiontable"]
    size = table.get("sectorsize", 512)
    candidates = [
        BootPartition(path, int(part["start"]) * size)
        for part in table.get("partitions", ())
        if str(part["type"]).upper() in FAT_TYPES or str(part["type"]).lower() in FAT_TYPES
    ]
    if not candidates:
        raise FlashError(f"{path} has no FAT partition: that is no Raspberry Pi image")
    return next((one for one in candidates if one.read("cmdline.txt") is not None), candidates[0])
