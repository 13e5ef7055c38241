"""A card from scripts/flash boots on an arm64 board that is not there, enrols itself, and serves."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from boot import debian, machine, release
from flash import bootpart
from parts import card
from parts.far_portal import claim, far_portal

ROOT = Path(__file__).resolve().parents[2]
CMDLINE = (
    "console=ttyAMA0 console=serial0,115200 root=/dev/vda2 rw rootwait quiet "
    "systemd.journald.forward_to_console=1\n"
)
"""The journal on the console, for who has to find out why it failed."""
NETWORK = "[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n"
FSTAB = "/dev/vda2 / ext4 rw 0 1\n/dev/vda1 /boot/firmware vfat umask=0077 0 2\n"
CAMERA = '[camera]\nsource = "synthetic"\nwidth_px = 320\nheight_px = 240\nfps = 5\n'
BOOT_LIMIT_S, SERVE_LIMIT_S = 240, 420


@pytest.fixture
def image(tmp_path):
    """Debian with our files and a release, and no identity; our own image is tested with the fleet."""
    card.need_tools()
    debian.need_tools()
    made = debian.made()
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", made / "root", root], check=True, timeout=120)
    subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{ROOT}/firmware-config/rootfs/.", root],
                   check=True, timeout=60)  # fmt: skip
    release.install(root)
    for name, text in {
        "etc/fstab": FSTAB,
        "etc/hostname": "raspberrypi\n",
        "etc/systemd/network/wired.network": NETWORK,
    }.items():
        (root / name).write_text(text)
    (root / "boot/firmware").mkdir(parents=True)
    units = ["systemd-networkd", "systemd-networkd-wait-online", "pinhole", "pinhole-enroll"]
    subprocess.run(["systemctl", f"--root={root}", "--quiet", "enable", *units], check=True, timeout=60)
    file = tmp_path / "pinhole.img"
    boot = [made / "vmlinuz", made / "initrd"]
    card.build(file, root, root_bytes=900 << 20, cmdline=CMDLINE, boot=boot, fat_sectors=128 * 2048)
    shutil.rmtree(root)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_name("pinhole.img.sha256").write_text(f"{digest}  pinhole.img\n")
    return file


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_flashed_card_boots_enrols_itself_and_serves(image, tmp_path):
    (tmp_path / "pinhole.toml").write_text(CAMERA)
    with far_portal(tmp_path, machine.HOST) as stack:
        flash(image, tmp_path / "door.img", stack, claim(stack, "door"))
        with machine.boot(tmp_path / "door.img") as board:
            up_s = board.until(lambda: "login:" in board.said(), BOOT_LIMIT_S, "a login prompt")
            served_s = board.until(lambda: watch(stack), SERVE_LIMIT_S, "a picture from door")
        print(f"\nlogin after {up_s:.0f} s, a picture {served_s:.0f} s later")
        assert claimed(tmp_path / "door.img"), "the code was used, and is not on the card any more"


def flash(image, to, stack, code):
    """The command that a person gives."""
    portal = stack.url.replace("127.0.0.1", machine.HOST)
    result = subprocess.run(
        [ROOT / "scripts/flash", image, to, "--portal", portal, "--device", "door", "--code", code,
         "--settings", to.with_name("pinhole.toml"), "--ca-file", to.with_name("ca.pem")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def watch(stack):
    """Whether a viewer of the portal sees the device's picture."""
    code, seen, _ = stack.watch("--device", "door", "--seconds", "1", timeout_s=60)
    return code == 0 and (seen["width_px"], seen["height_px"]) == (320, 240)


def claimed(file):
    return bootpart.find(file).read("pinhole/claim.env") is None
