"""The agent of a former release, as its devices have it: its wheel, and what its lock names, by themselves.

The wheel is what `pip wheel --no-deps` makes of that commit, and the lock is its `ansible/device.lock`.
"""

import subprocess
import sys
from pathlib import Path

from parts.installer import install
from parts.kept import kept

RELEASE = Path(__file__).resolve().parents[1] / "data" / "release-d032b4c"


def older_python() -> Path:
    """The Python of an environment in which only that release is: `-m agent` is its agent."""
    (wheel,) = RELEASE.glob("*.whl")
    lock = RELEASE / "device.lock"
    made_from = (wheel.read_bytes(), lock.read_text(), sys.version, sys.base_prefix)

    def fill(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        python = folder / "bin" / "python"
        install(python, "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(lock))
        install(python, "--no-deps", str(wheel))

    return kept("older-agents/agent", made_from, fill) / "bin" / "python"
