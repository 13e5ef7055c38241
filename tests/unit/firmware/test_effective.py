"""Our settings of the system are the ones that count, whoever else brings some."""

import shutil
import subprocess
from pathlib import Path

import pytest
from parts.need import need

ROOTFS = Path(__file__).parents[3] / "firmware-config" / "rootfs"
OTHERS = {
    # rpi-image-gen, image/gpt/ab_userdata/pre-image.sh
    "etc/systemd/journald.conf.d/persistent.conf": (
        "[Journal]\nStorage=persistent\nCompress=yes\nSystemMaxUse=512M\nSystemMaxFileSize=20M\n"
        "MaxRetentionSec=0\nMaxFileSec=0\nRuntimeMaxUse=128M\nSyncIntervalSec=2m\nRateLimitBurst=2000\n"
    ),
    # raspberrypi-sys-mods of Raspberry Pi OS
    "usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf": "[Journal]\nStorage=volatile\n",
    "usr/lib/systemd/system.conf.d/40-rpi-enable-watchdog.conf": "[Manager]\nRuntimeWatchdogSec=1m\n",
    "etc/systemd/journald.conf": "[Journal]\n#SystemMaxUse=\n",
    "etc/systemd/system.conf": "[Manager]\n#RuntimeWatchdogSec=off\n",
}
"""What images have beside ours, by file."""


@pytest.mark.parametrize("name", ["journald", "system"])
def test_what_systemd_goes_by_is_ours(name, tmp_path):
    need(shutil.which("systemd-analyze"), "needs systemd-analyze: sudo apt-get install systemd")
    shutil.copytree(ROOTFS, tmp_path, dirs_exist_ok=True)
    for path, text in OTHERS.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    shown = subprocess.run(
        ["systemd-analyze", f"--root={tmp_path}", "cat-config", f"systemd/{name}.conf"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    (ours,) = (ROOTFS / f"usr/lib/systemd/{name}.conf.d").iterdir()
    wanted = settings(ours.read_text())
    assert wanted
    assert {key: value for key, value in settings(shown).items() if key in wanted} == wanted


def settings(text):
    """Key to value; the last one counts (systemd.syntax(7))."""
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith(("#", "[")))
    return {key: value for key, equals, value in lines if equals}
