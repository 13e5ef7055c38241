"""An arm64 Debian made of packages alone: a root, a kernel, an initramfs. Kept between runs."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from parts.need import need

SUITE = "bookworm"
PACKAGES = ("systemd-sysv", "udev", "dbus", "python3", "ca-certificates", "iproute2", "kmod")
MODULES = (
    "virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "crc32c_generic", "ext4", "vfat",
    "nls_cp437", "nls_ascii", "af_packet", "autofs4",
)  # fmt: skip
"""What Debian's arm64 kernel has as modules and the virtual board needs: card, network, file systems."""
QEMU = "/usr/bin/qemu-aarch64-static"
# The ELF header of an arm64 program and which of its bits count, as qemu's own binfmt.d file has it.
ENTRY = f"pinhole-boot-{os.getpid()}"
MAGIC = rf":{ENTRY}:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:"
INIT = """#!/bin/sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda2 ] && break; sleep 1; done
mount -t ext4 /dev/vda2 /root || exec sh
exec switch_root /root /sbin/init
"""


def need_tools() -> None:
    """Skip with the reason where something is missing."""
    need(os.geteuid() == 0, "needs root, for chroot")
    for name, package in {
        "debootstrap": "debootstrap",
        "cpio": "cpio",
        "qemu-system-aarch64": "qemu-system-arm",
        QEMU: "qemu-user-static",
    }.items():
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
        need(found, f"needs {name}: sudo apt-get install {package}")
    need("binfmt_misc" in Path("/proc/filesystems").read_text(), "needs a kernel with binfmt_misc")


def made() -> Path:
    """The folder with root/, vmlinuz and initrd; made in minutes where it is not there yet."""
    what = repr((SUITE, PACKAGES, MODULES, INIT)).encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinhole"
    folder = cache / f"boot-{hashlib.sha256(what).hexdigest()[:12]}"
    if folder.exists():
        return folder
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with _emulation():
        _make(part)
    part.rename(folder)
    return folder


def _make(folder: Path) -> None:
    root = folder / "root"
    _run("debootstrap", "--arch=arm64", "--variant=minbase", f"--include={','.join(PACKAGES)}",
         SUITE, str(root), _mirror())  # fmt: skip
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    inside = (
        "cd /tmp && apt-get update -qq && kernel=$(apt-cache depends linux-image-arm64 | "
        "sed -n 's/.*Depends: //p' | head -n1) && apt-get download -qq $kernel busybox-static"
    )
    _run("chroot", str(root), "/bin/sh", "-c", inside)
    for name in ("linux-image", "busybox-static"):
        (package,) = (root / "tmp").glob(f"{name}*.deb")
        _run("dpkg-deb", "-x", str(package), str(folder / name))
        package.unlink()
    shutil.rmtree(root / "var/lib/apt/lists")
    shutil.rmtree(root / "var/cache/apt")
    (kernel,) = (folder / "linux-image/boot").glob("vmlinuz-*")
    shutil.copy(kernel, folder / "vmlinuz")
    _initramfs(folder)
    for name in ("linux-image", "busybox-static", "initramfs"):
        shutil.rmtree(folder / name)


def _initramfs(folder: Path) -> None:
    tree = folder / "initramfs"
    for name in ("bin", "modules", "proc", "sys", "dev", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(folder / "busybox-static/bin/busybox", tree / "bin")
    for name in ("sh", "mount", "insmod", "switch_root", "sleep", "cat"):
        (tree / "bin" / name).symlink_to("busybox")
    (modules,) = (folder / "linux-image/lib/modules").iterdir()
    order = [file for file in _in_order(modules) if file.exists()]
    for file in order:
        shutil.copy(file, tree / "modules")
    (tree / "modules/order").write_text("\n".join(file.name for file in order) + "\n")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    archive = subprocess.run(
        ["cpio", "--create", "--format=newc", "--quiet"], cwd=tree, check=True, timeout=60,
        capture_output=True,
        input="\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))).encode(),
    ).stdout  # fmt: skip
    (folder / "initrd").write_bytes(archive)


def _in_order(modules: Path) -> list[Path]:
    """Each module after those that it needs: the package has no modules.dep yet, so modinfo is asked."""
    files = {file.name.partition(".ko")[0].replace("-", "_"): file for file in modules.rglob("*.ko*")}
    order: list[Path] = []

    def add(name: str) -> None:
        file = files.get(name)
        if file is None or file in order:
            return  # built in, or there already
        said = subprocess.run(
            ["modinfo", "-F", "depends", file], capture_output=True, text=True, check=True
        ).stdout
        soft = subprocess.run(
            ["modinfo", "-F", "softdep", file], capture_output=True, text=True, check=True
        ).stdout
        for other in [*said.strip().split(","), *re.sub(r"\w+:", "", soft).split()]:
            add(other.replace("-", "_"))
        order.append(file)

    for name in MODULES:
        add(name)
    return order


@contextlib.contextmanager
def _emulation() -> Iterator[None]:
    """Run arm64 programs; by a mount and an entry of our own, whoever else has some."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _run("mount", "-t", "binfmt_misc", "binfmt_misc", name)
        try:
            (place / "register").write_text(f"{MAGIC}{MASK}{QEMU}:F")
            try:
                yield
            finally:
                (place / ENTRY).write_text("-1")
        finally:
            _run("umount", name)


def _mirror() -> str:
    """The one that this machine's own apt uses for Debian."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian"]
    known = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert known, "apt knows no Debian: apt-get update"
    return known[0]


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    assert result.returncode == 0, f"{command[0]}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
