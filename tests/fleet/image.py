"""Debian from this computer's own sources: a small system, with the packages that roles install beside it.

Kept in the user's cache between runs. A machine has the folder as its lower layer, and the repository in it,
so that a roll-out installs real packages and asks no mirror.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fleet.workshop import PATH, LabError, apt_sources, run_arm64, workshop
from parts.kept import OWN_PROCESSES, kept

SUITE = "bookworm"
# What Raspberry Pi OS Lite has, and Ansible needs.
BASE = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "python3", "python3-apt", "sudo",
    "iproute2", "procps", "ca-certificates", "udev",
)  # fmt: skip
FIRST_BOOT = ("cloud-init", "netplan.io", "network-manager")
"""What reads a card on Raspberry Pi OS 13."""
ROLES = (
    "python3-venv", "openssh-client", "mosquitto", "mosquitto-clients", "coturn", "nftables", "chrony",
    "prometheus-node-exporter", "modemmanager", "gpsd", "network-manager",
)  # fmt: skip
"""What the roles install."""
MORE = {"amd64": ("certbot", "pebble", "ppp", "usb-modeswitch")}
"""Where servers and a modem are tried, and an authority to get certificates from (RFC 8555)."""
CAMERA = (
    "python3-venv", "openssh-client", "chrony", "prometheus-node-exporter", "modemmanager", "ppp",
    "usb-modeswitch", "cloud-guest-utils", "v4l-utils", "zram-tools",
)  # fmt: skip
"""What the roles and our own image put on a camera of another suite."""
PICAMERA2 = {
    "DEBIAN/control": "Package: python3-picamera2\nVersion: 0.3.31-1\nArchitecture: all\nDepends: python3\n"
    "Maintainer: the tests <tests@example.org>\nDescription: stands in for the library\n",
    "usr/lib/python3/dist-packages/picamera2/__init__.py": "class Picamera2:\n    @staticmethod\n"
    "    def global_camera_info():\n        return []\n",
}
REPOSITORY = "srv/debs"
BUILD_TIMEOUT_S = 1500


def build(arch: str, suite: str = SUITE) -> Path:
    """The folder of a system for `arch` (amd64 or arm64), made where it is not cached. Raises LabError.

    Another suite than the usual comes with a camera's packages alone. It stays as long as this process lives.
    """
    base, packages = (BASE, ROLES + MORE.get(arch, ())) if suite == SUITE else (BASE + FIRST_BOOT, CAMERA)

    def fill(part: Path) -> None:
        mirror, keyring = apt_sources() or ("", "")
        with foreign(arch):
            _debootstrap(part, arch, suite, base, mirror, keyring)
            _fetch_packages(part, packages)

    return kept(f"fleet/{suite}-{arch}", (suite, arch, base, packages, PICAMERA2), fill)


def own_arch() -> str:
    """Debian's name for what this computer is."""
    return "arm64" if platform.machine() == "aarch64" else "amd64"


@contextmanager
def foreign(arch: str) -> Iterator[None]:
    """Programs of `arch` can run in here."""
    if arch == own_arch():
        yield
        return
    with workshop() as shop:
        run_arm64(shop)
        yield


def _debootstrap(part: Path, arch: str, suite: str, base: Sequence[str], mirror: str, keyring: str) -> None:
    _call("debootstrap", f"--arch={arch}", "--variant=minbase", f"--include={','.join(base)}",
          f"--keyring={keyring}", suite, str(part), mirror)  # fmt: skip
    (part / "etc/machine-id").write_text("")  # each machine makes its own
    for unit in (
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "e2scrub_all.timer",
        "systemd-networkd.service",
    ):
        (part / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for key in part.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    ssh = part / "etc/systemd/system/ssh.service.d/keys.conf"
    ssh.parent.mkdir()
    ssh.write_text(
        "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n"
    )


def _fetch_packages(part: Path, packages: Sequence[str]) -> None:
    """Download what the roles install, with what that needs, and index it as apt-ftparchive would."""
    shutil.copyfile("/etc/resolv.conf", part / "etc/resolv.conf")
    _call("chroot", str(part), "apt-get", "update", "-qq")
    _call("chroot", str(part), "apt-get", "install", "-qq", "-y", "--download-only",
          "--no-install-recommends", *packages)  # fmt: skip
    repository = part / REPOSITORY
    repository.mkdir(parents=True)
    archives = part / "var/cache/apt/archives"
    _make_picamera2(archives)
    index = []
    for file in sorted(archives.glob("*.deb")):
        target = repository / file.name.replace("%3a", "+")
        shutil.move(file, target)
        control = _call("dpkg-deb", "--field", str(target)).strip()
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        index.append(
            f"{control}\nFilename: ./{target.name}\nSize: {target.stat().st_size}\nSHA256: {digest}\n"
        )
    (repository / "Packages").write_text("\n".join(index))
    for list_ in part.glob("var/lib/apt/lists/*_*"):
        list_.unlink()
    (part / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{REPOSITORY} ./\n")
    _call("chroot", str(part), "apt-get", "update", "-qq")
    (part / "etc/resolv.conf").write_text("")


def _make_picamera2(archives: Path) -> None:
    """Raspberry Pi's own archive has it and Debian's has not; in here no camera is attached."""
    with tempfile.TemporaryDirectory() as name:
        for file, text in PICAMERA2.items():
            target = Path(name, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        _call("dpkg-deb", "--build", "--root-owner-group", name, str(archives / "python3-picamera2_all.deb"))


def _call(*argv: str) -> str:
    done = subprocess.run(
        [*OWN_PROCESSES, *argv],
        capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S,
        env=os.environ | {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode:
        raise LabError(f"{' '.join(argv)[:200]}: {(done.stderr + done.stdout)[-1500:]}")
    return done.stdout
