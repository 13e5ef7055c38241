"""The agent as a release lies on a device: an environment of its own under /opt/pinhole."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.11"
"""Debian 12's."""
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64")


def install(root: Path, python: str = PYTHON, platforms: Sequence[str] = PLATFORMS) -> None:
    """Into `root`/opt/pinhole/releases/test, and `current` to it; from wheels, so nothing is emulated."""
    release = root / "opt/pinhole/releases/test"
    packages = release / f"lib/python{python}/site-packages"
    packages.mkdir(parents=True)
    wanted = [word for each in platforms for word in ("--platform", each)]
    _pip("install", "--target", str(packages), *wanted, "--python-version", python, "--only-binary=:all:",
         "--no-deps", "--require-hashes", "-r", str(ROOT / "requirements.lock"))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, str(ROOT))
        (wheel,) = Path(folder).glob("pinhole-*.whl")
        _pip("install", "--target", str(packages), "--no-deps", "--no-index", str(wheel))
    (release / "bin").mkdir()
    (release / "bin/python").symlink_to("/usr/bin/python3")
    (release / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    program = release / "bin/pinhole"
    program.write_text("#!/opt/pinhole/releases/test/bin/python\nfrom agent.cli import main\n\nmain()\n")
    program.chmod(0o755)
    (root / "opt/pinhole/current").symlink_to("releases/test")


def _pip(*arguments: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        *arguments,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
