"""The system's own tools, each found or asked for by its package."""

import shutil
import subprocess

from flash.errors import FlashError

PACKAGES = {
    "lsblk": "util-linux",
    "mcopy": "mtools",
    "mdel": "mtools",
    "mdir": "mtools",
    "mmd": "mtools",
    "sfdisk": "fdisk",
    "zstd": "zstd",
}


def find(name: str) -> str:
    """The tool's path."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise FlashError(f"{name} is needed: sudo apt-get install {PACKAGES[name]}")
    return path


def run(name: str, *arguments: str, data: bytes | None = None, env: dict[str, str] | None = None) -> bytes:
    """What the tool prints. Raises FlashError with its own words where it fails."""
    result = subprocess.run(  # noqa: S603  # a fixed tool, without a shell
        [find(name), *arguments], input=data, capture_output=True, check=False, timeout=120, env=env
    )
    if result.returncode:
        words = result.stderr.decode(errors="replace").strip() or f"exit code {result.returncode}"
        raise FlashError(f"{name}: {words}")
    return result.stdout
