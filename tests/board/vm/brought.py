"""The disk that a run brings: the rootfs of firmware-config, a release of this tree, and our own programs."""

import shutil
import subprocess
from pathlib import Path

from board.vm import system
from boot import release
from fleet import workshop

ROOT = Path(__file__).resolve().parents[3]
INSIDE = Path(__file__).parent / "inside"
PYTHON, PLATFORMS = "3.13", ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
"""Debian 13's."""
DISK_BYTES = 800 << 20


def make(folder: Path) -> Path:
    """In `folder`."""
    tree = folder / "tree"
    shutil.copytree(ROOT / "firmware-config/rootfs", tree / "rootfs", symlinks=True)
    shutil.copytree(INSIDE, tree / "inside")
    units = tree / "rootfs/etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    shutil.move(tree / "inside/commands.service", units)
    (units / "multi-user.target.wants/commands.service").symlink_to("../commands.service")
    release.install(tree, PYTHON, PLATFORMS)
    (tree / "opt/pinhole").rename(tree / "pinhole")
    _compile(tree / "pinhole")
    subprocess.run(["chown", "-R", "root:root", tree], check=True, timeout=60)
    disk = folder / "brought"
    system.make_disk(tree, disk, DISK_BYTES)
    shutil.rmtree(tree)
    return disk


def _compile(release_folder: Path) -> None:
    """By the board's own Python, where it is quick: nothing is emulated here."""
    script = (
        'mount --bind "$1" "$2/mnt" && exec chroot "$2" python3 -m compileall -q -s /mnt -p /opt/pinhole /mnt'
    )
    subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "compile", release_folder, system.base()],
        check=True, timeout=300, env={"PATH": workshop.PATH}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
