"""Disk, kernel and initramfs of a virtual board with Debian 13, kept between runs by their hash."""

import lzma
import os
import platform
import shutil
import subprocess
from pathlib import Path

from fleet import image, workshop
from parts.kept import OWN_PROCESSES, kept
from parts.need import need

SUITE = "trixie"
PACKAGES = ("chrony", "dmsetup", "e2fsprogs", "kmod", "modemmanager", "udev")
MODULES = ("virtio_blk", "virtio_net", "virtio_rng", "ext4")
"""What Debian's kernel has as modules and the root needs before it is there; the rest udev loads."""
DISK_BYTES = 2 << 30
INIT = """#!/bin/sh
# /dev/vda is the system, /dev/vdb what a run brings: a release, and the rootfs of firmware-config over it.
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vdb ] && break; sleep 1; done
mount -t ext4 /dev/vda /root && mount -t ext4 -o ro /dev/vdb /root/srv || exec sh
cp -a /root/srv/rootfs/. /root/
mount --bind /root/srv/pinhole /root/opt/pinhole
exec switch_root /root /sbin/init
"""
FILES = {
    "etc/hostname": "board\n",
    "etc/hosts": "127.0.0.1 localhost board\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",  # else the first boot enables every unit
    "etc/fstab": "",
    "etc/systemd/network/board.network": "[Match]\nDriver=virtio_net\n[Network]\nDHCP=ipv4\n",
}
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "ssh.service",
          "systemd-networkd-wait-online.service")  # fmt: skip
"""What would take time from the tests."""
MAKE_S = 1500


def need_tools() -> None:
    """Skip with the reason where something is missing."""
    need(platform.machine() == "x86_64", "the virtual board is an amd64 machine")
    missing = workshop.missing()
    need(not missing, missing)
    for name, package in {
        "qemu-system-x86_64": "qemu-system-x86",
        "mke2fs": "e2fsprogs",
        "cpio": "cpio",
    }.items():
        need(shutil.which(name, path=workshop.PATH), f"needs {name}: sudo apt-get install {package}")


def base() -> Path:
    """The root that fleet tests boot in containers, too: here without a kernel, and to be left as it is."""
    return image.build("amd64", SUITE)


def made() -> Path:
    """The folder with disk, vmlinuz and initrd; made in minutes where it is not there yet."""
    root = base()
    made_from = (root.name, PACKAGES, MODULES, INIT, FILES, MASKED, DISK_BYTES)
    return kept("board", made_from, lambda part: _make(root, part))


def _make(base_root: Path, folder: Path) -> None:
    mirror, keyring = workshop.apt_sources() or ("", "")
    root = folder / "root"
    _run("cp", "-a", "--reflink=auto", str(base_root), str(root))
    (root / "etc/apt/sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {SUITE} main\n")
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    shutil.copyfile(keyring, root / keyring.lstrip("/"))
    _inside(root, f"""
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends {" ".join(PACKAGES)} >/dev/null
        cd /tmp
        kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p' | head -n1)
        apt-get download -qq "$kernel" busybox-static
        for package in *.deb; do dpkg-deb -x "$package" "${{package%%_*}}"; rm "$package"; done
        cp -r linux-image*/usr/lib/modules /usr/lib/
        depmod "$(ls /usr/lib/modules)"
        mv linux-image*/boot/vmlinuz-* vmlinuz
        for module in {" ".join(MODULES)}; do
            modprobe --set-version "$(ls /usr/lib/modules)" --show-depends "$module"
        done | sed -n 's/^insmod //p' >order
        """)  # fmt: skip
    shutil.move(root / "tmp/vmlinuz", folder / "vmlinuz")
    _initramfs(root, folder)
    for waste in ("tmp", "srv", "var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(root / waste, ignore_errors=True)
        (root / waste).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "opt/pinhole").mkdir(parents=True)
    for name, text in FILES.items():
        (root / name).write_text(text)
    (root / "etc/resolv.conf").write_text("")
    for unit in MASKED:
        mask = root / "etc/systemd/system" / unit
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
    networkd = root / "etc/systemd/system/systemd-networkd.service"
    networkd.unlink(missing_ok=True)  # in containers it is masked
    _inside(root, "systemctl --quiet enable systemd-networkd; systemctl --quiet disable ModemManager chrony")
    make_disk(root, folder / "disk", DISK_BYTES)
    shutil.rmtree(root)


def make_disk(tree: Path, disk: Path, size: int) -> None:
    """An ext4 with the files of a folder."""
    with disk.open("wb") as out:
        out.truncate(size)
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), "-E", "root_owner=0:0", str(disk))


def _initramfs(root: Path, folder: Path) -> None:
    tree = folder / "initramfs"
    for name in ("bin", "modules", "proc", "sys", "dev", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "tmp/busybox-static/usr/bin/busybox", tree / "bin")
    for name in ("sh", "mount", "insmod", "switch_root", "sleep", "cat", "cp"):
        (tree / "bin" / name).symlink_to("busybox")
    order = dict.fromkeys(line.split()[0] for line in (root / "tmp/order").read_text().splitlines())
    for path in order:
        target = tree / "modules" / Path(path).name.removesuffix(".xz")
        target.write_bytes(lzma.decompress((root / path.lstrip("/")).read_bytes()))
    names = [Path(path).name.removesuffix(".xz") for path in order]
    (tree / "modules/order").write_text("\n".join(names) + "\n")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    files = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with (folder / "initrd").open("wb") as out:
        subprocess.run(
            ["cpio", "--create", "--format=newc", "--quiet"],
            cwd=tree, check=True, timeout=60, stdout=out, input=files.encode(),
        )  # fmt: skip
    shutil.rmtree(tree)


def _inside(root: Path, script: str) -> None:
    _run("chroot", str(root), "/bin/sh", "-ec", script)


def _run(*command: str) -> None:
    done = subprocess.run(
        [*OWN_PROCESSES, *command],
        capture_output=True, text=True, timeout=MAKE_S, check=False,
        env=os.environ | {"PATH": workshop.PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)[:100]}: {(done.stdout + done.stderr)[-3000:]}"
