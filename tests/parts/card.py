"""A card's image as Raspberry Pi OS has it: a FAT to boot from and an ext4 root, made without root."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from parts.need import need

SECTOR = 512
FAT_SECTORS = 40 * 2048
"""40 MB: the least that mkfs.vfat makes a FAT32 of, as the firmware wants it."""
FIRST = 2048
CMDLINE = "console=serial0,115200 console=tty1 root=PARTUUID=dead-02 rootfstype=ext4 rootwait quiet splash\n"


def need_tools() -> None:
    """What making and reading an image takes."""
    for name, package in {
        "sfdisk": "fdisk",
        "mkfs.vfat": "dosfstools",
        "mcopy": "mtools",
        "mke2fs": "e2fsprogs",
        "debugfs": "e2fsprogs",
    }.items():
        need(_tool(name), f"needs {name}: sudo apt-get install {package}")


def build(
    image: Path,
    root: Path,
    *,
    root_bytes: int = 8 << 20,
    cmdline: str = CMDLINE,
    boot: Sequence[Path] = (),
    fat_sectors: int = FAT_SECTORS,
) -> None:
    """Partition 1 with a cmdline.txt, a config.txt and `boot`, partition 2 with the files of `root`."""
    parts = image.with_suffix(".parts")
    parts.mkdir()
    fat, ext4 = parts / "fat", parts / "ext4"
    _truncate(fat, fat_sectors * SECTOR)
    _run("mkfs.vfat", "-F", "32", "-n", "bootfs", str(fat))
    for name, text in {"cmdline.txt": cmdline, "config.txt": "arm_64bit=1\n"}.items():
        (parts / name).write_text(text)
        _run("mcopy", "-i", str(fat), str(parts / name), f"::{name}")
    for file in boot:
        _run("mcopy", "-i", str(fat), str(file), f"::{file.name}")
    _truncate(ext4, root_bytes)
    _run(
        "mke2fs", "-q", "-F", "-t", "ext4", "-L", "rootfs", "-d", str(root), "-E", "root_owner=0:0", str(ext4)
    )
    _truncate(image, (FIRST + fat_sectors) * SECTOR + root_bytes)
    table = f"label: dos\nlabel-id: 0xdead\n{FIRST},{fat_sectors},c,*\n{FIRST + fat_sectors},,83\n"
    _run("sfdisk", "--quiet", str(image), text=table)
    with image.open("r+b") as out:
        for part, sector in ((fat, FIRST), (ext4, FIRST + fat_sectors)):
            out.seek(sector * SECTOR)
            _copy_sparse(part, out)
    shutil.rmtree(parts)


def _copy_sparse(part: Path, out) -> None:
    with part.open("rb") as file:
        while chunk := file.read(1 << 20):
            if chunk.count(0) == len(chunk):
                out.seek(len(chunk), os.SEEK_CUR)
            else:
                out.write(chunk)


def _truncate(file: Path, size: int) -> None:
    with file.open("wb") as out:
        out.truncate(size)


def _tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _run(name: str, *arguments: str, text: str | None = None) -> str:
    result = subprocess.run(
        [str(_tool(name)), *arguments], input=text, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, f"{name}: {result.stderr}"
    return result.stdout


def read_root(image: Path, path: str) -> str:
    """A file of the root partition."""
    parts = image.with_suffix(".ext4")
    with image.open("rb") as file, parts.open("wb") as out:
        file.seek((FIRST + FAT_SECTORS) * SECTOR)
        shutil.copyfileobj(file, out)
    try:
        return _run("debugfs", "-R", f"cat {path}", str(parts))
    finally:
        parts.unlink()
