"""An arm64 Debian made of packages alone: a root, a kernel, an initramfs. Kept between runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from fleet import image, workshop
from parts.kept import OWN_PROCESSES, kept
from parts.need import need

SUITE = "bookworm"
PACKAGES = ("systemd-sysv", "udev", "dbus", "python3", "ca-certificates", "iproute2", "kmod")
MODULES = (
    "virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "crc32c_generic", "ext4", "vfat",
    "nls_cp437", "nls_ascii", "af_packet", "autofs4",
)  # fmt: skip
"""What Debian's arm64 kernel has as modules and the virtual board needs: card, network, file systems."""
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
    reason = workshop.missing()
    need(not reason, reason)
    for name, package in {
        "cpio": "cpio",
        "modinfo": "kmod",
        "qemu-system-aarch64": "qemu-system-arm",
    }.items():
        need(shutil.which(name, path=workshop.PATH), f"needs {name}: sudo apt-get install {package}")
    need("binfmt_misc" in Path("/proc/filesystems").read_text(), "needs a kernel with binfmt_misc")


def made() -> Path:
    """The folder with root/, vmlinuz and initrd; made in minutes where it is not there yet."""
    return kept("boot", (SUITE, PACKAGES, MODULES, INIT), _make)


def _make(folder: Path) -> None:
    root = folder / "root"
    with image.foreign("arm64"):
        _install(root)
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


def _install(root: Path) -> None:
    mirror, keyring = workshop.apt_sources() or ("", "")
    _run("debootstrap", "--arch=arm64", "--variant=minbase", f"--include={','.join(PACKAGES)}",
         f"--keyring={keyring}", SUITE, str(root), mirror)  # fmt: skip
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    inside = (
        "cd /tmp && apt-get update -qq && kernel=$(apt-cache depends linux-image-arm64 | "
        "sed -n 's/.*Depends: //p' | head -n1) && apt-get download -qq $kernel busybox-static"
    )
    _run("chroot", str(root), "/bin/sh", "-c", inside)


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


def _run(*command: str) -> None:
    result = subprocess.run(
        [*OWN_PROCESSES, *command], capture_output=True, text=True, timeout=1500, check=False,
        env=os.environ | {"PATH": workshop.PATH},
    )  # fmt: skip
    assert result.returncode == 0, f"{command[0]}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
