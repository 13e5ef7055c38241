"""Machines that start from a card which `scripts/flash` wrote, each as its system reads it at its first boot.

The root partition is a folder of ours, as everywhere in these tests; that flashing leaves it alone is shown
elsewhere, with real partitions. The files of the boot partition are the card's.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import yaml
from flash import bootpart
from fleet.lab import ROOT, Lab, Machine
from parts import card

FIRMWARE = ROOT / "firmware-config"
BOOT = "boot/firmware"
OPERATOR = "pi"
WIFI, WIFI_PASSWORD = "Yard: 'no' # 1", "a: b # 'c'"
CLOUD_INIT = 'datasource_list: [NoCloud, None]\ndatasource: {NoCloud: {seedfrom: "file:///boot/firmware"}}\n'
"""As Raspberry Pi OS 13's package rpi-cloud-init-mods has it."""
ENABLE_UNITS = '#!/bin/sh\nroot=$1\nshift\nexec systemctl --root="$root" enable "$@"\n'
"""As rpi-image-gen's hook of this name."""


def flash(lab: Lab, folder: Path, name: str, portal: str, code: str, *options: str | Path) -> Path:
    """A card for the device `name`, written by the command that a person gives."""
    image = folder / "pios.img"
    if not image.exists():
        (folder / "root").mkdir()
        card.build(image, folder / "root")
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        image.with_name(f"{image.name}.sha256").write_text(f"{digest}  {image.name}\n")
    target = folder / f"{name}.img"
    done = subprocess.run(
        [sys.executable, "-m", "flash", image, target, "--portal", portal, "--device", name, "--code", code,
         "--ssh-key", lab.folder / "id.pub", "--wifi", WIFI, "--country", "DE", *options],
        capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONPATH": str(FIRMWARE), "WIFI_PASSWORD": WIFI_PASSWORD},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


def insert(lab: Lab, machine: Machine, written: Path) -> None:
    """Put the card in: its boot partition is where a Pi mounts it, and the host name is anybody's yet."""
    boot = bootpart.find(written)
    place = machine.folder / "card"
    (place / "pinhole").mkdir(parents=True)
    for name in (boot.names() | boot.names("pinhole")) - {"pinhole"}:
        (place / name).write_bytes(boot.read(name))
    root = machine.folder / "root"
    lab.shop.run("sh", "-c", f"mkdir -p {root}/{BOOT} && cp -r {place}/. {root}/{BOOT}/")
    lab.shop.run("sh", "-c", f"echo raspberrypi >{root}/etc/hostname")
    machine.variables["ansible_user"] = OPERATOR


def read_custom_toml(lab: Lab, machine: Machine) -> None:
    """What Raspberry Pi OS 12 does before systemd starts, in its `init_config`; then the file is gone."""
    root = machine.folder / "root"
    told = tomllib.loads((machine.folder / "card/custom.toml").read_text())
    assert told["config_version"] == 1
    assert set(told) <= {"config_version", "system", "user", "ssh", "wlan", "locale"}, "what it knows"
    assert told["ssh"]["enabled"]
    user, keys = told["user"]["name"], "\n".join(told["ssh"]["authorized_keys"])
    lab.shop.run("sh", "-eu", "-c", f"""
        echo {told["system"]["hostname"]} >{root}/etc/hostname
        chroot {root} useradd --create-home --shell /bin/bash {user}
        echo '{user} ALL=(ALL) NOPASSWD: ALL' >{root}/etc/sudoers.d/010_pi-nopasswd
        install -d -m 700 {root}/home/{user}/.ssh && cat >{root}/home/{user}/.ssh/authorized_keys
        chroot {root} chown -R {user}: /home/{user}/.ssh
        rm {root}/{BOOT}/custom.toml""", stdin=f"{keys}\n")  # fmt: skip


def add_cloud_init(lab: Lab, machine: Machine) -> None:
    """cloud-init itself is there; what Raspberry Pi OS 13 adds, so that it reads the card."""
    folder = machine.folder / "root/etc/cloud/cloud.cfg.d"
    lab.shop.run("sh", "-c", f"cat >{folder}/99_raspberry-pi.cfg", stdin=CLOUD_INIT)


def make_our_image(lab: Lab, machine: Machine, release: Path, signers: Sequence[str]) -> None:
    """Packages and hooks of our layer, run as rpi-image-gen would run them."""
    layer = (FIRMWARE / "image/layer/pinhole.yaml").read_text().partition("# METAEND\n")[2]
    told = yaml.safe_load(layer)["mmdebstrap"]
    root, hooks = machine.folder / "root", machine.folder / "hooks"
    hooks.mkdir()
    (hooks / "enable-units").write_text(ENABLE_UNITS)
    (hooks / "enable-units").chmod(0o755)
    (machine.folder / "signers").write_text("\n".join(["# who may release", *signers, ""]))
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    lab.shop.run("chroot", str(root), "apt-get", "install", "-qq", "-y", "--no-install-recommends",
                 *told["packages"], timeout_s=300, env=quiet)  # fmt: skip
    lab.shop.run("mount", "-t", "proc", "proc", str(root / "proc"))  # as mmdebstrap does
    for hook in told["customize-hooks"]:
        lab.shop.run(
            "sh", "-c", f"cd / && {hook}", "hook", str(root), timeout_s=300,
            env={
                "BDEBSTRAP_HOOKS": str(hooks),
                "IGconf_pinhole_rootfs": str(FIRMWARE / "rootfs"),
                "IGconf_pinhole_boot": str(FIRMWARE / "boot"),
                "IGconf_pinhole_release": str(release),
                "IGconf_pinhole_signers": str(machine.folder / "signers"),
            },
        )  # fmt: skip
    lab.shop.run("umount", str(root / "proc"))
