"""systemd reads our units as we mean them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from parts.need import need

ROOTFS = Path(__file__).parents[3] / "firmware-config" / "rootfs"
UNITS = sorted(path.name for path in (ROOTFS / "usr/lib/systemd/system").glob("*.*") if path.is_file())
MAX_EXPOSURE = 2.0
"""Of 10: `systemd-analyze security`. What is left is the network, the camera's devices and serial ports."""
NEWER = re.compile(r"^.*Unknown key '(RestartSteps|RestartMaxDelaySec|RestartMode)'.*\n", re.MULTILINE)
"""Since systemd 254; the one before ignores them and says so."""


@pytest.fixture
def root(tmp_path):
    """A file system with our rootfs, Debian's targets, and stubs for the programs that units start."""
    need(shutil.which("systemd-analyze"), "needs systemd-analyze: sudo apt-get install systemd")
    shutil.copytree(ROOTFS, tmp_path, dirs_exist_ok=True)
    units = tmp_path / "usr/lib/systemd/system"
    for target in Path("/lib/systemd/system").glob("*.target"):
        shutil.copy(target, units)
    for program in ("opt/pinhole/current/bin/pinhole", "bin/sh"):
        stub = tmp_path / program
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.touch()
        stub.chmod(0o755)
    return tmp_path


def verify(root, *units):
    """What `systemd-analyze verify` has to say."""
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", *units],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return result.returncode, NEWER.sub("", result.stderr)


def test_there_are_some():
    assert "pinhole.service" in UNITS


def test_the_units_are_right(root):
    assert verify(root, *UNITS) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("WatchdogSec=30", "WatchdogSec=soon", "Failed to parse"),
        ("Type=notify", "Tpye=notify", "Unknown key"),
        ("/opt/pinhole/current/bin/pinhole run", "/opt/pinhole/none run", "not executable"),
    ],
)
def test_a_wrong_unit_is_found(root, old, new, expected):
    file = root / "usr/lib/systemd/system/pinhole.service"
    file.write_text(file.read_text().replace(old, new))
    assert expected in verify(root, "pinhole.service")[1]


def test_the_agent_is_sandboxed(root):
    assert exposure(root) <= MAX_EXPOSURE


def test_what_a_camera_needs_is_left_open(root):
    """What the sandbox would break on a Pi, by systemd's own reading of the unit."""
    for field in ("PrivateDevices", "ProtectClock", "MemoryDenyWriteExecute", "PrivateNetwork"):
        assert float(rows(root)[field]["exposure"] or 0) > 0, (
            f"{field} hides the camera or breaks its libraries"
        )


def exposure(root):
    total = sum(float(row["exposure"] or 0) for row in rows(root).values())
    assert total > 0
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--root={root}", "--no-pager", "pinhole.service"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    return float(re.search(r"Overall exposure level for pinhole.service: ([\d.]+)", said)[1])


def rows(root):
    printed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--root={root}", "--json=short", "pinhole.service"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    return {row["json_field"]: row for row in json.loads(printed)}
